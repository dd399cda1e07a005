#!/usr/bin/env bash
# Sees to it that Prometheus, promtool, Alertmanager and amtool are there, for the tests of rules and
# dashboards: unpacks Debian's packages into the user's cache (they are not installed, so no service
# starts). Where all four are on the path, nothing is done.
set -euo pipefail

there() {
    command -v prometheus && command -v promtool && command -v amtool &&
        { command -v alertmanager || command -v prometheus-alertmanager; }
} >/dev/null
there && exit

cache=${CLASSIFY_WORKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/classify-worker}/prometheus
[ -e "$cache/usr/bin/amtool" ] && exit

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "error: the tests of rules and dashboards need prometheus, promtool, alertmanager and" \
        "amtool. Put them on the path first" >&2
    exit 1
fi
echo "The tests of rules and dashboards need Prometheus; unpacking it into $cache ..." >&2
if [ "$(id -u)" = 0 ]; then
    apt-get update -q >&2
fi
mkdir -p "$(dirname "$cache")"
work=$(mktemp -d "$cache.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download prometheus prometheus-alertmanager >&2 || {
    echo "error: apt-get finds no prometheus. Run sudo apt-get update first" >&2
    exit 1
}
for package in ./*.deb; do
    dpkg-deb -x "$package" unpacked
done
rm -rf "$cache"
mv unpacked "$cache"
