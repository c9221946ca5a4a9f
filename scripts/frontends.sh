#!/bin/sh
# Builds clients/typescript, and installs the packages of examples/playwright. Each folder is installed once for its lock.
set -eu
cd "$(dirname "$0")/.."

command -v npm >/dev/null || { echo "The package for frontends needs Node.js 20 or newer with npm." >&2; exit 1; }
for folder in clients/typescript examples/playwright; do
    mark=$folder/node_modules/.locked # written last
    if [ "$(cat "$mark" 2>/dev/null)" != "$(cksum <$folder/package-lock.json)" ]; then
        npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error
        cksum <"$folder/package-lock.json" >"$mark"
    fi
done
npm run build --prefix clients/typescript --silent
