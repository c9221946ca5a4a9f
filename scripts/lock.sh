#!/bin/sh
# Writes the lock files from pyproject.toml, each for Python 3.11 to 3.13 on Linux, macOS and Windows.
# Locked versions stay; --upgrade updates them.
#
#   requirements.lock      everything for development: commands, tests, linters
#   locks/conformance.lock only the commands athena-mock and athena-conformance, at the same versions (Dockerfile)
#   locks/run.lock         only the command athena-mock, at the same versions (Dockerfile)
#   locks/browser.lock     additional packages of the browser tests
#   locks/docs.lock        additional packages of the documentation site
#   locks/charts.lock      additional packages of the charts of benchmarks
#   locks/tools.lock       tools with an environment apart from .venv: linters of examples, SBOM, audit (scripts/tools.sh)
#   locks/clients.lock     client generators with an environment apart from .venv (scripts/clients.sh)
#   locks/bootstrap.lock   virtualenv, for a Python without venv
set -eu
cd "$(dirname "$0")/.."

uv_home=$(mktemp -d)
trap 'rm -rf "$uv_home"' EXIT
python=$(scripts/install.sh python)
PIP_REQUIRE_VIRTUALENV=0 "$python" -m pip install --quiet --disable-pip-version-check --target "$uv_home" uv==0.13.9

compile() { # source, output, options
    source=$1 output=$2
    shift 2
    "$uv_home/bin/uv" pip compile "$source" --quiet --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command 'make lock' --output-file "$output" "$@" >/dev/null
}

compile pyproject.toml requirements.lock --extra dev "$@"
compile pyproject.toml locks/conformance.lock --extra build --extra conformance --constraints requirements.lock "$@"
compile pyproject.toml locks/run.lock --extra build --extra tls --constraints requirements.lock "$@"
compile locks/browser.in locks/browser.lock --constraints requirements.lock "$@"
compile locks/docs.in locks/docs.lock --constraints requirements.lock "$@"
compile locks/charts.in locks/charts.lock --constraints requirements.lock "$@"
compile locks/tools.in locks/tools.lock "$@"
compile locks/clients.in locks/clients.lock "$@"
compile locks/bootstrap.in locks/bootstrap.lock "$@"
