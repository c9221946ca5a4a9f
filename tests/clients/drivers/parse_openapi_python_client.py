"""Parses answers with a client of openapi-python-client; prints answer name -> what was parsed as JSON.

Usage: parse_openapi_python_client.py ANSWERS (JSON file), in the folder with the package `generated`.
"""

import importlib
import json
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx


def list_modules() -> dict[str, ModuleType]:
    """Return the module of each operation by its name."""
    api = importlib.import_module("generated.api")
    found = pkgutil.walk_packages(api.__path__, "generated.api.")
    return {info.name.rpartition(".")[2]: importlib.import_module(info.name) for info in found if not info.ispkg}


def parse_answer(modules: dict[str, ModuleType], client: Any, answer: dict[str, Any]) -> Any:
    """Return the JSON of the record that the client makes of an answer, None if it makes none."""
    module = modules[re.sub("(?<=[a-z])(?=[A-Z])", "_", answer["operation"]).lower()]
    content = b"" if answer["body"] is None else json.dumps(answer["body"]).encode()
    parsed = module._build_response(client=client, response=httpx.Response(answer["status"], content=content)).parsed
    return None if parsed is None else parsed.to_dict()


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    client = importlib.import_module("generated.client").Client(base_url="http://x", raise_on_unexpected_status=True)
    modules = list_modules()
    results: dict[str, dict[str, Any]] = {}
    for answer in json.loads(Path(sys.argv[1]).read_bytes()):
        try:
            results[answer["name"]] = {"parsed": parse_answer(modules, client, answer)}
        except Exception as exception:
            results[answer["name"]] = {"error": f"{type(exception).__name__}: {exception}"}
    sys.stdout.write(json.dumps(results) + "\n")


main()
