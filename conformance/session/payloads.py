"""Request bodies that satisfy the contract, generated field by field from the schemas; each text contains the run's
marker.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from conformance.errors import SkipCheck
from conformance.transport.messages import iter_texts
from spec.component_schemas import ComponentSchemas
from spec.document import snake_case
from spec.model import BodyField, Contract, Operation, Relation
from spec.patterns import repair_pattern
from spec.sampling.schema_samples import CannotGenerate, SchemaSampler
from spec.validators import SchemaValidators

MAX_REFERENCES = 20  # of a schema to another
MIN_DISTINCT_DIGITS = 5  # of a random number in a text
ParentProvider = Callable[[Relation], tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class PayloadFactory:
    """Generates bodies for one run. Free texts contain `marker`; `random` chooses what the contract leaves open.

    `schemas`: to replace generated values that are invalid; None: they are not validated.
    """

    contract: Contract
    marker: str
    random: Random
    schemas: SchemaValidators | None = None

    @contextmanager
    def isolated_random(self, seed_name: str) -> Iterator[None]:
        """Within the block, use a random state derived from `seed_name`, without affecting later values."""
        state = self.random.getstate()
        self.random.seed(f"aside {seed_name}")
        try:
            yield
        finally:
            self.random.setstate(state)

    def build_any(self, operation: Operation, provide_parent: ParentProvider) -> Any:
        """A body of any type, as `build`; None if the operation has none."""
        if operation.request_body is None:
            return None
        schema = self.resolve_schema(self.contract.document.resolve(operation.request_body.pointer))
        if operation.body_fields or schema.get("type", "object") == "object":
            return self.build(operation, provide_parent)
        return self.generate_value(schema, "body")

    def build(self, operation: Operation, provide_parent: ParentProvider) -> dict[str, Any]:
        """An object with every required field; `provide_parent` supplies the records that it refers to."""
        if operation.request_body is None:
            return {}
        body: dict[str, Any] = {}
        for field in self.missing_fields(operation, body):
            if field.name not in body:
                body |= self.build_field(operation, field, provide_parent)
        return self.ensure_marker(operation, self._ensure_valid_body(operation, body))

    def _ensure_valid_body(self, operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
        """The body if it is valid, else with the fields of a valid one that it lacks or that make it invalid."""
        pointer = operation.request_body.pointer if operation.request_body else ""
        if self.schemas is None or self.schemas.get(pointer, "write").is_valid(body):
            return body
        with suppress(CannotGenerate):
            sample = SchemaSampler(self.schemas, "write").sample(pointer, self.marker, only_required=True)
            if isinstance(sample, dict):
                references = {f.name for f in operation.body_fields.values() if f.relation_setter} & body.keys()
                candidates = ({**sample, **body}, {**sample, **{name: body[name] for name in references}})
                is_valid = self.schemas.get(pointer, "write").is_valid
                return next((candidate for candidate in candidates if is_valid(candidate)), body)
        return body

    def missing_fields(self, operation: Operation, body: Mapping[str, Any]) -> list[BodyField]:
        """The fields that a body needs to be valid: required ones, also by an alternative, and for `minProperties`."""
        if operation.request_body is None:
            return []
        schema = self.contract.document.resolve(operation.request_body.pointer)
        for _ in range(MAX_REFERENCES):
            if "$ref" not in schema:
                break
            schema = self.contract.document.resolve(schema["$ref"])
        fields = operation.body_fields
        names = [field.name for field in fields.values() if field.required]
        names += self._alternative_names(schema, body)
        optional = [field.name for field in attribute_fields(operation) if field.name not in {*names, *body}]
        missing_number = int(schema.get("minProperties", 0)) - len({*names, *body})
        names += optional[: max(0, missing_number)]
        return [fields[name] for name in dict.fromkeys(names) if name in fields and name not in body]

    def _alternative_names(self, schema: Mapping[str, Any], body: Mapping[str, Any]) -> Sequence[str]:
        """The names that the first alternative of a schema requires, if the body satisfies none."""
        alternatives = schema.get("anyOf") or schema.get("oneOf") or ()
        required = [self.resolve_schema(alternative).get("required", ()) for alternative in alternatives]
        return required[0] if required and not any(set(names) <= body.keys() for names in required) else ()

    def ensure_marker(self, operation: Operation, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body with one more optional field that contains the marker, if no field does and one can.

        It identifies a created record if the run is killed before its response.
        """
        if self.has_marker(operation, body):
            return dict(body)
        fields = [field for field in self.readable_fields(operation) if field.name not in body]
        marked_field = next((f for f in fields if self._can_contain_marker(f.schema)), None)
        if marked_field is not None:
            return {marked_field.name: self.generate_value(marked_field.schema, marked_field.name), **body}
        if any(isinstance(body.get(field.name), str) for field in attribute_fields(operation)):
            for field in fields:
                if value := self._build_marked_object(field):
                    return {field.name: value, **body}
        return dict(body)

    def has_marker(self, operation: Operation, body: Mapping[str, Any]) -> bool:
        """Whether a field of a body contains the marker and the response of a create shows that field."""
        values = (body.get(field.name) for field in self.readable_fields(operation))
        return any(self.marker in text for value in values for text in iter_texts(value))

    def readable_fields(self, operation: Operation) -> list[BodyField]:
        """The fields that set attributes; of an operation that creates a record, those that its response shows."""
        view = self.contract.views.get(operation.envelope.view_name or "")
        if view is None or operation.envelope.status != 201:
            return list(attribute_fields(operation))
        return [field for field in attribute_fields(operation) if field.name in view.property_names]

    def _can_contain_marker(self, schema: Mapping[str, Any]) -> bool:
        """Whether a schema describes a free text with room for the marker."""
        resolved = self.resolve_schema(schema)
        is_free_text = resolved.get("type") == "string" and not {"enum", "format", "pattern"} & resolved.keys()
        return is_free_text and int(resolved.get("maxLength", 10_000)) > len(self.marker)

    def _build_marked_object(self, field: BodyField) -> dict[str, Any]:
        """An object with one free text more than it requires; empty if the field is no object or has no free text."""
        schema = self.resolve_schema(field.schema)
        if schema.get("type") != "object":
            return {}
        for name, property_schema in schema.get("properties", {}).items():
            if self._can_contain_marker(property_schema):
                required = self.generate_value(schema, field.name)
                return {**required, name: self.generate_value(property_schema, name)}
        return {}

    def build_field(self, operation: Operation, field: BodyField, provide_parent: ParentProvider) -> dict[str, Any]:
        """One field, and the discriminator of the record that it refers to, if any. Raises SkipCheck."""
        if field.relation_setter is None:
            return {field.name: self._generate_field(field)}
        relation = self.find_relation(operation, field.relation_setter.relation)
        resource, key = provide_parent(relation)
        is_array = self.resolve_schema(field.schema).get("type") == "array"
        values: dict[str, Any] = {field.name: [key] if is_array else key}
        if field.relation_setter.discriminator is not None:
            values[field.relation_setter.discriminator] = snake_case(resource)
        return values

    def _generate_field(self, field: BodyField) -> Any:
        """A value of a field; any valid one if the generated one is invalid."""
        value = self.generate_value(field.schema, field.name)
        if self.schemas is not None and not self.schemas.get_field(field, "write").is_valid(value):
            with suppress(CannotGenerate):
                return SchemaSampler(self.schemas, "write").sample_schema(field.schema, str(self.random.random()))
        return value

    def optional_lists(self, operation: Operation) -> dict[str, Any]:
        """A value in each optional list of plain texts: the input of an action that requires nothing."""
        values: dict[str, Any] = {}
        for field in attribute_fields(operation):
            schema = self.resolve_schema(field.schema)
            items = self.resolve_schema(schema.get("items", {}))
            if schema.get("type") == "array" and items.get("type") == "string" and not field.required:
                values[field.name] = [self.generate_value(items, field.name)]
        return values

    def build_variation(self, operation: Operation, number: int, provide_parent: ParentProvider) -> dict[str, Any]:
        """Values for the optional fields of a create, references included, that differ by `number`."""
        values: dict[str, Any] = {}
        for field in attribute_fields(operation):
            values |= self._vary_field(field, number)
        for index, field in enumerate(operation.body_fields.values()):
            if field.relation_setter is not None and not field.required and (number + index) % 2:
                with suppress(SkipCheck):
                    values |= self.build_field(operation, field, provide_parent)
        return values

    def _vary_field(self, field: BodyField, number: int) -> dict[str, Any]:
        schema = self.resolve_schema(field.schema)
        json_type = schema.get("type", "object")
        choices = [v for v in schema.get("enum", ()) if v is not None]
        if choices:
            return {field.name: choices[number % len(choices)]}
        if json_type == "boolean":
            return {field.name: bool(number % 2)}
        if json_type in ("integer", "number") and not field.required:
            minimum = int(schema.get("minimum", 0))
            return {field.name: min(minimum + 3 * number + 1, int(schema.get("maximum", minimum + 100)))}
        if schema.get("format") in ("date", "date-time") and not field.required:
            value = self.generate_value(field.schema, field.name)
            return {field.name: value.replace("2026-01-15", f"2026-01-{15 - number % 9:02}")}
        if json_type == "string" and not schema.keys() & {"format", "pattern"} and not field.required:
            return {field.name: self.generate_value(field.schema, field.name)}
        return {}

    def find_relation(self, operation: Operation, name: str) -> Relation:
        """The relation that a body field sets, of the operation's resource or of the returned one. Raises SkipCheck."""
        view = self.contract.views.get(operation.envelope.view_name or "")
        for resource in (operation.resource, view.resource if view else None):
            if resource and name in self.contract.resources[resource].relations:
                return self.contract.resources[resource].relations[name]
        raise SkipCheck(f"{operation.id}: no resource has the relation {name!r}")

    def resolve_schema(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema after `$ref`, `allOf`, and the first branch of `anyOf` or `oneOf`."""
        for _ in range(MAX_REFERENCES):
            if "$ref" in schema:
                schema = self.contract.document.resolve(schema["$ref"])
            elif len(schema.get("allOf", ())) == 1:
                schema = schema["allOf"][0]
            elif "allOf" in schema:
                schema = ComponentSchemas.from_document(self.contract.document).flatten(schema, "")
            elif schema.get("anyOf") or schema.get("oneOf"):
                schema = (schema.get("anyOf") or schema["oneOf"])[0]
            else:
                break
        return schema

    def generate_value(self, schema: Mapping[str, Any], name: str, depth: int = 0) -> Any:
        """A value that satisfies the schema. Equal calls in equal runs return equal values."""
        resolved = self.resolve_schema(schema)
        if "enum" in resolved:
            return self.random.choice([v for v in resolved["enum"] if v is not None] or [None])
        json_type = resolved.get("type", "object")
        if json_type == "object":
            required = resolved.get("required", ())
            properties = resolved.get("properties", {}).items()
            return {key: self.generate_value(value, key, depth + 1) for key, value in properties if key in required}
        if json_type == "array":
            items = resolved.get("items", {})
            return [self.generate_value(items, name, depth + 1) for _ in range(int(resolved.get("minItems", 0)))]
        if json_type == "boolean":
            return self.random.random() < 0.5
        if json_type in ("integer", "number"):
            minimum = int(resolved.get("minimum", 0))
            span = min(100, int(resolved.get("maximum", minimum + 100)) - minimum)
            return minimum + self.random.randrange(0, max(1, span))
        return self.generate_text(resolved, name)

    def generate_text(self, schema: Mapping[str, Any], name: str) -> str:
        """A text of the required format; a free text contains the marker."""
        number = self.random.randrange(10**9)
        formats = {
            "uuid": f"00000000-0000-4000-8000-{number:012d}",
            "date": "2026-01-15",
            "date-time": "2026-01-15T10:30:00Z",
            "uri": f"https://example.com/{self.marker}/{number}",
            "email": f"{self.marker}-{number}@example.com",
        }
        formatted = formats.get(schema.get("format", ""))
        if formatted is not None:
            return formatted
        if "pattern" in schema:
            return self._generate_patterned_text(schema, name, number)
        return _fit_length(self._choose_text(name, number, int(schema.get("maxLength", 10_000))), schema)

    def _choose_text(self, name: str, number: int, max_length: int) -> str:
        """A text that stays distinct when it is cut to its maximum length, with the marker if both have room."""
        text = f"{self.marker} {name} {number}"
        if len(text) <= max_length:
            return text
        digits = f"{number:09d}"
        has_room = max_length >= len(self.marker) + 1 + MIN_DISTINCT_DIGITS
        return f"{self.marker} {digits[::-1]}" if has_room else f"{digits[::-1]} {self.marker}"

    def _generate_patterned_text(self, schema: Mapping[str, Any], name: str, number: int) -> str:
        """A text that matches a pattern, if one of some usual forms does; those with the marker are first."""
        compact = self.marker.replace("-", "")
        texts = (f"{self.marker} {name} {number}", f"{self.marker}-{number}", f"{self.marker}_{number}")
        digits = str(number)
        candidates = [_fit_length(text, schema) for text in (*texts, f"{compact}{number}", digits, f"+{digits}")]
        candidates += [digits[:length] for length in range(1, len(digits))]
        try:
            pattern = re.compile(repair_pattern(str(schema["pattern"])))
        except re.error:
            return candidates[0]
        return next((text for text in candidates if pattern.search(text)), candidates[0])


def _fit_length(text: str, schema: Mapping[str, Any]) -> str:
    """Return a text with the length that a schema permits."""
    return text[: int(schema.get("maxLength", 10_000))].ljust(int(schema.get("minLength", 0)), "x")


def attribute_fields(operation: Operation) -> Iterator[BodyField]:
    """The body fields that are attributes of the record: no references, discriminators or query extensions."""
    fields = list(operation.body_fields.values())
    discriminators = {field.relation_setter.discriminator for field in fields if field.relation_setter}
    yield from (f for f in fields if f.relation_setter is None and f.x_query is None and f.name not in discriminators)
