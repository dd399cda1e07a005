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
# Helm wants semantic versions: 1.0.0-rc1.
set_in deploy/helm/classify-worker/Chart.yaml '^version: ' "version: $(sed -E 's/(a|b|rc)/-\1/' <<<"$version")"
set_in deploy/helm/classify-worker/Chart.yaml '^appVersion: ' "appVersion: $version"
for overlay in cpu autoscaled; do
    set_in deploy/kubernetes/overlays/$overlay/kustomization.yaml '^    newTag: ' "    newTag: $version"
done
set_in deploy/kubernetes/overlays/gpu/kustomization.yaml '^    newTag: ' "    newTag: $version-gpu"
# What is rendered from the chart (deploy/kubernetes/render.sh does the same, with helm).
for file in deploy/kubernetes/base/*.yaml deploy/kubernetes/overlays/autoscaled/*.yaml; do
    sed -i -E \
        -e "s/^( +app\.kubernetes\.io\/version: ).*/\1\"$version\"/" \
        -e "s/^( +image: classify-worker:).*/\1$version/" "$file"
done
