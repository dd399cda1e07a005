#!/usr/bin/env bash
# Sees to it that podman and runc are there, for the test that runs the worker's pod: installs Debian's
# packages as root, and says which ones are missing to anybody else. They stay installed.
set -euo pipefail

command -v podman >/dev/null && command -v runc >/dev/null && exit

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "The test of the worker's pod needs podman; installing it ..." >&2
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        catatonit podman runc >&2
    exit
fi
echo "error: the test of the worker's pod needs podman and runc. Install them first;" \
    "on Debian and Ubuntu: sudo apt-get install catatonit podman runc" >&2
exit 1
