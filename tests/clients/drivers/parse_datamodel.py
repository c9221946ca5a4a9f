"""Parses answers with models of datamodel-code-generator; prints answer name -> what was parsed as JSON.

Usage: parse_datamodel.py ANSWERS (JSON file), in the folder with `generated.py` and `contract.json`.
"""

import importlib
import json
import sys
from enum import Enum
from pathlib import Path
from typing import Any


def resolve(root: Any, node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        target = root
        for part in node["$ref"].split("/")[1:]:
            target = target[part]
        node = target
    return node


def find_models(root: Any) -> dict[tuple[str, int], str]:
    """Return (operationId, status) -> name of the schema of the body, for responses with a named schema."""
    models = {}
    for item in root["paths"].values():
        for operation in (value for value in item.values() if isinstance(value, dict) and "operationId" in value):
            for status, response in operation["responses"].items():
                schema = resolve(root, response).get("content", {}).get("application/json", {}).get("schema", {})
                if "$ref" in schema:
                    models[operation["operationId"], int(status)] = str(schema["$ref"]).rpartition("/")[2]
    return models


def parse_answer(generated: Any, models: dict[tuple[str, int], str], answer: dict[str, Any]) -> Any:
    """Return the JSON of the record that a model makes of an answer, None if the answer has no body."""
    if answer["body"] is None:
        return None
    model = getattr(generated, models[answer["operation"], answer["status"]])
    record = model.model_validate_json(json.dumps(answer["body"]))
    return json.loads(json.dumps(record.model_dump(by_alias=True, exclude_unset=True), default=to_json))


def to_json(value: Any) -> Any:
    """Return the JSON of a value; a secret as it is, where Pydantic prints asterisks."""
    if isinstance(value, Enum):
        return value.value
    return value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    generated = importlib.import_module("generated")
    models = find_models(json.loads(Path("contract.json").read_bytes()))
    results: dict[str, dict[str, Any]] = {}
    for answer in json.loads(Path(sys.argv[1]).read_bytes()):
        try:
            results[answer["name"]] = {"parsed": parse_answer(generated, models, answer)}
        except Exception as exception:
            results[answer["name"]] = {"error": f"{type(exception).__name__}: {exception}"}
    sys.stdout.write(json.dumps(results) + "\n")


main()
