"""Checks the JSON type of each OpenAPI keyword, so that the parsers need not."""

from collections.abc import Callable, Mapping
from typing import Any

from spec.document import METHODS, Document, escape, iter_keyword_objects
from spec.errors import ContractError, invalid_value
from spec.patterns import check_pattern


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_object_map(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_object, value.values()))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_object_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_object, value))


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_string_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_string, value))


# Keyword -> predicate for valid values and their description.
KEYWORD_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        (*METHODS, "requestBody", "schema", "items", "not", "components", "x-resource"), (_is_object, "a mapping")
    ),
    **dict.fromkeys(
        ("properties", "schemas", "responses", "content", "headers", "requestBodies", "securitySchemes", "paths"),
        (_is_object_map, "a mapping of names to mappings"),
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "servers", "security"), (_is_object_list, "a list of mappings")),
    **dict.fromkeys(("enum", "tags", "x-effects"), (_is_list, "a list")),
    **dict.fromkeys(("$ref", "operationId", "type", "format", "x-action"), (_is_string, "a string")),
    "required": (
        lambda value: isinstance(value, bool) or _is_string_list(value),
        "a list of names, or a boolean for a parameter",
    ),
    "additionalProperties": (lambda value: isinstance(value, (bool, dict)), "a mapping or a boolean"),
}


def check_keyword_types(document: Document) -> None:
    """Raise ContractError for a keyword whose value has another type than OpenAPI 3.0 defines."""
    for node, pointer in iter_keyword_objects(document.root):
        if pointer.rpartition("/")[0].endswith("/links"):
            continue
        _check_keyword_values(node, pointer)
        check_pattern(node, pointer)
        if "properties" in node and not _is_string_list(node.get("required", [])):
            raise ContractError(f"{pointer}/required", invalid_value(node["required"]), "a list of names")
        if "parameters" in node:
            _check_parameters(node["parameters"], f"{pointer}/parameters")
    for path in document.root.get("paths", {}):
        if not path.startswith("/"):
            raise ContractError(f"#/paths/{escape(path)}", invalid_value(path), "a path that starts with /")


def _check_keyword_values(node: Mapping[str, Any], pointer: str) -> None:
    for key, value in node.items():
        is_valid, expected = KEYWORD_TYPES.get(key, (None, ""))
        if is_valid is not None and not is_valid(value):
            raise ContractError(f"{pointer}/{escape(key)}", invalid_value(value), expected)


def _check_parameters(value: Any, location: str) -> None:
    """Check a list of parameters, or a mapping in the components."""
    if not (_is_object_list(value) or _is_object_map(value)):
        raise ContractError(location, invalid_value(value), "a list of mappings")
    for key, node in value.items() if isinstance(value, dict) else enumerate(value):
        for field in ("name", "in"):
            if "$ref" not in node and not _is_string(node.get(field)):
                raise ContractError(f"{location}/{escape(str(key))}", f"missing {field}", f"{field}: a string")
