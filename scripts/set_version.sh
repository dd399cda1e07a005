#!/usr/bin/env bash
# Sets the version: in worker/__init__.py, where it lives, and in the files that show it
# (tests compare them). `make version VERSION=0.2.0`
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-}
if [[ ! $version =~ ^[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?$ ]]; then
    echo "error: '$version' is no version such as 0.2.0 or 1.0.0rc1: make version VERSION=0.2.0" >&2
    exit 2
fi

# Replaces the first line that a pattern matches; a file without one is an error.
set_in() {
    local file=$1 pattern=$2 line=$3
    grep -qE "$pattern" "$file" || { echo "error: no version in $file" >&2; exit 1; }
    awk -v pattern="$pattern" -v line="$line" \
        '!done && $0 ~ pattern { print line; done = 1; next } { print }' "$file" >"$file.new"
    cat "$file.new" >"$file" # keeps the file's mode
    rm "$file.new"
}

set_in worker/__init__.py '^__version__ = ' "__version__ = \"$version\""
set_in worker/http/openapi.json '^    "version": ' "    \"version\": \"$version\","
set_in schemas/asyncapi.yaml '^  version: ' "  version: $version"
set_in Dockerfile '^ARG VERSION=' "ARG VERSION=$version"
# The image's name, wherever it is written.
for file in deploy/compose/compose.yaml docs/compose.md docs/image.md; do
    sed "s/classify-worker:[0-9][0-9a-z.]*[0-9a-z]/classify-worker:$version/g" "$file" >"$file.new"
    cat "$file.new" >"$file"
    rm "$file.new"
done
