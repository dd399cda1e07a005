#!/usr/bin/env bash
# Re-makes the hashed lock files, or only those that are named. They name packages, versions and
# hashes, but no addresses, so that they install from whatever index the user's pip is configured for.
set -euo pipefail
uv=${1:?usage: scripts/lock.sh UV [runtime.txt] [headless.txt] [dev.txt] [build.txt] [deploy.txt] [audit.txt] [peers]}
shift
wanted=" ${*:-runtime.txt headless.txt dev.txt build.txt deploy.txt audit.txt peers} "
cd "$(dirname "$0")/.."

lock() {
    local target=$1
    shift
    [[ $wanted == *" $target "* ]] || return 0
    "$uv" pip compile --quiet --upgrade \
        --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
        --custom-compile-command "make lock" --output-file "requirements/$target" "$@"
}

lock runtime.txt pyproject.toml

# The same packages, but OpenCV without its windows: for images and servers, which have no desktop's
# libraries (X, GL, glib). The versions are those of runtime.txt. With them come traces and the metrics
# of GPUs, which take little.
opencv=$(sed -n 's/^opencv-python==\([^ ]*\).*/\1/p' requirements/runtime.txt)
lock headless.txt pyproject.toml --extra gpu --extra otel --constraints requirements/runtime.txt --no-emit-package opencv-python - \
    <<<"opencv-python-headless==$opencv"

lock dev.txt pyproject.toml --extra demo --extra edge --extra hpip --extra otel --extra test \
    --group build \
    --constraints requirements/runtime.txt --constraints requirements/headless.txt

# What builds the wheel, for the image; what checks the image and what is in deploy/; what lists and
# audits packages.
lock build.txt --group build --constraints requirements/dev.txt
lock deploy.txt --group deploy
lock audit.txt --group audit

# What `make bench-peers` measures the worker against, each with the worker's Paddle; the consumers have
# all their packages in the worker's versions.
if [[ $wanted == *" peers "* ]]; then
    peers=benchmarks/peers/requirements
    for peer in consumer faststream paddlex; do
        constraints=(--constraints requirements/runtime.txt)
        [ "$peer" != paddlex ] || constraints=()
        "$uv" pip compile --quiet --upgrade \
            --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
            --custom-compile-command "make lock" --output-file "$peers/$peer.txt" \
            "${constraints[@]}" "$peers/$peer.in"
    done
fi
