#!/usr/bin/env bash
# Builds the image. An engine that was started for this run (scripts/with_engine.sh) has neither a
# registry nor anybody who keeps what it built: the base image is a stand-in then, and the image is
# written to out/image, for `docker load`.
#
#   scripts/with_engine.sh scripts/image.sh [NAME:TAG] [more arguments of docker build]
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' worker/__init__.py)
image=${1:-classify-worker:$version}
shift || true
base=${BASE:-$(sed -n 's/^ARG BASE=//p' Dockerfile | head -n 1)}
export DOCKER_BUILDKIT=1

if [ -n "${ENGINE_STARTED:-}" ] && ! docker image inspect "$base" >/dev/null 2>&1; then
    scripts/base_image.sh "$base"
fi

secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
python=${PYTHON:-python3}
# pip in the build is configured as it is here: index, proxy, authorities.
authorities=$("$python" -m pip config get :env:.cert 2>/dev/null || "$python" -m pip config get global.cert 2>/dev/null || true)
{
    echo '[global]'
    for key in index-url extra-index-url trusted-host proxy; do
        value=$("$python" -m pip config get ":env:.$key" 2>/dev/null ||
            "$python" -m pip config get "global.$key" 2>/dev/null || true)
        [ -z "$value" ] || echo "$key = $value"
    done
    [ -z "$authorities" ] || echo 'cert = /run/secrets/ca.pem'
} >"$secrets/pip.conf"
cat "${authorities:-/dev/null}" >"$secrets/ca.pem"

revision=$(git rev-parse HEAD 2>/dev/null || true)
created=$(git log -1 --format=%cI 2>/dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)
docker build --network host --tag "$image" \
    --build-arg "BASE=$base" --build-arg "VERSION=$version" \
    --build-arg "REVISION=$revision" --build-arg "CREATED=$created" \
    --secret "id=pip.conf,src=$secrets/pip.conf" --secret "id=ca.pem,src=$secrets/ca.pem" \
    "$@" .
