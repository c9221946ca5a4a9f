#!/bin/sh
# Check a backend: conform.sh [--pytest] [TARGET] [options of `athena-conformance run`, or `pytest`]. Without TARGET, or
# with an empty one, start a mock on a free loopback port, check it with its built-in tokens, and stop it.
set -eu
cd "$(dirname "$0")/.."
PY=.venv/bin/python

command=run
if [ "${1-}" = --pytest ]; then
    command=pytest
    shift
fi
target=${1-}
[ $# -eq 0 ] || shift
[ -z "$target" ] || exec "$PY" -m conformance "$command" --base-url "$target" "$@"

log=$(mktemp)
"$PY" -m mock_server --port 0 --quiet --epoch 2026-03-01T00:00:00Z --max-body 10MiB >"$log" 2>&1 &
mock=$!
trap 'kill "$mock" 2>/dev/null || :; rm -f "$log"' EXIT
trap 'exit 130' INT TERM
tries=0
while ! grep -q 'http://127\.0\.0\.1:' "$log"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ] || ! kill -0 "$mock" 2>/dev/null; then
        echo "the mock did not start:" >&2
        cat "$log" >&2
        exit 3
    fi
    sleep 0.1
done
target=$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$log" | head -n 1)
code=0
ATHENA_TOKEN=demo-token ATHENA_OTHER_TOKEN=other-token ATHENA_MEMBER_TOKEN=viewer-token \
    ATHENA_LOGIN=john.doe@example.com ATHENA_PASSWORD=password \
    "$PY" -m conformance "$command" --base-url "$target" "$@" || code=$?
exit "$code"
