#!/bin/sh
# Creates .venv from requirements.lock and installs this project into it. The Makefile calls it after a change.
#
#   scripts/install.sh            create or repair .venv
#   scripts/install.sh python     print the Python that would be used, or why there is none
#
# PYTHON=python3.12 selects the Python. Settings of pip (index, proxy, certificates) stay in effect.
# POSIX sh: it runs before anything is installed, and with the old tools of macOS.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
LOCKED=$VENV/.locked     # written when requirements.lock is installed: folder and checksum of the lock
READY=$VENV/.installed   # written last: a .venv without it is incomplete
NEEDED='Python 3.11, 3.12 or 3.13'

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# "3.12.1", or nothing if the command is missing or does not run.
version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' </dev/null 2>/dev/null || :; }

fits() { case $1 in 3.11.* | 3.12.* | 3.13.*) return 0 ;; *) return 1 ;; esac; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        found=$(version_of "$PYTHON")
        [ -n "$found" ] || die "PYTHON=$PYTHON does not run ($NEEDED is required)."
        fits "$found" || die "PYTHON=$PYTHON is Python $found ($NEEDED is required)."
        printf '%s\n' "$PYTHON"
        return
    fi
    seen=
    for candidate in python3 python3.13 python3.12 python3.11; do
        found=$(version_of "$candidate")
        if [ -n "$found" ] && fits "$found"; then
            printf '%s\n' "$candidate"
            return
        fi
        [ -z "$found" ] || seen="$seen${seen:+, }$candidate is $found"
    done
    die "$NEEDED is required, but not found (${seen:-no python3}). Install one, or select it: make install PYTHON=/path/to/python3.12"
}

make_venv() { # with the interpreter in $1
    if "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        "$1" -m venv "$VENV"
        return
    fi
    # On Debian, ensurepip is in a separate package (python3-venv); virtualenv does not need it.
    "$1" -m pip --version >/dev/null 2>&1 ||
        die "$("$1" -V) has neither the modules venv and ensurepip nor pip, so .venv cannot be created. Install them (Debian, Ubuntu: apt install python3-venv)."
    say 'This Python has no ensurepip: installing virtualenv ...'
    rm -rf .venv-bootstrap
    PIP_REQUIRE_VIRTUALENV=0 "$1" -m pip install --quiet --disable-pip-version-check --target .venv-bootstrap \
        --require-hashes -r locks/bootstrap.lock
    PYTHONPATH=.venv-bootstrap "$1" -m virtualenv --quiet --no-periodic-update "$VENV"
    rm -rf .venv-bootstrap
}

pip_install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$@"; }

# A .venv belongs to one folder, its packages to one lock file.
mark() { pwd -P; cksum <requirements.lock; }

whole() { # whether the existing .venv can be reused
    [ -x "$VENV/bin/python" ] && [ -f "$LOCKED" ] && [ "$(cat "$LOCKED")" = "$(mark)" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$VENV/bin/python")" ]
}

fresh() { # whether the project was installed after its last change
    [ -f "$READY" ] && [ "$READY" -nt requirements.lock ] && [ "$READY" -nt pyproject.toml ] && [ "$READY" -nt scripts/install.sh ]
}

install() {
    python=$(find_python)
    if whole && fresh; then return; fi
    unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME 2>/dev/null || :   # they would install packages outside .venv
    if ! whole; then
        rm -rf "$VENV"
        say "Creating .venv with Python $(version_of "$python"): $(grep -c '^[a-z].*==' requirements.lock) packages, about 20 to 60 seconds ..."
        make_venv "$python"
        pip_install --require-hashes -r requirements.lock
        mark >"$LOCKED"
    fi
    rm -f "$READY"
    pip_install --no-build-isolation --editable .
    pwd -P >"$READY"
}

case ${1:-install} in
    python) find_python ;;
    install) install ;;
    *) die "usage: scripts/install.sh [install|python] (got: $1)" ;;
esac
