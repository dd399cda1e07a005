#!/usr/bin/env bash
# Re-makes the hashed lock files. They name packages, versions and hashes, but no addresses,
# so that they install from whatever index the user's pip is configured for.
set -euo pipefail
uv=${1:?usage: scripts/lock.sh UV}
cd "$(dirname "$0")/.."

lock() {
    local target=$1
    shift
    "$uv" pip compile pyproject.toml --quiet --upgrade \
        --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
        --custom-compile-command "make lock" --output-file "requirements/$target" "$@"
}

lock runtime.txt
lock dev.txt --extra demo --extra hpip --extra test --group build --constraints requirements/runtime.txt
