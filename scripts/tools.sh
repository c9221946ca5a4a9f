#!/bin/sh
# Installs the tools of locks/tools.lock (linters, SBOM, audit) into .venv-tools, apart from the packages of the project.
# Does nothing if they are installed. Needs .venv, whose pip installs them.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv-tools
LOCKED=$VENV/.locked   # written last: folder and checksum of the lock
mark() { pwd -P; cksum <locks/tools.lock; }

if [ -x "$VENV/bin/python" ] && [ -f "$LOCKED" ] && [ "$(cat "$LOCKED")" = "$(mark)" ]; then exit 0; fi
rm -rf "$VENV"
.venv/bin/python -m venv --without-pip "$VENV"
.venv/bin/python -m pip --python "$VENV/bin/python" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes -r locks/tools.lock
mark >"$LOCKED"
