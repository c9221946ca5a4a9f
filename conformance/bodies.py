"""Bodies that the contract admits: one field at a time from its schema, each text marked with the run it comes from."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from conformance.errors import CannotMake
from spec.contract import BodyField, Contract, Operation, Relation
from spec.document import snake_case

Parent = Callable[[Relation], tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Bodies:
    """Makes bodies for one run. `marker` stands in every free text; `chance` decides what the contract leaves open."""

    contract: Contract
    marker: str
    chance: Random

    @contextmanager
    def aside(self, name: str) -> Iterator[None]:
        """While it lasts, what is made does not shift what is drawn afterwards: equal names draw the same."""
        state = self.chance.getstate()
        self.chance.seed(f"aside {name}")
        try:
            yield
        finally:
            self.chance.setstate(state)

    def body(self, operation: Operation, parent: Parent) -> dict[str, Any]:
        """A body with every required field; records that it names come from `parent`."""
        if operation.request_body is None:
            return {}
        found: dict[str, Any] = {}
        for field in operation.request_body.fields.values():
            if field.required and field.name not in found:
                found |= self.field(operation, field, parent)
        return found if self.marker in json.dumps(found) else {**self.mark(operation), **found}

    def mark(self, operation: Operation) -> dict[str, Any]:
        """An optional free text with the marker in it, where a body has one: by it a record is found again."""
        for field in readable(operation):
            said = self.schema(field.schema)
            plain = said.get("type") == "string" and not {"enum", "format", "pattern"} & said.keys()
            if plain and int(said.get("maxLength", 10_000)) > len(self.marker):
                return {field.name: self.value(field.schema, field.name)}
        return {}

    def field(self, operation: Operation, field: BodyField, parent: Parent) -> dict[str, Any]:
        """One field, and the one that says of which kind the record is that it names. Raises CannotMake."""
        if field.relation_setter is None:
            return {field.name: self.value(field.schema, field.name)}
        relation = self.relation(operation, field.relation_setter.relation)
        resource, key = parent(relation)
        named: dict[str, Any] = {field.name: [key] if self.schema(field.schema).get("type") == "array" else key}
        if field.relation_setter.discriminator is not None:
            named[field.relation_setter.discriminator] = snake_case(resource)
        return named

    def lists(self, operation: Operation) -> dict[str, Any]:
        """A value in each optional list of plain texts: what an action works on where it requires nothing."""
        found: dict[str, Any] = {}
        for field in readable(operation):
            said = self.schema(field.schema)
            items = self.schema(said.get("items", {}))
            if said.get("type") == "array" and items.get("type") == "string" and not field.required:
                found[field.name] = [self.value(items, field.name)]
        return found

    def varied(self, operation: Operation, number: int, parent: Parent) -> dict[str, Any]:
        """Values for what a create leaves open that differ from one `number` to the next, references too."""
        found: dict[str, Any] = {}
        for field in readable(operation):
            found |= self._another(field, number)
        for at, field in enumerate(operation.request_body.fields.values() if operation.request_body else ()):
            if field.relation_setter is not None and not field.required and (number + at) % 2:
                try:
                    found |= self.field(operation, field, parent)
                except CannotMake:
                    continue
        return found

    def _another(self, field: BodyField, number: int) -> dict[str, Any]:
        said = self.schema(field.schema)
        kind = said.get("type", "object")
        choices = [v for v in said.get("enum", ()) if v is not None]
        if choices:
            return {field.name: choices[number % len(choices)]}
        if kind == "boolean":
            return {field.name: bool(number % 2)}
        if kind in ("integer", "number") and not field.required:
            low = int(said.get("minimum", 0))
            return {field.name: min(low + 3 * number + 1, int(said.get("maximum", low + 100)))}
        if said.get("format") in ("date", "date-time") and not field.required:
            return {
                field.name: self.value(field.schema, field.name).replace("2026-01-15", f"2026-01-{15 - number % 9:02}")
            }
        plain = kind == "string" and "format" not in said and "pattern" not in said
        return {field.name: self.value(field.schema, field.name)} if plain and not field.required else {}

    def relation(self, operation: Operation, name: str) -> Relation:
        """The relation that a body's field sets: of the operation's resource, or of the one that it answers."""
        view = self.contract.views.get(operation.envelope.view_name or "")
        for resource in (operation.resource, view.resource if view else None):
            if resource and name in self.contract.resources[resource].relations:
                return self.contract.resources[resource].relations[name]
        raise CannotMake(f"{operation.id}: no resource has the relation {name!r}")

    def schema(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema through `$ref`, a lone `allOf`, and the first alternative of anyOf and oneOf."""
        for _ in range(20):
            if "$ref" in schema:
                schema = self.contract.document.resolve(schema["$ref"])
            elif len(schema.get("allOf", ())) == 1:
                schema = schema["allOf"][0]
            elif schema.get("anyOf") or schema.get("oneOf"):
                schema = (schema.get("anyOf") or schema["oneOf"])[0]
            else:
                break
        return schema

    def value(self, schema: Mapping[str, Any], name: str, depth: int = 0) -> Any:
        """A value that the schema admits. Equal calls in equal runs give equal values."""
        said = self.schema(schema)
        if "enum" in said:
            return self.chance.choice([v for v in said["enum"] if v is not None])
        kind = said.get("type", "object")
        if kind == "object":
            required = said.get("required", ())
            return {n: self.value(s, n, depth + 1) for n, s in said.get("properties", {}).items() if n in required}
        if kind == "array":
            items = said.get("items", {})
            return [self.value(items, name, depth + 1) for _ in range(int(said.get("minItems", 0)))]
        if kind == "boolean":
            return self.chance.random() < 0.5
        if kind in ("integer", "number"):
            low = int(said.get("minimum", 0))
            return low + self.chance.randrange(0, max(1, min(100, int(said.get("maximum", low + 100)) - low)))
        return self.text(said, name)

    def text(self, schema: Mapping[str, Any], name: str) -> str:
        """A text of the asked format; a free one carries the marker."""
        number = self.chance.randrange(10**9)
        formats = {
            "uuid": f"00000000-0000-4000-8000-{number:012d}",
            "date": "2026-01-15",
            "date-time": "2026-01-15T10:30:00Z",
            "uri": f"https://example.com/{self.marker}/{number}",
            "email": f"{self.marker}-{number}@example.com",
        }
        said = formats.get(schema.get("format", ""))
        if said is not None:
            return said
        text = f"{self.marker} {name} {number}"
        return text[: int(schema.get("maxLength", 10_000))].ljust(int(schema.get("minLength", 0)), "x")


def readable(operation: Operation) -> Iterator[BodyField]:
    """The fields of a body that are values of the record itself: no references nor their kinds, no query words."""
    fields = list(operation.request_body.fields.values()) if operation.request_body else []
    kinds = {field.relation_setter.discriminator for field in fields if field.relation_setter}
    yield from (f for f in fields if f.relation_setter is None and f.x_query is None and f.name not in kinds)
