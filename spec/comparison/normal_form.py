"""One form for documents of OpenAPI 3.0 and 3.1, so that they can be compared."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from spec.document import MAX_DEPTH, Document
from spec.document_checks.keyword_types import check_structure
from spec.errors import ContractError, invalid_value
from spec.line_numbers import add_lines
from spec.publishing.openapi31 import convert_to_31

_VERSION = re.compile(r"3\.([01])(\.\d+)?(-.+)?")
_ANNOTATIONS = frozenset({"description", "title", "summary", "deprecated", "example", "examples", "default"})


def normalize(document: Document) -> Document:
    """Return the OpenAPI 3.1 form of a document of OpenAPI 3.0 or 3.1. Raises ContractError if it is neither."""
    root = document.root
    match = _VERSION.fullmatch(str(root.get("openapi", "")))
    if match is None:
        raise ContractError(document.name, f"got {_name_format(root)}", "OpenAPI 3.0 or 3.1")
    for section in ("info", "paths"):
        if section not in root:
            raise ContractError(document.name, f"missing {section}", f"{section}: a mapping")
        if not isinstance(root[section], dict):
            raise ContractError(f"{document.name}: #/{section}", invalid_value(root[section]), "a mapping")
    is_31 = match[1] == "1"
    try:
        check_structure(document, is_31=is_31)
    except ContractError as error:
        raise add_lines(error, document) from None
    return document if is_31 else replace(document, root=convert_to_31(root))


def _name_format(root: Mapping[str, Any]) -> str:
    for key in ("openapi", "swagger"):
        if key in root:
            return f"{key} {root[key]}"
    return "a file without the key openapi"


def list_types(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of a schema; without `type`, an empty list."""
    types = schema.get("type", [])
    return list(types) if isinstance(types, list) else [types]


def simplify(schema: Mapping[str, Any], document: Document) -> tuple[Mapping[str, Any], bool]:
    """Return a schema of OpenAPI 3.1 without null, and whether it accepts null.

    ``anyOf: [{$ref: A}, {type: null}]`` gives ``anyOf: [{$ref: A}]`` and True. An `allOf` with one part is merged with
    that part.
    """
    accepts_null = False
    for keyword in ("anyOf", "oneOf"):
        parts = schema.get(keyword, [])
        others = [part for part in parts if not _is_null(part, document)]
        if others and len(others) < len(parts):
            schema, accepts_null = {**schema, keyword: others}, True
    schema = _unwrap(schema, "allOf")
    types = list_types(schema)
    if "null" in types and len(types) > 1:
        accepts_null |= None in schema.get("enum", [None])
        schema = {**schema, "type": [name for name in types if name != "null"]}
    if accepts_null and "enum" in schema:
        schema = {**schema, "enum": [value for value in schema["enum"] if value is not None]}
    return schema, accepts_null


def unwrap_alternatives(schemas: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Merge an `anyOf` or `oneOf` of one part with that part, if no schema has more alternatives."""
    schemas = list(schemas)
    if any(len(schema.get(keyword, [])) > 1 for schema in schemas for keyword in ("anyOf", "oneOf")):
        return schemas
    return [_unwrap(_unwrap(schema, "anyOf"), "oneOf") for schema in schemas]


def inline(schema: Mapping[str, Any], document: Document) -> tuple[Mapping[str, Any], bool]:
    """Return the simplified schema that a schema refers to, with the keywords next to the reference, and null."""
    schema, accepts_null = simplify(schema, document)
    for _ in range(MAX_DEPTH):
        if "$ref" not in schema:
            return schema, accepts_null
        target = document.resolve(schema["$ref"])
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        schema, null = simplify({**(target if isinstance(target, dict) else {}), **siblings}, document)
        accepts_null |= null
    raise ContractError(schema["$ref"], "circular reference", "a reference that ends at an object")


def _is_null(part: Any, document: Document) -> bool:
    if not isinstance(part, dict):
        return False
    schema, _ = document.dereference(part, "")
    return list_types(schema) == ["null"] or schema.get("enum") == [None]


def _unwrap(schema: Mapping[str, Any], keyword: str) -> Mapping[str, Any]:
    """Merge a composition of one part with that part, unless a constraint of both would be lost."""
    parts = schema.get(keyword, [])
    if len(parts) != 1 or not isinstance(parts[0], dict):
        return schema
    rest = {key: value for key, value in schema.items() if key != keyword}
    is_lossy = (parts[0].keys() & rest.keys()) - _ANNOTATIONS
    return schema if is_lossy else {**parts[0], **rest}
