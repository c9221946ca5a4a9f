"""Converts the schemas of OpenAPI 3.1 to the canonical form."""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from spec.document import KeywordObjects
from spec.patterns import repair_pattern

# Keywords whose value is a schema, a list of schemas, and a map of names to schemas.
SCHEMA_KEYWORDS = frozenset(
    {"items", "not", "if", "then", "else", "contains", "propertyNames", "contentSchema"}
    | {"additionalProperties", "unevaluatedItems", "unevaluatedProperties"}
)
SCHEMA_LIST_KEYWORDS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
SCHEMA_MAP_KEYWORDS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
# Keywords that have no effect in a document whose references are pointers.
_IDENTIFIERS = frozenset({"$id", "$schema", "$anchor", "$comment", "$vocabulary", "$dynamicAnchor"})
# A boolean is the shortest form of these, and valid in OpenAPI 3.0 too.
_BOOLEAN_KEYWORDS = frozenset({"additionalProperties", "unevaluatedItems", "unevaluatedProperties"})
_ANNOTATIONS = frozenset(
    {"title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "externalDocs"}
)
_COMPOSITIONS = frozenset({"allOf", "anyOf", "oneOf"})
_COMPOSITION_STEP = re.compile("/(?:allOf|anyOf|oneOf)/")
NULL_SCHEMA: Mapping[str, Any] = {"type": "string", "nullable": True, "enum": [None]}


@dataclass(frozen=True, slots=True)
class SchemaNormalizer:
    """Converts schemas of OpenAPI 3.1, or those of 3.0 that are not canonical.

    `moves_composition`: whether alternatives and compositions may move or disappear, since no reference enters them.
    """

    is_31: bool
    moves_composition: bool

    @classmethod
    def from_objects(cls, objects: KeywordObjects, *, is_31: bool) -> "SchemaNormalizer":
        """Create the normalizer for the schemas among the objects of a document."""
        references = (node.get("$ref", "") for node, _ in objects)
        return cls(is_31, not any(_COMPOSITION_STEP.search(reference) for reference in references))

    def normalize(self, schema: Any) -> Any:
        """Return the canonical form of a schema and its subschemas. Booleans become objects."""
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        if not isinstance(schema, dict):
            return schema
        result = {k: self._normalize_keyword(k, v) for k, v in schema.items() if k not in _IDENTIFIERS}
        if "$ref" in result and len(result) > 1:
            result = _move_reference(result) if self.is_31 else {"$ref": result["$ref"]}
        if self.is_31:
            _normalize_constant(result)
            _normalize_examples(result)
        _normalize_limits(result)
        if "pattern" in result:
            result["pattern"] = repair_pattern(result["pattern"])
        result = _normalize_types(result)
        return _separate_null(self._merge_null(result)) if self.moves_composition else result

    def _normalize_keyword(self, key: str, value: Any) -> Any:
        if key == "$ref":
            return decode_reference(value)
        if key in _BOOLEAN_KEYWORDS and isinstance(value, bool):
            return value
        if key in SCHEMA_KEYWORDS:
            return self.normalize(value)
        if key in SCHEMA_LIST_KEYWORDS and isinstance(value, list):
            return [self.normalize(part) for part in value]
        if key in SCHEMA_MAP_KEYWORDS and isinstance(value, dict):
            return {name: self.normalize(part) for name, part in value.items()}
        if key == "x-resource" and isinstance(value, dict) and isinstance(value.get("stores"), dict):
            return {**value, "stores": {name: self.normalize(part) for name, part in value["stores"].items()}}
        return value

    def _merge_null(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Replace the alternatives of one inline type and null by that type with `nullable`."""
        keyword = next((k for k in ("anyOf", "oneOf") if k in schema), None)
        if keyword is None or not self.is_31:
            return schema
        others = [part for part in schema[keyword] if part != NULL_SCHEMA]
        if len(others) != 1 or len(schema[keyword]) != 2:
            return schema
        outer = {key: value for key, value in schema.items() if key != keyword}
        inner = others[0]
        if not all(map(_is_annotation, outer)) or "nullable" in inner or not isinstance(inner.get("type"), str):
            return schema
        merged = {**inner, "nullable": True, **outer}
        if "enum" in inner:
            merged["enum"] = [*inner["enum"], None]
        return merged


def is_convertible(node: Mapping[str, Any]) -> bool:
    """Whether the normalizer changes an object of an OpenAPI 3.0 document, if it is a schema."""
    is_nullable = node.get("nullable") is True and "type" not in node and bool(_COMPOSITIONS & node.keys())
    has_limit = any(key in node and not isinstance(node[key], bool) for key in ("exclusiveMinimum", "exclusiveMaximum"))
    is_encoded = "%" in node.get("$ref", "")
    return (
        is_nullable
        or node.get("type") == "null"
        or has_limit
        or is_encoded
        or ("pattern" in node and repair_pattern(node["pattern"]) != node["pattern"])
    )


def decode_reference(reference: str) -> str:
    """Return a reference without percent-encoding: ``#/paths/~1a~1%7Bb%7D`` -> ``#/paths/~1a~1{b}``."""
    return unquote(reference)


def _is_annotation(key: str) -> bool:
    return key in _ANNOTATIONS or key.startswith("x-")


def _separate_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Make null an alternative to a composition: `nullable` without a type would have no effect."""
    if schema.get("nullable") is not True or "type" in schema or not _COMPOSITIONS & schema.keys():
        return schema
    outer = {key: value for key, value in schema.items() if _is_annotation(key)}
    inner = {key: value for key, value in schema.items() if key not in outer and key != "nullable"}
    if inner.keys() == {"anyOf"}:
        return {**outer, "anyOf": [*inner["anyOf"], NULL_SCHEMA]}
    if inner.keys() == {"allOf"} and len(inner["allOf"]) == 1:
        inner = inner["allOf"][0]
    return {**outer, "anyOf": [inner, NULL_SCHEMA]}


def _move_reference(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Move a reference with other keywords next to it to `allOf`, as OpenAPI 3.0 ignores these keywords."""
    siblings = {key: value for key, value in schema.items() if key != "$ref"}
    return {**siblings, "allOf": [{"$ref": schema["$ref"]}, *siblings.get("allOf", ())]}


def _normalize_constant(schema: dict[str, Any]) -> None:
    if "const" in schema and "enum" not in schema:
        schema["enum"] = [schema.pop("const")]


def _normalize_examples(schema: dict[str, Any]) -> None:
    """Name the first of the examples `example`."""
    examples = schema.get("examples")
    if isinstance(examples, list) and examples and "example" not in schema:
        schema["example"] = examples[0]


def _normalize_limits(schema: dict[str, Any]) -> None:
    """Write exclusive limits as `minimum` or `maximum` with a flag, and encodings as formats."""
    for limit, exclusive, is_stricter in (
        ("minimum", "exclusiveMinimum", operator.ge),
        ("maximum", "exclusiveMaximum", operator.le),
    ):
        value = schema.get(exclusive)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if limit in schema and not is_stricter(value, schema[limit]):
            del schema[exclusive]
        else:
            schema |= {limit: value, exclusive: True}
    if schema.get("contentEncoding") == "base64" and "format" not in schema and schema.get("type") == "string":
        schema["format"] = "byte"


def _normalize_types(schema: dict[str, Any]) -> dict[str, Any]:
    """Write a list of types as one type, or as alternatives, and null as `nullable`."""
    types = schema.get("type")
    if types == "null" or types == ["null"]:
        rest = {key: value for key, value in schema.items() if key in _ANNOTATIONS or key.startswith("x-")}
        return {**rest, **NULL_SCHEMA}
    if not isinstance(types, list):
        return schema
    names = [name for name in types if name != "null"]
    null = {"nullable": True} if "null" in types else {}
    if len(names) == 1:
        return {**schema, "type": names[0], **null}
    rest = {key: value for key, value in schema.items() if key != "type"}
    alternatives = [{"type": name, **null} for name in names]
    if "anyOf" not in rest:
        return {**rest, "anyOf": alternatives}
    return {**rest, "allOf": [*rest.get("allOf", ()), {"anyOf": alternatives}]}
