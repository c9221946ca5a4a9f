"""The one translation from an OpenAPI 3.0 schema to a compiled validator (JSON Schema Draft 2020-12).

Draft 4 and 7 of jsonschema-rs accept ``AAA`` as a uuid and call 1.0 no integer, so everything becomes 2020-12. What
3.0 says in its own way is written out: ``nullable``, boolean ``exclusiveMinimum``, and who may send what: ``read``
(an answer) has no writeOnly properties, ``write`` (a request) ignores readOnly ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jsonschema_rs

from spec.document import Document, split_pointer

Direction = Literal["read", "write"]

# Said otherwise in 2020-12, or nothing that a value could break.
_TRANSLATED_KEYWORDS = frozenset(
    {"nullable", "readOnly", "writeOnly", "required", "exclusiveMinimum", "exclusiveMaximum", "default", "example"}
    | {"externalDocs", "xml", "discriminator", "deprecated", "description", "title"}
)
_SCHEMA_MAP_KEYWORDS = frozenset({"properties", "patternProperties"})
_SCHEMA_LIST_KEYWORDS = frozenset({"allOf", "anyOf", "oneOf"})
_SCHEMA_KEYWORDS = frozenset({"items", "not", "additionalProperties"})


class SchemaViolation(Protocol):
    """One way in which a value breaks its schema."""

    @property
    def message(self) -> str: ...
    @property
    def instance_path(self) -> list[Any]: ...
    @property
    def schema_path(self) -> list[Any]: ...
    @property
    def kind(self) -> Any: ...
    @property
    def instance(self) -> Any: ...


class Validator(Protocol):
    """A compiled schema."""

    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterable[SchemaViolation]: ...


@dataclass(frozen=True, slots=True)
class SchemaValidators:
    """Validators of one document, compiled when first asked for and kept in `cache`."""

    document: Document
    cache: dict[tuple[str, Direction], Validator]

    @classmethod
    def from_document(cls, document: Document) -> "SchemaValidators":
        """The validators of `document`."""
        return cls(document, {})

    def get(self, pointer: str, direction: Direction) -> Validator:
        """The validator of the schema at `pointer`, for answers (``read``) or requests (``write``)."""
        validator = self.cache.get((pointer, direction))
        if validator is None:
            schema = build_standalone_schema(self.document, self.document.resolve(pointer), direction)
            validator = self.cache[pointer, direction] = jsonschema_rs.Draft202012Validator(
                schema, validate_formats=True
            )
        return validator

    def build_without_required(self, pointer: str, direction: Direction) -> Validator:
        """A validator of what the schema at `pointer` says beside which properties are required at its top."""
        schema, _ = self.document.dereference(self.document.resolve(pointer), pointer)
        relaxed = {keyword: value for keyword, value in schema.items() if keyword != "required"}
        return jsonschema_rs.Draft202012Validator(
            build_standalone_schema(self.document, relaxed, direction), validate_formats=True
        )


def build_standalone_schema(document: Document, schema: Mapping[str, Any], direction: Direction) -> dict[str, Any]:
    """`schema` translated, with everything that it refers to at the place it stands in the document."""
    pending: list[str] = []
    root: dict[str, Any] = {"allOf": [translate_schema(schema, direction, pending.append)]}
    visited: set[str] = set()
    while pending:
        pointer = pending.pop()
        if pointer in visited:
            continue
        visited.add(pointer)
        *parents, last = split_pointer(pointer)
        container: Any = root
        for part in parents:
            container = container[int(part)] if isinstance(container, list) else container.setdefault(part, {})
        container[int(last) if isinstance(container, list) else last] = translate_schema(
            document.resolve(pointer), direction, pending.append
        )
    return root


def translate_schema(
    schema: Mapping[str, Any], direction: Direction, on_reference: Callable[[str], Any]
) -> dict[str, Any]:
    """One schema as Draft 2020-12; `on_reference` is told each reference."""
    if "$ref" in schema:
        on_reference(schema["$ref"])
        return {"$ref": schema["$ref"]}
    exclusion_keyword = "writeOnly" if direction == "read" else "readOnly"
    excluded_names = {
        name
        for keyword in _SCHEMA_MAP_KEYWORDS
        for name, subschema in schema.get(keyword, {}).items()
        if _has_flag(subschema, exclusion_keyword)
    }

    def translate_value(key: str, value: Any) -> Any:
        if key in _SCHEMA_MAP_KEYWORDS:
            properties = {
                k: translate_schema(v, direction, on_reference) for k, v in value.items() if k not in excluded_names
            }
            # Hidden ones are refused in an answer; server-set ones are ignored when sent.
            return properties | dict.fromkeys(excluded_names & value.keys(), direction == "write")
        if key in _SCHEMA_LIST_KEYWORDS:
            return [translate_schema(v, direction, on_reference) for v in value]
        if key in _SCHEMA_KEYWORDS and isinstance(value, dict):
            return translate_schema(value, direction, on_reference)
        return value

    result = {
        k: translate_value(k, v) for k, v in schema.items() if k not in _TRANSLATED_KEYWORDS and not k.startswith("x-")
    }
    _translate_keywords(schema, result, excluded_names)
    return result


def _translate_keywords(schema: Mapping[str, Any], result: dict[str, Any], excluded_names: set[str]) -> None:
    """Write out what 3.0 says in its own way."""
    for bound in ("Minimum", "Maximum"):
        if schema.get(f"exclusive{bound}") is True and bound.lower() in result:
            result[f"exclusive{bound}"] = result.pop(bound.lower())
    required = [name for name in schema.get("required", ()) if name not in excluded_names]
    if required:
        result["required"] = required
    if schema.get("nullable") is True and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]


def _has_flag(schema: Any, keyword: str) -> bool:
    return isinstance(schema, dict) and schema.get(keyword) is True
