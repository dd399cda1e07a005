#!/usr/bin/env bash
# Sees to it that curl, and C++, C# and PHP with what the example clients use, are there for the
# tests that run them: installs Debian's packages as root, and says which ones are missing to
# anybody else. Go and Node.js are older in Debian than the examples want: those, and a JDK, are
# yours. The example in a language that is missing is skipped, which counts as a failure in
# continuous integration alone.
set -euo pipefail

# What shows that it is there, and the packages that bring it.
wanted() {
    cat <<'LIST'
command curl                             curl
command g++                              g++
command pkg-config                       pkg-config
pkg-config cpp-httplib                   libcpp-httplib-dev
file /usr/include/nlohmann/json.hpp      nlohmann-json3-dev
command php                              php-cli
php curl                                 php-curl
command mono                             mono-runtime
command mcs                              mono-mcs
file /usr/lib/mono/4.5/System.Net.Http.dll  libmono-system-net-http4.0-cil
pkg-config newtonsoft-json               libnewtonsoft-json-cil-dev
LIST
}

there() {
    case "$1" in
        command) command -v "$2" ;;
        pkg-config) command -v pkg-config && pkg-config --exists "$2" ;;
        file) test -e "$2" ;;
        php) command -v php && php -r "exit(extension_loaded('$2') ? 0 : 1);" ;;
    esac >/dev/null 2>&1
}

missing=()
while read -r kind name package; do
    there "$kind" "$name" || missing+=("$package")
done < <(wanted)
[ ${#missing[@]} = 0 ] && exit

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "The example clients need ${missing[*]}; installing ..." >&2
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >&2
    exit
fi
echo "note: the example clients need more languages, and those without are skipped." \
    "To run them on Debian and Ubuntu: sudo apt-get install ${missing[*]}" >&2
