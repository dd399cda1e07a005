#!/usr/bin/env bash
# Runs a command with a Docker Engine: the one that answers already or, as root on Debian 12, Debian's
# own, started for that command and stopped after it. That one is unpacked into the user's cache, and
# nothing is installed but libdevmapper and libsystemd where they are missing. It has no network of its
# own (build and run with --network host), listens on a socket of its own, and ends with this script,
# or after an hour. What it built is kept.
#
#   scripts/with_engine.sh docker version
set -euo pipefail

if docker version >/dev/null 2>&1; then
    exec "$@"
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: no Docker Engine answers. Start one (or set DOCKER_HOST), and run this again;" \
        "or run it as root on Debian 12, where it starts Debian's own." >&2
    exit 1
fi

cache=${CLASSIFY_WORKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/classify-worker}/engine
mkdir -p "$cache"
exec {lock}>"$cache/lock"
if ! flock --timeout 900 "$lock"; then
    echo "error: another run uses the engine in $cache for more than 15 minutes" >&2
    exit 1
fi

if [ ! -e "$cache/complete" ]; then
    echo "No Docker Engine answers; unpacking Debian's into $cache ..." >&2
    packages=(containerd debootstrap docker.io runc)
    downloads=$(mktemp -d)
    chmod 755 "$downloads" # apt downloads as a user of its own
    (
        cd "$downloads"
        apt-get download -qq "${packages[@]}" 2>/dev/null ||
            { apt-get update -q >&2 && apt-get download -qq "${packages[@]}" >&2; }
    )
    rm -rf "$cache/system"
    for package in "$downloads"/*.deb; do
        dpkg-deb --extract "$package" "$cache/system"
    done
    rm -r "$downloads"
    touch "$cache/complete"
fi
# At each start, since the cache may outlive the system: CI often restores it in a fresh container.
if grep -q 'not found' <<<"$(ldd "$cache/system/usr/sbin/dockerd")"; then
    libraries=(libdevmapper1.02.1 libsystemd0)
    apt-get install -qy --no-install-recommends "${libraries[@]}" >&2 ||
        { apt-get update -q >&2 && apt-get install -qy --no-install-recommends "${libraries[@]}" >&2; }
fi

run=$(mktemp -d /tmp/engine-XXXXXX) # short: sockets lie below it
export DOCKER_HOST=unix://$run/docker.sock
export PATH=$cache/system/usr/sbin:$cache/system/usr/bin:$PATH
export DEBOOTSTRAP_DIR=$cache/system/usr/share/debootstrap
export ENGINE_STARTED=1
cat >"$run/daemon.json" <<JSON
{
    "bridge": "none",
    "iptables": false,
    "ip6tables": false,
    "ip-forward": false,
    "oom-score-adjust": 0,
    "shutdown-timeout": 5,
    "data-root": "$cache/data",
    "exec-root": "$run/exec",
    "pidfile": "$run/pid",
    "hosts": ["$DOCKER_HOST"]
}
JSON

# It ends when this script does, however that happens. `timeout` keeps a terminal's Ctrl-C from it.
setpriv --pdeathsig TERM timeout --kill-after 30 3600 \
    dockerd --config-file "$run/daemon.json" {lock}>&- >"$run/log" 2>&1 &
engine=$!

stop() {
    trap - EXIT
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
    # The namespace of containers on the host's network stays mounted. What cannot be removed is no
    # failure of the command.
    umount "$run"/exec/netns/* 2>/dev/null || true
    rm -rf "$run" || true
}
trap stop EXIT

for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && break
    if ! kill -0 "$engine" 2>/dev/null; then
        break
    fi
    sleep 0.2
done
if ! docker version >/dev/null 2>&1; then
    echo "error: Debian's Docker Engine does not start here; its log ends so:" >&2
    tail -n 20 "$run/log" >&2
    exit 1
fi

status=0
"$@" || status=$?
exit "$status"
