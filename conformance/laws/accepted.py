"""Laws on what the contract admits: the extremes of each field and each value of each parameter are taken."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conformance.bodies import attribute_fields
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.acting import acts, body_of
from conformance.laws.asking import errors_by_field, existing, harmless, is_about, refused_anyhow
from conformance.laws.asking import readable as path_to_read
from conformance.laws.breaking import breaking
from conformance.laws.law import Case, Law
from conformance.laws.lists import REFUSED, is_list
from conformance.laws.own import brief, creates
from conformance.outcome import CheckResult
from spec.contract import BodyField, Contract, Operation, Parameter
from spec.document import snake_case

LONGEST = 20_000  # characters that are sent to be as many as may be
LARGEST = 2**53
BEYOND = "Grüße 世界 👋"
MOST = 8  # rounds of values for one operation


@dataclass(frozen=True, slots=True)
class Extreme:
    """A value at the edge of what a field admits. `keyword`: of the field's schema; None: the field itself."""

    name: str
    place: tuple[str, str | None]
    what: str
    value: Any

    @property
    def parameter(self) -> str:
        """What tells its promise from others."""
        return f"{self.name} {self.what}"


# Bodies ---------------------------------------------------------------------------------------------------------


def _writes(contract: Contract, operation: Operation) -> bool:
    if operation.request_body is None or operation.resource not in contract.resources:
        return False
    return creates(contract, operation) or operation.action == "update"


def _bodies(case: Case) -> Iterator[CheckResult]:
    """Many fields at once, each at an edge; where that is refused, one field at a time."""
    session, operation = case.session, case.operation
    why = harmless(case)
    if why:
        yield case.not_judged(case.promise(), why)
        return
    whole = session.payloads.build(operation, session.parent) if operation.action != "update" else {}
    path: Mapping[str, Any] = {}
    if operation.path_parameter_names:
        path = {operation.path_parameter_names[0]: session.create(operation.resource or "").key}
    for extremes in _rounds([list(_edges(case, field)) for field in attribute_fields(operation)]):

        def send(chosen: list[Extreme]) -> Exchange:
            return session.send(operation, path=path, body={**whole, **{e.name: e.value for e in chosen}})

        yield from _taken(case, extremes, send)
    for kind in _kinds(case):

        def send_one(chosen: list[Extreme], kind: Kind = kind) -> Exchange:
            return session.send(operation, path=path, body={**whole, **kind.named})

        yield from _taken(case, [kind.extreme], send_one)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record that a body may name, and how it names one of the run's."""

    extreme: Extreme
    named: Mapping[str, Any]


def _kinds(case: Case) -> Iterator[Kind]:
    """Each kind of record that a field may be about, where the contract says which in another."""
    session, fields = case.session, case.operation.request_body.fields if case.operation.request_body else {}
    for field in fields.values():
        by = fields.get(field.relation_setter.discriminator or "") if field.relation_setter else None
        if field.relation_setter is None or by is None:
            continue
        for resource in session.payloads.find_relation(case.operation, field.relation_setter.relation).targets:
            value = snake_case(resource)
            with suppress(SkipCheck):
                named = {field.name: session.shared_record(resource).key, by.name: value}
                yield Kind(Extreme(by.name, (by.pointer, "enum"), f"enum {value}", value), named)


def _rounds(each: list[list[Extreme]]) -> Iterator[list[Extreme]]:
    """The first edges of all fields, then the second ones ..."""
    for number in range(min(MOST, max(map(len, each), default=0))):
        yield [edges[number] for edges in each if number < len(edges)]


def _taken(case: Case, extremes: list[Extreme], send: Any) -> Iterator[CheckResult]:
    exchange = send(extremes)
    for extreme in extremes:
        alone = exchange if exchange.response.ok or len(extremes) == 1 else send([extreme])
        status = alone.response.status
        said = f"{extreme.name} as {brief(extreme.value)} ({extreme.what}) was answered {status}, a success is due"
        promise = case.promise(*extreme.place, parameter=extreme.parameter)
        if status in REFUSED or status >= 500 or alone.response.ok:
            yield case.judged(promise, "" if alone.response.ok else said, alone)
        else:  # forbidden by a state, or what a neighbour did
            yield case.not_judged(promise, f"{case.operation.id} answered {status}")


def _edges(case: Case, field: BodyField) -> Iterator[Extreme]:
    """The edges of a field that the contract indeed admits."""
    validator = case.session.schemas.get(field.pointer, "write")
    for what, value in _values(case, field):
        if validator.is_valid(value):
            yield Extreme(field.name, (field.pointer, what.split()[0]), what, value)


def _values(case: Case, field: BodyField) -> Iterator[tuple[str, Any]]:
    said = case.session.payloads.resolve_schema(field.schema)
    kind = said.get("type", "object")
    if "enum" in said:
        yield from ((f"enum {value}", value) for value in said["enum"] if value is not None)
    elif kind == "string" and "format" not in said and "pattern" not in said:
        yield from _texts(case, field, said)
    elif kind == "boolean":
        yield from (("type true", True), ("type false", False))
    elif kind in ("integer", "number"):
        yield from ((word, said[word]) for word in ("minimum", "maximum") if abs(said.get(word, LARGEST)) < LARGEST)
    elif kind == "array" and not said.get("minItems"):
        yield "type empty", []
    yield "nullable", None


