#!/usr/bin/env bash
# Makes a stand-in for the official Python image, under its name, where no registry can be reached:
# Debian's own packages of the same release and the same Python, by debootstrap.
#
#   scripts/with_engine.sh scripts/base_image.sh python:3.11-slim-bookworm
set -euo pipefail
name=${1:?usage: scripts/base_image.sh NAME}
suite=${name##*-}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

echo "Making $name of Debian's packages ($suite) ..." >&2
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$root" >&2
# What the official images leave out too.
rm -rf "$root"/var/{cache/apt,lib/apt/lists}/* "$root"/usr/share/{doc,info,locale,man}/*
tar --create --numeric-owner --directory "$root" . |
    docker import --change 'CMD ["python3"]' --message "Debian $suite, made by debootstrap" - "$name" >/dev/null
