#!/usr/bin/env bash
# Sees to it that Chromium and its driver are there, for the tests of pages, and npm, with which the
# page of a bundle gets its library: installs Debian's packages as root, and says which ones are missing
# to anybody else.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} = 0 ] && exit

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "The pages' tests need ${missing[*]}; installing ..." >&2
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        "${missing[@]}" >&2
    exit
fi
echo "error: the pages' tests need Chromium, its driver and npm. Install them first;" \
    "on Debian and Ubuntu: sudo apt-get install ${missing[*]}" >&2
exit 1
