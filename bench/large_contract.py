"""Measures how long the mock takes to start with a large contract.

The contract has as many operations and bytes as given; most of it are schemas, each with many properties and examples,
and each operation refers to several of them. It has no extensions of the mock, as files of other APIs.

    python -m bench.large_contract --operations 1000 --megabytes 10
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

MEGABYTE = 1_000_000
TYPES: tuple[dict[str, Any], ...] = (
    {"type": "string", "maxLength": 100, "pattern": "^[a-z0-9 -]*$"},
    {"type": "integer", "minimum": 0, "format": "int64"},
    {"type": "number", "nullable": True},
    {"type": "boolean", "default": False},
    {"type": "string", "format": "date-time"},
    {"type": "string", "enum": ["created", "running", "finished"]},
)
DESCRIPTION = "Returned in each response; a client may send it, and the server keeps it until the next change. "


def build_contract(operations: int, size: int) -> dict[str, Any]:
    """Return a contract with about `size` bytes as indented JSON."""
    resources = max(operations // 5, 1)
    schema_bytes = size // resources
    schemas = {f"Model{i}": build_schema(i, resources, schema_bytes) for i in range(resources)}
    paths: dict[str, Any] = {}
    for i in range(resources):
        body = {"required": True, "content": build_content(f"Model{i}")}
        one = {"200": {"description": "OK", "content": build_content(f"Model{i}")}, "404": build_error()}
        key = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
        page = {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1}}
        many = {"200": {"description": "OK", "content": build_content(f"Model{i}", many=True)}}
        paths[f"/models{i}"] = {
            "get": {"operationId": f"list{i}", "parameters": [page], "responses": many},
            "post": {"operationId": f"create{i}", "requestBody": body, "responses": {"201": one["200"]}},
        }
        paths[f"/models{i}/{{id}}"] = {
            "parameters": [key],
            "get": {"operationId": f"retrieve{i}", "responses": one},
            "put": {"operationId": f"update{i}", "requestBody": body, "responses": one},
            "delete": {"operationId": f"delete{i}", "responses": {"204": {"description": "Deleted"}}},
        }
    info = {"title": "Large", "version": "1"}
    error = {"type": "object", "properties": {"message": {"type": "string"}}}
    return {
        "openapi": "3.0.3",
        "info": info,
        "paths": paths,
        "components": {"schemas": {**schemas, "Error": error}},
    }


def build_schema(index: int, count: int, size: int) -> dict[str, Any]:
    """Return an object of about `size` bytes that refers to the next schemas."""
    properties: dict[str, Any] = {
        f"related_{n}": {"$ref": f"#/components/schemas/Model{(index + n) % count}"} for n in range(1, 4)
    }
    while len(json.dumps(properties, indent=1)) < size - 3_000 or len(properties) < 5:
        for _ in range(8):
            number = len(properties)
            properties[f"field_{number}"] = {
                **TYPES[number % len(TYPES)],
                "description": DESCRIPTION,
                "x-order": number,
            }
    return {"type": "object", "required": ["field_3"], "properties": properties}


def build_content(name: str, *, many: bool = False) -> dict[str, Any]:
    """Return the content of a body: one object, or a list."""
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name}"}
    return {"application/json": {"schema": {"type": "array", "items": schema} if many else schema}}


def build_error() -> dict[str, Any]:
    """Return the response of an error."""
    return {"description": "Not found", "content": build_content("Error")}


def measure_start(path: Path, cache: Path) -> float:
    """Start the mock, wait for its banner and stop it. Returns seconds."""
    command = [sys.executable, "-m", "mock_server", "--contract", str(path), "--dataset", "plain", "--port", "0"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    started_at = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        elapsed = time.perf_counter() - started_at
        process.kill()
    if not line:
        raise SystemExit("the mock did not start")
    return elapsed


def main() -> None:
    """Print the size of the file, the time of the first start and that of the next ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--format", choices=("yaml", "json"), default="yaml")
    parser.add_argument("--output", type=Path, help="write the contract only")
    options = parser.parse_args()
    contract = build_contract(options.operations, int(options.megabytes * MEGABYTE))
    text = json.dumps(contract, indent=1)
    if options.format == "yaml":
        text = yaml.dump(contract, Dumper=yaml.CSafeDumper, sort_keys=False)
    if options.output:
        options.output.write_text(text)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"large.{options.format}"
        path.write_text(text)
        times = [measure_start(path, Path(folder)) for _ in range(3)]
    print(f"{len(text) / MEGABYTE:.1f} MB of {options.format}, {options.operations} operations")
    print(f"first start {times[0]:.1f} s, next {min(times[1:]):.1f} s")


if __name__ == "__main__":
    main()
