#!/bin/sh
# Creates .venv from a lock file and installs this project into it. The Makefile calls it after a change.
#
#   scripts/install.sh mock           what athena-mock needs: locks/run.lock
#   scripts/install.sh conformance    that, and what athena-conformance needs: locks/conformance.lock
#   scripts/install.sh [all]          that, and what development needs: requirements.lock
#   scripts/install.sh python         print the Python that would be used, or why there is none
#
# Each lock includes the packages of the previous one, at the same versions, so a later call installs only what is missing.
# PYTHON=python3.12 selects the Python. Settings of pip (index, proxy, certificates) stay in effect.
# POSIX sh: it runs before anything is installed, and with the old tools of macOS.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
LOCKS='locks/run.lock locks/conformance.lock requirements.lock'
LOCKED=$VENV/.locked   # the folder of .venv and the checksums of the locks; missing while packages are being installed
# .venv/.packages-LEVEL  exists when the lock of the level is installed
# .venv/.ready-LEVEL     written last, when its packages and the project are installed; the Makefile compares its time
NEEDED='Python 3.11, 3.12 or 3.13'

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# "3.12.1", or nothing if the command is missing or does not run.
version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' </dev/null 2>/dev/null || :; }

# Why a command does not run: ": " and the first line of its stderr; nothing if it prints none.
reason_of() {
    command -v "$1" >/dev/null || { printf ': no such command'; return; }
    "$1" --version </dev/null 2>&1 >/dev/null | sed -n '1s/^/: /p'
}

fits() { case $1 in 3.11.* | 3.12.* | 3.13.*) return 0 ;; *) return 1 ;; esac; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        found=$(version_of "$PYTHON")
        [ -n "$found" ] || die "PYTHON=$PYTHON does not run$(reason_of "$PYTHON") ($NEEDED is required)."
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

# Python compiles the modules on their first import: compiling all of them here takes a third of the time.
pip_install() {
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps "$@"
}

lock_of() { # level
    case $1 in
        mock) echo locks/run.lock ;;
        conformance) echo locks/conformance.lock ;;
        all) echo requirements.lock ;;
    esac
}

# A .venv belongs to one folder, its packages to one version of the locks.
mark() { pwd -P; cksum $LOCKS; }

is_reusable() { # whether the existing .venv is complete and matches the locks and PYTHON
    [ -x "$VENV/bin/python" ] && [ -f "$LOCKED" ] && [ "$(cat "$LOCKED")" = "$(mark)" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$VENV/bin/python")" ]
}

is_ready() { # level: whether its packages are installed, and the project after its last change
    [ -f "$VENV/.ready-$1" ] || return 1
    for source in $LOCKS pyproject.toml setup.py scripts/install.sh; do
        [ "$VENV/.ready-$1" -nt "$source" ] || return 1
    done
}

has_packages_of() { # level: whether they were installed, alone or as a part of a higher level
    for level in all conformance mock; do
        [ ! -f "$VENV/.packages-$level" ] || return 0
        [ "$level" != "$1" ] || return 1
    done
}

die_of_pip() { # lock
    die "pip did not install $1. Without access to pypi.org, set an index (PIP_INDEX_URL) or a proxy (HTTPS_PROXY)."
}

install_packages() { # level
    lock=$(lock_of "$1")
    say "Installing the packages of $lock into .venv, 10 to 60 seconds ..."
    # Without $LOCKED, an interrupted installation is rebuilt. pip fails, for example offline, before it changes anything.
    rm -f "$LOCKED"
    status=0
    pip_install --require-hashes -r "$lock" || status=$?
    if [ "$status" -eq 0 ]; then
        : >"$VENV/.packages-$1"
    elif ! has_packages_of mock; then
        die_of_pip "$lock"
    fi
    mark >"$LOCKED"
    [ "$status" -eq 0 ] || die_of_pip "$lock"
}

install_project() {
    for level in mock conformance all; do
        if is_ready "$level"; then return; fi
    done
    rm -f "$VENV"/.ready-*
    pip_install --no-build-isolation --editable .
}

install() { # level
    python=$(find_python)
    if is_reusable && is_ready "$1"; then return; fi
    unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME 2>/dev/null || :   # they would install packages outside .venv
    if ! is_reusable; then
        say "Creating .venv with Python $(version_of "$python") ..."
        rm -rf "$VENV"
        make_venv "$python"
    fi
    has_packages_of "$1" || install_packages "$1"
    install_project
    for level in mock conformance all; do
        if has_packages_of "$level"; then pwd -P >"$VENV/.ready-$level"; fi
    done
}

case ${1:-all} in
    python) find_python ;;
    mock | conformance | all) install "${1:-all}" ;;
    *) die "usage: scripts/install.sh [mock|conformance|all|python] (got: $1)" ;;
esac
