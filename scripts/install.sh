#!/bin/sh
# Makes .venv from requirements.lock and puts this project into it; the Makefile calls it when something changed.
#
#   scripts/install.sh            make or mend .venv
#   scripts/install.sh python     print the Python that would be used, or say why there is none
#
# PYTHON=python3.12 names the Python to use. pip's own settings (index, proxy, certificates) are left as they are.
# Plain sh: it has to run before anything of ours is installed, and on a Mac's old tools.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
LOCKED=$VENV/.locked     # written when all of requirements.lock is in; says for which folder and which lock
READY=$VENV/.installed   # written last of all: a .venv without it is half made
NEEDED='Python 3.11, 3.12 or 3.13'

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# "3.12.1", or nothing where the command is missing or, as a version manager's stand-in may, does not run.
version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' </dev/null 2>/dev/null || :; }

fits() { case $1 in 3.11.* | 3.12.* | 3.13.*) return 0 ;; *) return 1 ;; esac; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        found=$(version_of "$PYTHON")
        [ -n "$found" ] || die "PYTHON=$PYTHON does not run; $NEEDED is needed."
        fits "$found" || die "PYTHON=$PYTHON is Python $found; $NEEDED is needed."
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
    die "$NEEDED is needed, and none was found (${seen:-no python3 at all}); install one, or name it: make install PYTHON=/path/to/python3.12"
}

make_venv() { # with the interpreter in $1
    if "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        "$1" -m venv "$VENV"
        return
    fi
    # Debian keeps ensurepip in a package of its own (python3-venv); virtualenv, brought by pip, does without.
    "$1" -m pip --version >/dev/null 2>&1 ||
        die "$("$1" -V) has neither the modules venv and ensurepip nor pip, so no .venv can be made; install them (Debian, Ubuntu: apt install python3-venv)."
    say 'This Python has no ensurepip: fetching virtualenv ...'
    rm -rf .venv-bootstrap
    PIP_REQUIRE_VIRTUALENV=0 "$1" -m pip install --quiet --disable-pip-version-check --target .venv-bootstrap \
        --require-hashes -r locks/bootstrap.lock
    PYTHONPATH=.venv-bootstrap "$1" -m virtualenv --quiet --no-periodic-update "$VENV"
    rm -rf .venv-bootstrap
}

pip_install() { "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$@"; }

# A .venv is tied to its folder and its packages to the lock they came from.
mark() { pwd -P; cksum <requirements.lock; }

whole() { # whether the .venv that is there can be kept
    [ -x "$VENV/bin/python" ] && [ -f "$LOCKED" ] && [ "$(cat "$LOCKED")" = "$(mark)" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$VENV/bin/python")" ]
}

fresh() { # whether the project was put into it after its last change
    [ -f "$READY" ] && [ "$READY" -nt requirements.lock ] && [ "$READY" -nt pyproject.toml ] && [ "$READY" -nt scripts/install.sh ]
}

install() {
    python=$(find_python)
    if whole && fresh; then return; fi
    unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME 2>/dev/null || :   # they would send packages past .venv
    if ! whole; then
        rm -rf "$VENV"
        say "Making .venv with Python $(version_of "$python"): $(grep -c '^[a-z].*==' requirements.lock) packages, once, some 20 to 60 seconds ..."
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
    *) die "usage: scripts/install.sh [install|python]; found: $1" ;;
esac
