"""Checks the JSON type of each OpenAPI keyword, so that the parsers need not."""

from collections.abc import Callable, Iterator, Mapping
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


def _is_extensible_map(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_object(v) for key, v in value.items() if not key.startswith("x-"))


def _is_schema(value: Any) -> bool:
    return isinstance(value, (dict, bool))


def _is_schema_map(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _is_schema_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_schema, value))


KeywordType = tuple[Callable[[Any], bool], str]
# Keyword -> predicate for valid values and their description.
KEYWORD_TYPES: Mapping[str, KeywordType] = {
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


# Keywords of which files of other authors may have other values: extensions next to paths and responses.
_EXTENSIBLE_TYPES = {
    **KEYWORD_TYPES,
    **dict.fromkeys(("paths", "responses"), (_is_extensible_map, "a mapping of names to mappings")),
}
# OpenAPI 3.1: a schema may be a boolean, and have several types.
_TYPES_OF_31 = {
    **_EXTENSIBLE_TYPES,
    **dict.fromkeys(("schema", "items", "not"), (_is_schema, "a mapping or a boolean")),
    **dict.fromkeys(("properties", "schemas"), (_is_schema_map, "a mapping of names to schemas")),
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), (_is_schema_list, "a list of schemas")),
    "type": (lambda value: _is_string(value) or _is_string_list(value), "a string or a list of strings"),
}


def check_keyword_types(document: Document, *, is_31: bool) -> None:
    """Raise ContractError for a keyword whose value has another type than OpenAPI 3.0, or 3.1, defines."""
    for node, pointer in _iter_checked_objects(document, _TYPES_OF_31 if is_31 else _EXTENSIBLE_TYPES):
        check_pattern(node, pointer)
    for path in document.root.get("paths", {}):
        if not path.startswith(("/", "x-")):
            raise ContractError(f"#/paths/{escape(path)}", invalid_value(path), "a path that starts with /")


def check_structure(document: Document, *, is_31: bool) -> None:
    """Raise ContractError for a keyword whose value has another type than OpenAPI 3.0, or 3.1, defines.

    For files of any author: extensions are accepted everywhere, and patterns are not checked.
    """
    for _ in _iter_checked_objects(document, _TYPES_OF_31 if is_31 else _EXTENSIBLE_TYPES):
        pass


def _iter_checked_objects(
    document: Document, types: Mapping[str, KeywordType]
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the objects whose keys are keywords, with their pointers, each after its keywords have been checked."""
    for node, pointer in iter_keyword_objects(document.root):
        if pointer.rpartition("/")[0].endswith("/links"):
            continue
        _check_keyword_values(node, pointer, types)
        if "properties" in node and not _is_string_list(node.get("required", [])):
            raise ContractError(f"{pointer}/required", invalid_value(node["required"]), "a list of names")
        if "parameters" in node:
            _check_parameters(node["parameters"], f"{pointer}/parameters")
        yield node, pointer


def _check_keyword_values(node: Mapping[str, Any], pointer: str, types: Mapping[str, KeywordType]) -> None:
    for key, value in node.items():
        is_valid, expected = types.get(key, (None, ""))
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
