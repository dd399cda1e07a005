#!/usr/bin/env bash
# Sees to it that Prometheus, promtool, Alertmanager and amtool are there, for the tests of rules and
# dashboards: unpacks Debian's packages into the user's cache. They are not installed, since that
# would start services. Where all four are on the path, nothing is done. One thing is written outside
# the cache, and stays there: Alertmanager's templates, in /usr/share/prometheus/alertmanager.
set -euo pipefail

on_the_path() {
    command -v prometheus && command -v promtool && command -v amtool &&
        { command -v alertmanager || command -v prometheus-alertmanager; }
} >/dev/null
on_the_path && exit

fail() {
    echo "error: the tests of rules and dashboards need prometheus, promtool, alertmanager and" \
        "amtool on the path. On Debian and Ubuntu:" \
        "sudo apt-get install prometheus prometheus-alertmanager (which starts them as services)" >&2
    exit 1
}

cache=${CLASSIFY_WORKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/classify-worker}/prometheus
# Debian's Alertmanager reads its templates from there, wherever it is itself.
templates=/usr/share/prometheus/alertmanager
[ -e "$cache/usr/bin/amtool" ] && [ -e "$templates" ] && exit
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail

if [ ! -e "$cache/usr/bin/amtool" ]; then
    echo "The tests of rules and dashboards need Prometheus; unpacking it into $cache ..." >&2
    mkdir -p "$(dirname "$cache")"
    work=$(mktemp -d "$cache.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    apt-get update -q >&2
    (cd "$work" && apt-get download -q prometheus prometheus-alertmanager >&2) || fail
    for package in "$work"/*.deb; do
        dpkg-deb -x "$package" "$work/unpacked"
    done
    rm -rf "$cache"
    mv "$work/unpacked" "$cache"
fi
if [ ! -e "$templates" ]; then
    mkdir -p "$templates"
    cp -r "$cache$templates/." "$templates"
fi
