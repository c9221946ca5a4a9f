"""Mutants that take what the contract refuses, keyword by keyword, or refuse what it admits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from conformance.bodies import PayloadFactory
from conformance.mutants.mutant import Mutant, drawn
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from conformance.mutants.probes import MISSING, queried, weighed
from spec.contract import BodyField, Contract, Operation, Parameter
from spec.document import snake_case
from spec.schemas import SchemaValidators

EACH = 5  # keywords of an operation's body that are weakened, and values that are refused
LONGEST = 20_000


def mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every operation with a body or query parameters."""
    schemas, bodies = (
        SchemaValidators.from_document(contract.document),
        PayloadFactory(contract, "conformance", Random(0)),
    )
    for operation in contract.operations.values():
        yield from drawn(_taken(schemas, bodies, operation), EACH, "taken", operation.id)
        yield from drawn(_refused(bodies, operation), EACH, "refused", operation.id)
        for parameter in operation.query_parameters:
            yield from _parameters(bodies, operation, parameter)


# What is broken is taken ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Lenient:
    """Takes a body that breaks one keyword of one field and nothing else, with that field mended."""

    schemas: SchemaValidators
    body: str
    name: str
    keyword: str
    mend: Any
    last: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        body = asked.json
        answered = await ask(asked)
        if not isinstance(body, dict):
            return answered
        if answered.ok:
            self.last = {**self.last, **body}
        mend = self.last.get(self.name, self.mend)
        if answered.status != 422 or not self._this_alone(body) or mend is MISSING:
            return answered
        return await ask(asked.saying({**body, self.name: mend}))

    def _this_alone(self, body: Mapping[str, Any]) -> bool:
        found = list(self.schemas.get(self.body, "write").iter_errors(body))
        if self.keyword == "required":
            return self.name not in body and all(e.schema_path[-1] == "required" for e in found) and len(found) == 1
        return bool(found) and all(e.instance_path[:1] == [self.name] and self._same(e) for e in found)

    def _same(self, breach: Any) -> bool:
        last = str(breach.schema_path[-1])
        return last == self.keyword or (self.keyword == "nullable" and breach.instance is None)


def _taken(schemas: SchemaValidators, bodies: PayloadFactory, operation: Operation) -> Iterator[Mutant]:
    for one in operation.request_body.fields.values() if operation.request_body else ():
        mend = MISSING if one.relation_setter is not None else bodies.generate_value(one.schema, one.name)
        for keyword, value in broken(bodies, one):
            yield _mutant(
                operation,
                "validation",
                f"{one.name} without {keyword}",
                f"A body that breaks {keyword} is refused.",
                lambda one=one, keyword=keyword, mend=mend: Lenient(  # type: ignore[misc]
                    schemas, operation.request_body.pointer if operation.request_body else "", one.name, keyword, mend
                ),
                one,
                (value,),
                keyword,
            )


def broken(bodies: PayloadFactory, one: BodyField) -> Iterator[tuple[str, Any]]:
    """(keyword, value that breaks it) of a field."""
    said = bodies.resolve_schema(one.schema)
    kind = said.get("type", "object")
    if one.required:
        yield "required", MISSING
    if not _nullable(bodies, one.schema):
        yield "nullable", None
    if kind != "object" or "properties" in said:
        yield "type", _OTHERS.get(kind, "a text")
    if "enum" in said:
        yield "enum", "conformance-unknown"
    elif kind == "string":
        yield from _texts(said)
    else:
        yield from _numbers(said)


_OTHERS = {"string": 7, "boolean": "perhaps"}


