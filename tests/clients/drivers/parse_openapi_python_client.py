"""Parses answers with a client of openapi-python-client; prints answer name -> error as JSON.

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
from compare import find_difference


def list_modules() -> dict[str, ModuleType]:
    """Return the module of each operation by its name."""
    api = importlib.import_module("generated.api")
    found = pkgutil.walk_packages(api.__path__, "generated.api.")
    return {info.name.rpartition(".")[2]: importlib.import_module(info.name) for info in found if not info.ispkg}


def parse_answer(modules: dict[str, ModuleType], client: Any, answer: dict[str, Any]) -> str:
    """Return why the client cannot parse an answer, "" if it can."""
    module = modules.get(re.sub("(?<=[a-z])(?=[A-Z])", "_", answer["operation"]).lower())
    if module is None:
        return "the client has no such operation"
    content = b"" if answer["body"] is None else json.dumps(answer["body"]).encode()
    parsed = module._build_response(client=client, response=httpx.Response(answer["status"], content=content)).parsed
    if answer["body"] is None:
        return "" if parsed is None else f"got {parsed!r}, expected no body"
    return "the response is not parsed" if parsed is None else find_difference(answer["body"], parsed.to_dict())


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    client = importlib.import_module("generated.client").Client(base_url="http://x", raise_on_unexpected_status=True)
    modules = list_modules()
    errors = {}
    for answer in json.loads(Path(sys.argv[1]).read_bytes()):
        try:
            error = parse_answer(modules, client, answer)
        except Exception as exception:
            error = f"{type(exception).__name__}: {exception}"
        if error:
            errors[answer["name"]] = error
    sys.stdout.write(json.dumps(errors) + "\n")


main()
