#!/bin/sh
# Writes CycloneDX documents to build/sbom: the packages of the locks with their hashes, and the packages of .venv with
# their licences and dependencies. Equal locks give equal documents.
set -eu
cd "$(dirname "$0")/.."
folder=build/sbom
mkdir -p "$folder"

cyclonedx() { # kind, output, options
    kind=$1 output=$2
    shift 2
    PYTHONWARNINGS=ignore::UserWarning .venv-tools/bin/cyclonedx-py "$kind" --output-reproducible --pyproject pyproject.toml \
        --output-file "$folder/complete.json" "$@"
    # The description of a component of a lock is its line, with all hashes a second time.
    grep -v '"description": "requirements line ' "$folder/complete.json" >"$folder/$output"
    rm "$folder/complete.json"
    echo "$folder/$output: $(grep -c '"purl"' "$folder/$output") packages"
}

cyclonedx requirements mock.cdx.json locks/run.lock
cyclonedx requirements suite.cdx.json locks/conformance.lock
cyclonedx environment development.cdx.json .venv/bin/python
