#!/usr/bin/env bash
# Builds the image and lists what is in it (out/image/NAME-TAG.cdx.json, CycloneDX). An engine that was
# started for this run (scripts/with_engine.sh) has no registry, so the base image is a stand-in there;
# with --save the image is written beside the list, for `docker load` elsewhere.
#
#   scripts/with_engine.sh scripts/image.sh [--save] [arguments of docker build]
#
# IMAGE is its name (classify-worker:VERSION), BASE the base image, PYTHON and SYFT the programs.
set -euo pipefail
cd "$(dirname "$0")/.."
save=
if [ "${1:-}" = --save ]; then
    save=${ENGINE_STARTED:-}
    shift
fi
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' worker/__init__.py)
image=${IMAGE:-classify-worker:$version}
base=${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile | head -n 1)}
python=${PYTHON:-python3}

if [ -n "${ENGINE_STARTED:-}" ] && ! docker image inspect "$base" >/dev/null 2>&1; then
    scripts/base_image.sh "$base"
fi

# pip in the build is configured as it is here (index, proxy, authorities), and none of it stays there.
secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
configured() {
    "$python" -m pip config get ":env:.$1" 2>/dev/null ||
        "$python" -m pip config get "global.$1" 2>/dev/null || true
}
authorities=$(configured cert)
{
    echo '[global]'
    for key in index-url extra-index-url trusted-host proxy; do
        value=$(configured "$key")
        [ -z "$value" ] || echo "$key = ${value//$'\n'/ }" # several are several lines
    done
    [ -z "$authorities" ] || echo 'cert = /run/secrets/ca.pem'
} >"$secrets/pip.conf"
cat "${authorities:-/dev/null}" >"$secrets/ca.pem"

DOCKER_BUILDKIT=1 docker build --network host --tag "$image" \
    --build-arg "BASE=$base" --build-arg "VERSION=$version" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --build-arg "CREATED=$(git log -1 --format=%cI 2>/dev/null || date -u +%FT%TZ)" \
    --secret "id=pip.conf,src=$secrets/pip.conf" --secret "id=ca.pem,src=$secrets/ca.pem" \
    "$@" .
# What earlier builds left would fill the cache in which such an engine keeps everything.
[ -z "${ENGINE_STARTED:-}" ] || docker image prune --force >/dev/null

file=out/image/$(tr ':/' '--' <<<"$image")
mkdir -p out/image
SYFT_CHECK_FOR_APP_UPDATE=false "${SYFT:-syft}" scan --quiet "docker:$image" \
    --source-name "${image%:*}" --source-version "${image##*:}" --output "cyclonedx-json=$file.cdx.json"
size=$(docker image inspect --format '{{.Size}}' "$image")
echo "$image: $((size / 1000000)) MB; what is in it: $file.cdx.json"
if [ -n "$save" ]; then
    docker save --output "$file.tar" "$image"
    echo "docker load --input $file.tar"
fi