def _texts(case: Case, field: BodyField, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The shortest and the longest text; the marker stands in each that has room for it."""
    shortest, longest = int(said.get("minLength", 0)), int(said.get("maxLength", LONGEST + 1))
    number = case.session.payloads.random.randrange(10**9)
    beyond = f"{case.session.payloads.marker} {number} {BEYOND}"
    if len(beyond) <= longest:
        yield "type beyond ASCII", beyond
    if longest <= LONGEST:
        yield "maxLength", f"{case.session.payloads.marker} {number} "[:longest].strip().ljust(longest, "x")
    if shortest:
        yield "minLength", str(number).zfill(shortest)[-shortest:]


# Beside what is wrong ---------------------------------------------------------------------------------------------


def _acts(contract: Contract, operation: Operation) -> bool:
    fields = operation.request_body.fields if operation.request_body else {}
    return acts(contract, operation) and 422 in operation.responses and len(fields) > 1


def _beside(case: Case) -> Iterator[CheckResult]:
    """The edges of an action's fields beside one that is wrong, so that nothing is done: that one alone is named."""
    yield from refused_anyhow(case)
    if harmless(case):
        return
    path, whole = existing(case), body_of(case.session, case.operation) or {}
    wrong = list(_wrong(case))
    said = case.operation.request_body.fields.values() if case.operation.request_body else ()
    for number, (name, spoilt) in enumerate(wrong[:2]):
        plain = [f for f in said if f.relation_setter is None and f.x_query is None and f.name != name]
        fields = [f for f in plain if not number or f.name == wrong[0][0]]
        for extremes in _rounds([list(_edges(case, field)) for field in fields]):
            sent = {n: v for n, v in {**whole, **{e.name: e.value for e in extremes}}.items() if n != name}
            exchange = case.session.send(case.operation, path=path, body={**sent, **spoilt})
            for extreme in extremes:
                yield _not_named(case, extreme, name, exchange)


def _wrong(case: Case) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(field, what is sent of it) that the contract refuses: a required one left out, or another broken."""
    for field in case.operation.request_body.fields.values() if case.operation.request_body else ():
        way = next(breaking(case, field), None)
        if field.required:
            yield field.name, {}
        elif way is not None:
            yield field.name, {field.name: way[1]}


def _not_named(case: Case, extreme: Extreme, wrong: str, exchange: Exchange) -> CheckResult:
    promise = case.promise(*extreme.place, parameter=extreme.parameter)
    status = exchange.response.status
    if status != 422:
        return case.not_judged(promise, f"{case.operation.id} answered {status} to {wrong} that is wrong")
    errors = errors_by_field(case, exchange) or {}
    named = any(is_about(extreme.name, error) for error in errors)
    said = f"{extreme.name} as {brief(extreme.value)} ({extreme.what}) is called wrong, {wrong} alone is"
    return case.judged(promise, said if named else "", exchange)


# Parameters -----------------------------------------------------------------------------------------------------


def _asks(contract: Contract, operation: Operation) -> bool:
    """Whether an operation reads, and by choices of a query."""
    chooses = any("enum" in p.schema.get("items", p.schema) for p in operation.query_parameters)
    return is_list(contract, operation) or (operation.method == "get" and chooses)


def _parameters(case: Case) -> Iterator[CheckResult]:
    """Many parameters at once, each with one of its values; where that is refused, one at a time."""
    session, operation = case.session, case.operation
    required, path = session.required_query(operation), path_to_read(case)
    for extremes in _rounds([list(_allowed(parameter)) for parameter in operation.query_parameters]):

        def send(chosen: list[Extreme]) -> Exchange:
            return session.send(operation, path=path, query={**required, **{e.name: e.value for e in chosen}})

        yield from _taken(case, extremes, send)


def _allowed(parameter: Parameter) -> Iterator[Extreme]:
    said = parameter.schema
    said = said.get("items", said)
    place = (f"{parameter.pointer}/schema", "enum")
    if said.get("type") == "boolean":
        yield from (Extreme(parameter.name, (place[0], "type"), str(int(flag)), flag) for flag in (True, False))
    for value in said.get("enum", ()):
        if value not in (None, ""):
            yield Extreme(parameter.name, place, str(value), value)
    if said.get("type") == "integer":
        for word in ("minimum", "maximum"):
            if abs(said.get(word, LARGEST)) < LARGEST:
                yield Extreme(parameter.name, (place[0], word), word, said[word])


LAWS: tuple[Law, ...] = (
    Law(
        "an-admitted-parameter-is-taken",
        "Each value that a parameter admits is answered with a success.",
        _asks,
        _parameters,
    ),
    Law(
        "an-admitted-body-is-taken",
        "Each value that a field of a body admits is taken.",
        _writes,
        _bodies,
        writes=True,
    ),
    Law(
        "right-is-not-called-wrong",
        "Of an action's fields only those are named as wrong that are.",
        _acts,
        _beside,
        writes=True,
    ),
)
