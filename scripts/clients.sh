#!/bin/sh
# Installs the client generators of tests/clients: those of locks/clients.lock into .venv-clients, and those of
# tests/clients/package-lock.json with npm. Does nothing if they are installed. Needs .venv, whose pip installs them.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv-clients
LOCKED=$VENV/.locked   # written last: folder and checksums of the locks
mark() { pwd -P; cat locks/clients.lock tests/clients/package-lock.json | cksum; }

if [ -x "$VENV/bin/python" ] && [ -f "$LOCKED" ] && [ "$(cat "$LOCKED")" = "$(mark)" ]; then exit 0; fi
command -v npm >/dev/null || { echo "The client generators need Node.js 20 or newer with npm." >&2; exit 1; }
rm -rf "$VENV"
.venv/bin/python -m venv --without-pip "$VENV"
.venv/bin/python -m pip --python "$VENV/bin/python" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes -r locks/clients.lock
npm ci --prefix tests/clients --no-audit --no-fund --ignore-scripts --loglevel=error
mark >"$LOCKED"
