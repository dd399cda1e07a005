#!/usr/bin/env bash
# Makes the virtual environment (default .venv) with the packages of the hashed lock, by plain pip
# with whatever index, proxy and certificates the user configured for it.
#
#   PYTHON=python3.12 scripts/venv.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

version_of() { "$1" --version 2>/dev/null || echo 'no command that runs'; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || die "PYTHON=$PYTHON is $(version_of "$PYTHON"), and Python 3.11, 3.12 or" \
            "3.13 is needed: name another one, as in 'make test PYTHON=python3.12'."
        echo "$PYTHON"
        return
    fi
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    die "Python 3.11, 3.12 or 3.13 is needed, and 'python3' is $(version_of python3)." \
        "Install one, or name it: 'make test PYTHON=/path/to/python3.12'."
}

# On Debian and its kin as root, installs the packages; anywhere else, says which ones are missing.
need_packages() {
    local why=$1
    shift
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "$why; installing: $*"
        apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qy "$@" >&2 && return
    fi
    die "$why. Install it first; on Debian and Ubuntu: sudo apt-get install $*"
}

python=$(find_python)
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    need_packages "$python has no venv module" "python$version-venv"
fi

say "Making $venv with $("$python" --version), which takes a minute or two ..."
"$python" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
# Python compiles what it imports; compiling everything here would double the time (60 s for 28 s).
"${pip[@]}" install --quiet --no-compile --require-hashes --only-binary :all: -r requirements/dev.txt
"${pip[@]}" install --quiet --no-compile --require-hashes --only-binary :all: --no-deps -r requirements/zoo.txt

# The wheels of Paddle and OpenCV expect a few system libraries that a minimal machine may lack.
check='import cv2, paddle, simplejpeg'
if ! problem=$("$venv/bin/python" -W ignore -c "$check" 2>&1); then
    case $problem in
        *"cannot open shared object file"*)
            need_packages "A system library is missing ($(tail -n 1 <<<"$problem"))" \
                libgl1 libglib2.0-0 libxcb1 libgomp1
            "$venv/bin/python" -W ignore -c "$check"
            ;;
        *) die "the installed packages do not import: $problem" ;;
    esac
fi

"$venv/bin/python" -W ignore scripts/compile_imports.py
