"""Translates the schemas of contracts to JSON Schema Draft 2020-12 and compiles validators.

Draft 4 and 7 of jsonschema-rs accept ``AAA`` as a uuid and reject 1.0 as an integer; Draft 2020-12 does not. The
translation covers ``nullable``, boolean ``exclusiveMinimum``, the discriminator of a ``oneOf``, and the direction:
``read`` (a response) forbids writeOnly properties, ``write`` (a request) ignores readOnly properties.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import quote

import jsonschema_rs

from spec.component_schemas import ComponentSchemas
from spec.composition.discriminators import list_discriminator_values
from spec.composition.excluded_properties import PROPERTY_KEYWORDS, ExcludedProperties
from spec.document import Document, split_pointer
from spec.model import BodyField
from spec.normalization.schemas import SCHEMA_KEYWORDS, SCHEMA_LIST_KEYWORDS, SCHEMA_MAP_KEYWORDS
from spec.patterns import BACKTRACK_LIMIT, MAX_BACKTRACKING_CHARS, is_linear

Direction = Literal["read", "write"]

# Keywords that are translated to others, and annotations.
_TRANSLATED_KEYWORDS = frozenset(
    {"nullable", "readOnly", "writeOnly", "required", "exclusiveMinimum", "exclusiveMaximum", "default", "example"}
    | {"externalDocs", "xml", "discriminator", "deprecated", "description", "title"}
)
_REFERENCE_CHARACTERS = "#/~%:!$&'()*+,;=?@"  # of a URI; others are percent-encoded
_OBJECT_KEYWORDS = PROPERTY_KEYWORDS | {"required", "allOf", "oneOf", "anyOf"}


class SchemaViolation(Protocol):
    """A validation error of jsonschema-rs."""

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
    """Validators of one document, compiled on first use."""

    document: Document
    cache: dict[tuple[str, Direction], Validator]

    @classmethod
    def from_document(cls, document: Document) -> "SchemaValidators":
        """Create the validators of `document` with an empty cache."""
        return cls(document, {})

    def get(self, pointer: str, direction: Direction) -> Validator:
        """Return the validator of the schema at `pointer`, for responses (``read``) or requests (``write``)."""
        validator = self.cache.get((pointer, direction))
        if validator is None:
            schema = build_standalone_schema(self.document, self.document.resolve(pointer), direction)
            validator = _compile(schema)
            self.cache[pointer, direction] = validator
        return validator

    def get_field(self, field: BodyField, direction: Direction) -> Validator:
        """Return the validator of a property of a body, which several parts of an `allOf` may define."""
        if field.schema == self.document.resolve(field.pointer):
            return self.get(field.pointer, direction)
        key = (f"{field.pointer} and others", direction)
        if key not in self.cache:
            self.cache[key] = _compile(build_standalone_schema(self.document, field.schema, direction))
        return self.cache[key]

    def is_valid(self, schema: Any, instance: Any, direction: Direction = "read") -> bool:
        """Whether a value is valid against a schema of the document. Compiles the schema."""
        if isinstance(schema, bool):
            return schema
        return _compile(build_standalone_schema(self.document, schema, direction)).is_valid(instance)

    def build_without_required(self, pointer: str, direction: Direction) -> Validator:
        """Build a validator of the schema at `pointer` that ignores the `required` at its top."""
        schema, _ = self.document.dereference(self.document.resolve(pointer), pointer)
        relaxed = {keyword: value for keyword, value in schema.items() if keyword != "required"}
        relaxed = build_standalone_schema(self.document, relaxed, direction)
        return _compile(relaxed)

    def build_for_properties(self, properties: Mapping[str, Mapping[str, Any]]) -> Validator:
        """Build a validator of an object of these optional properties, also if they are read-only or write-only."""
        flags = ("readOnly", "writeOnly")
        stored = {name: {k: v for k, v in node.items() if k not in flags} for name, node in properties.items()}
        schema = {"type": "object", "properties": stored, "additionalProperties": False}
        standalone = build_standalone_schema(self.document, schema, "read")
        return _compile(standalone)


def _compile(schema: Mapping[str, Any]) -> Validator:
    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACK_LIMIT)
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, pattern_options=patterns)


def build_standalone_schema(document: Document, schema: Mapping[str, Any], direction: Direction) -> dict[str, Any]:
    """Translate `schema` and embed each schema it refers to, at the same pointer as in the document."""
    pending: list[str] = []
    translator = _Translator.create(direction, pending.append, ComponentSchemas.from_document(document))
    root: dict[str, Any] = {"allOf": [translator.translate(schema)]}
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
        container[int(last) if isinstance(container, list) else last] = translator.translate(document.resolve(pointer))
    return root


def translate_schema(
    schema: Mapping[str, Any],
    direction: Direction,
    on_reference: Callable[[str], Any],
    components: ComponentSchemas,
) -> dict[str, Any]:
    """Translate one schema to Draft 2020-12 and call `on_reference` with each reference."""
    return _Translator.create(direction, on_reference, components).translate(schema)


@dataclass(frozen=True, slots=True)
class _Translator:
    """Translates schemas for one direction."""

    direction: Direction
    on_reference: Callable[[str], Any]
    exclusions: ExcludedProperties

    @classmethod
    def create(
        cls, direction: Direction, on_reference: Callable[[str], Any], components: ComponentSchemas
    ) -> "_Translator":
        flag = "writeOnly" if direction == "read" else "readOnly"
        return cls(direction, on_reference, ExcludedProperties(components, flag))

    def translate(self, schema: Mapping[str, Any], inherited: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Translate a schema. `inherited`: the properties that the schema around a composition excludes."""
        if "$ref" in schema:
            return self._translate_reference(schema, inherited)
        excluded = inherited
        if schema.keys() & _OBJECT_KEYWORDS:
            excluded |= self.exclusions.find(schema).excluded
        result = {k: self._translate_value(k, v, excluded) for k, v in schema.items() if _is_copied(k)}
        _translate_keywords(schema, result, excluded)
        _translate_discriminator(schema, result)
        return result

    def _translate_reference(self, schema: Mapping[str, Any], inherited: frozenset[str]) -> dict[str, Any]:
        """Translate a reference; embed the schema itself if the schema around it excludes more of its properties."""
        if inherited:
            names = self.exclusions.find(schema)
            if (inherited - names.excluded) & (names.defined | names.required):
                target, _ = self.exclusions.components.document.dereference(schema, "")
                return self.translate(target, inherited)
        self.on_reference(schema["$ref"])
        return {"$ref": quote(schema["$ref"], safe=_REFERENCE_CHARACTERS)}

    def _translate_value(self, key: str, value: Any, excluded: frozenset[str]) -> Any:
        if key in PROPERTY_KEYWORDS:
            properties = {k: self.translate(v) for k, v in value.items() if k not in excluded}
            # A response must not contain writeOnly properties; in a request any readOnly value is accepted.
            return properties | dict.fromkeys(excluded & value.keys(), self.direction == "write")
        if key in SCHEMA_MAP_KEYWORDS:
            return {k: self.translate(v) for k, v in value.items()}
        if key in ("oneOf", "anyOf"):
            return [self._translate_option(v, excluded) for v in value]
        if key in SCHEMA_LIST_KEYWORDS:
            return [self.translate(v, excluded if key == "allOf" else frozenset()) for v in value]
        if key in SCHEMA_KEYWORDS and isinstance(value, dict):
            return self.translate(value, excluded if key in ("then", "else") else frozenset())
        return value

    def _translate_option(self, option: Mapping[str, Any], excluded: frozenset[str]) -> dict[str, Any]:
        """Translate an option of `oneOf` or `anyOf`; one that only requires excluded properties must not accept all."""
        is_condition = option.keys() == {"required"} and excluded.issuperset(option["required"])
        return self.translate(option, frozenset() if is_condition else excluded)