def _texts(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if said.get("format") in ("uuid", "date-time", "date", "uri", "email"):
        yield "format", "of no such format"
        return
    if said.get("maxLength", LONGEST) < LONGEST:
        yield "maxLength", "x" * (said["maxLength"] + 1)
    if said.get("minLength", 0) > 0:
        yield "minLength", "x" * (said["minLength"] - 1)


def _numbers(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if "minimum" in said:
        yield "minimum", said["minimum"] - 1
    if said.get("maximum", 2**53) < 2**53:
        yield "maximum", said["maximum"] + 1


def _nullable(bodies: PayloadFactory, schema: Mapping[str, Any]) -> bool:
    said = bodies.resolve_schema(schema)
    options = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    return any(one.get("nullable") is True for one in (schema, said, *options))


def _mutant(
    operation: Operation,
    family: str,
    detail: str,
    sentence: str,
    plant: Callable[[], Fault],
    one: BodyField,
    values: tuple[Any, ...],
    keyword: str | None,
) -> Mutant:
    probe = partial(weighed, name=one.name, values=values)
    rests_on = _refusal(operation) if family == "validation" else ()
    return Mutant(family, operation.id, detail, sentence, one.pointer, plant, probe, keyword, rests_on=rests_on)


def _refusal(operation: Operation) -> tuple[tuple[str, str | None], ...]:
    """Where the contract says how an operation refuses."""
    return ((operation.responses.get(422) or operation.pointer, None),)


# What is right is refused --------------------------------------------------------------------------------------------


def _refused(bodies: PayloadFactory, operation: Operation) -> Iterator[Mutant]:
    for one in operation.request_body.fields.values() if operation.request_body else ():
        if one.relation_setter is not None or one.x_query is not None:
            continue
        for kind, value in admitted(bodies, one):
            yield _mutant(
                operation,
                "valid-refused",
                f"{one.name} {kind}",
                "What the contract admits is not refused.",
                lambda one=one, value=value: _refusing(one.name, value),  # type: ignore[misc]
                one,
                (value,),
                _EDGES.get(kind, "enum"),
            )


def admitted(bodies: PayloadFactory, one: BodyField) -> Iterator[tuple[str, Any]]:
    """(what it is, a value at the edge of what a field may be)."""
    said = bodies.resolve_schema(one.schema)
    free = said.get("type") == "string" and "enum" not in said and "format" not in said and "pattern" not in said
    if _nullable(bodies, one.schema) and not one.required:
        yield "null", None
    for choice in said.get("enum", ())[-1:]:
        yield f"of {choice}", choice
    if free and said.get("maxLength", LONGEST) <= 1_000:
        yield "as long as may be", "x" * said["maxLength"]
    if free:
        yield "beyond ASCII", "Grüße 世界 👋"
    if said.get("type") == "integer" and "maximum" in said and said["maximum"] < 2**31:
        yield "as large as may be", said["maximum"]


_EDGES = {
    "null": "nullable",
    "beyond ASCII": "type",
    "as long as may be": "maxLength",
    "as large as may be": "maximum",
}  # what a value is at the edge of; else it is one of an enum


def _refusing(name: str, value: Any) -> Fault:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        body = asked.json
        if isinstance(body, dict) and name in body and _alike(body[name], value):
            return invalid(name)
        return await ask(asked)

    return fault


def _alike(sent: Any, value: Any) -> bool:
    """Whether what was sent is of the kind that is refused: the value, as long, as little of ASCII."""
    if isinstance(value, str) and isinstance(sent, str) and not value.isascii():
        return not sent.isascii()
    if isinstance(value, str) and isinstance(sent, str) and set(value) == {"x"}:
        return len(sent) == len(value)
    return type(sent) is type(value) and bool(sent == value)


def invalid(name: str) -> Answered:
    """A refusal in the documented form."""
    said = f"The {snake_case(name).replace('_', ' ')} field is invalid."
    headers = {"content-type": "application/json"}
    return Answered(422, headers, b"").showing({"message": said, "errors": {name: [said]}})


# Query parameters ----------------------------------------------------------------------------------------------------


def _parameters(bodies: PayloadFactory, operation: Operation, parameter: Parameter) -> Iterator[Mutant]:
    said = bodies.resolve_schema(parameter.schema)
    items = bodies.resolve_schema(said.get("items", said))

    def mutant(family: str, detail: str, sentence: str, fault: Fault, value: str, keyword: str | None) -> Mutant:
        probe = partial(queried, name=parameter.name, values=(value,))
        refused = _refusal(operation) if family == "validation-query" else ()
        at = f"{parameter.pointer}/schema"
        at = f"{at}/items" if said.get("type") == "array" else at
        return Mutant(family, operation.id, detail, sentence, at, lambda: fault, probe, keyword, rests_on=refused)

    instead = str(bodies.generate_value(items, parameter.name)) if parameter.required else None
    for keyword, value in _misfit(items):
        sentence = f"A parameter that breaks {keyword} is refused."
        fault = _deaf_to(parameter.name, value, instead)
        yield mutant("validation-query", f"{parameter.name} without {keyword}", sentence, fault, value, keyword)
    for choice in items.get("enum", ())[-1:]:
        sentence = "A value that the contract lists is not refused."
        fault = _hostile_to(parameter.name, str(choice))
        yield mutant("valid-refused", f"{parameter.name} of {choice}", sentence, fault, str(choice), "enum")


def _misfit(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "enum" in said:
        yield "enum", "conformance-unknown"
    elif said.get("type") in ("integer", "number", "boolean"):
        yield "type", "perhaps"
    if "minimum" in said:
        yield "minimum", str(said["minimum"] - 1)
    if said.get("maximum", 2**53) < 2**53:
        yield "maximum", str(said["maximum"] + 1)


def _deaf_to(name: str, bad: str, instead: str | None) -> Fault:
    """Leaves a parameter out that breaks the same keyword as `bad` does; what is required is taken for `instead`."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        errors = (answered.json or {}).get("errors", {}) if answered.status == 422 else {}
        sent = [v for n, v in asked.query if n.removesuffix("[]") == name]
        if not errors or {key.partition(".")[0] for key in errors} != {name} or not any(_kin(v, bad) for v in sent):
            return answered
        kept = tuple((n, v) for n, v in asked.query if n.removesuffix("[]") != name)
        return await ask(asked.querying(kept if instead is None else (*kept, (name, instead))))

    return fault


def _kin(sent: str, bad: str) -> bool:
    """Whether two values are wrong in the same way: both no number, or numbers on the same side."""
    numbers = [_number(sent), _number(bad)]
    if None in numbers:
        return numbers == [None, None]
    return (numbers[0] or 0) >= (numbers[1] or 0) if (numbers[1] or 0) > 1 else (numbers[0] or 0) <= (numbers[1] or 0)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _hostile_to(name: str, value: str) -> Fault:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        sent = [v for n, v in asked.query if n.removesuffix("[]") == name]
        return invalid(name) if value in ",".join(sent).split(",") else await ask(asked)

    return fault
