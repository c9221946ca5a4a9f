"""Conversion of OpenAPI 3.0 documents to OpenAPI 3.1, whose schemas are JSON Schema 2020-12."""

from collections.abc import Mapping
from typing import Any

from spec.document import is_literal, maps_names

VERSION = "3.1.0"
_NO_SCHEMAS = frozenset({"discriminator", "externalDocs", "xml"})
_ANNOTATIONS = frozenset({"description", "title", "deprecated", "readOnly", "writeOnly", "examples", "default"})
_NULL: Mapping[str, Any] = {"type": "null"}


def convert_to_31(root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 form of an OpenAPI 3.0 document."""
    return {**_convert(root, is_schema=False, keys_are_names=False), "openapi": VERSION}


def _convert(node: Any, *, is_schema: bool, keys_are_names: bool) -> Any:
    if isinstance(node, list):
        return [_convert(value, is_schema=is_schema, keys_are_names=False) for value in node]
    if not isinstance(node, dict):
        return node
    if keys_are_names:
        return {name: _convert(value, is_schema=is_schema, keys_are_names=False) for name, value in node.items()}
    converted = {
        key: value
        if is_literal(key)
        else _convert(
            value,
            is_schema=key in ("schema", "schemas") or (is_schema and key not in _NO_SCHEMAS),
            keys_are_names=maps_names(key, value),
        )
        for key, value in node.items()
    }
    return _convert_schema(converted) if is_schema else converted


def _convert_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Convert the keywords of one schema; its subschemas are converted already."""
    if schema.get("enum") == [None]:
        return {**{k: v for k, v in schema.items() if k in _ANNOTATIONS}, **_NULL}
    nullable = schema.pop("nullable", False)
    _convert_limits(schema)
    _convert_format(schema)
    if "example" in schema:
        schema = {"examples" if k == "example" else k: [v] if k == "example" else v for k, v in schema.items()}
    schema = _unwrap_reference(schema)
    return _allow_null(schema) if nullable else schema


def _convert_limits(schema: dict[str, Any]) -> None:
    """Replace boolean `exclusiveMinimum` and `exclusiveMaximum` by numbers."""
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        value = schema.get(exclusive)
        if isinstance(value, bool):
            del schema[exclusive]
            if value and limit in schema:
                schema[exclusive] = schema.pop(limit)


def _convert_format(schema: dict[str, Any]) -> None:
    """Replace the formats for encoded and binary strings."""
    if schema.get("format") == "byte":
        del schema["format"]
        schema["contentEncoding"] = "base64"
    elif schema.get("format") == "binary":
        del schema["format"]
        schema["contentMediaType"] = "application/octet-stream"


def _unwrap_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """Write ``allOf`` of one reference as the reference: 3.1 allows a description next to it."""
    parts = schema.get("allOf")
    if not (isinstance(parts, list) and len(parts) == 1 and set(parts[0]) == {"$ref"}):
        return schema
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    return {**parts[0], **rest} if set(rest) <= _ANNOTATIONS else schema


def _allow_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that also accepts null."""
    if "$ref" in schema or "allOf" in schema:
        annotations = {key: value for key, value in schema.items() if key in _ANNOTATIONS}
        rest = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        return {**annotations, "anyOf": [rest, dict(_NULL)]}
    converted = dict(schema)
    if "type" in schema:
        converted["type"] = [schema["type"], "null"]
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and not any(_accepts_null(part) for part in schema[keyword]):
            converted[keyword] = [*schema[keyword], dict(_NULL)]
    if "enum" in schema and None not in schema["enum"]:
        converted["enum"] = [*schema["enum"], None]
    return converted


def _accepts_null(schema: Mapping[str, Any]) -> bool:
    types = schema.get("type")
    return types == "null" or (isinstance(types, list) and "null" in types)