def _translate_discriminator(schema: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Restrict the options of a `oneOf` to the one that the discriminator of a value names, if it names any.

    Without this, a value that several options accept would be invalid.
    """
    discriminator, references = schema.get("discriminator"), [part.get("$ref", "") for part in schema.get("oneOf", ())]
    if not references or not all(references) or not isinstance(discriminator, dict):
        return
    name = discriminator.get("propertyName")
    if not isinstance(name, str):
        return
    values = [list_discriminator_values(discriminator, reference) for reference in references]
    known = [value for listed in values for value in listed]
    result["oneOf"] = [
        {"if": _require_value(name, known), "then": {"allOf": [option, _require_value(name, listed)]}, "else": option}
        for option, listed in zip(result["oneOf"], values, strict=True)
    ]


def _require_value(name: str, values: list[str]) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: {"enum": values}}}


def _translate_keywords(schema: Mapping[str, Any], result: dict[str, Any], excluded_names: frozenset[str]) -> None:
    """Translate exclusive bounds, `required` and `nullable`."""
    for bound in ("Minimum", "Maximum"):
        if schema.get(f"exclusive{bound}") is True and bound.lower() in result:
            result[f"exclusive{bound}"] = result.pop(bound.lower())
    required = [name for name in schema.get("required", ()) if name not in excluded_names]
    if required:
        result["required"] = required
    if schema.get("nullable") is True and isinstance(result.get("type"), str):
        result["type"] = [result["type"], "null"]
    if "pattern" in result and not is_linear(result["pattern"]):  # only a short text must match
        condition = {"maxLength": min(result.get("maxLength", MAX_BACKTRACKING_CHARS), MAX_BACKTRACKING_CHARS)}
        part = {"if": condition, "then": {"pattern": result.pop("pattern")}}
        result |= {"allOf": [*result.get("allOf", ()), part]} if "if" in result else part


def _is_copied(keyword: str) -> bool:
    return keyword not in _TRANSLATED_KEYWORDS and not keyword.startswith("x-")
