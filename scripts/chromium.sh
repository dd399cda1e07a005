#!/usr/bin/env bash
# Sees to it that Chromium and its driver are there, for the tests of the page: installs Debian's
# packages as root, and says which ones are missing to anybody else.
set -euo pipefail

command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "The page's tests need Chromium; installing it ..." >&2
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        chromium chromium-driver >&2
    exit
fi
echo "error: the page's tests need Chromium and its driver. Install them first;" \
    "on Debian and Ubuntu: sudo apt-get install chromium chromium-driver" >&2
exit 1
