"""Laws on what is refused: fields that break the contract, one at a time, each named in the answer."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws import auth, frame
from conformance.laws.acting import acts, performed
from conformance.laws.asking import (
    READS,
    errors_by_field,
    existing,
    harmless,
    is_about,
    readable,
    refused_anyhow,
    unfit,
)
from conformance.laws.breaking import breaking, breaking_within
from conformance.laws.law import Case, Law
from conformance.laws.own import brief, weakest
from conformance.outcome import CheckResult
from spec.contract import Contract, Operation

BROKEN_QUERY: Mapping[str, str] = {"integer": "not-a-number", "number": "not-a-number", "boolean": "maybe"}


def _checks_a_body(contract: Contract, operation: Operation) -> bool:
    return operation.request_body is not None and 422 in operation.responses


def _broken_fields(case: Case) -> Iterator[CheckResult]:
    """Each required field left out, then each field broken in each way that its schema refuses."""
    yield from refused_anyhow(case)
    session, operation = case.session, case.operation
    if harmless(case) or operation.request_body is None:
        return
    if operation.effects and acts(session.contract, operation):
        with suppress(SkipCheck):  # a target may take from a use before what is left out; it is used once in a run
            performed(case)
    whole = session.payloads.build(operation, session.parent)
    path = existing(case)
    for field in operation.request_body.fields.values():
        if field.required:
            body = {name: value for name, value in whole.items() if name != field.name}
            exchange = session.send(operation, path=path, body=body)
            place = weakest(case, (operation.request_body.pointer, "required"), _refusal(operation))
            yield _named(case, place, field.name, "without it", exchange)
        ways = [(field.name, field.pointer, keyword, value) for keyword, value in breaking(case, field)]
        for name, pointer, keyword, value in (*ways, *breaking_within(case, field)):
            exchange = session.send(operation, path=path, body={**whole, field.name: value})
            place = weakest(case, (pointer, keyword), _refusal(operation))
            yield _named(case, place, name, f"as {brief(value)} ({keyword})", exchange)


def _refusal(operation: Operation) -> tuple[str, str | None]:
    return operation.responses[422] or operation.pointer, None


def _named(case: Case, place: tuple[str, str | None], name: str, how: str, exchange: Exchange) -> CheckResult:
    """Whether a refusal is 422, shaped as documented, and names the field."""
    keyword = how.rpartition("(")[2].rstrip(")") if how.endswith(")") else "required"
    promise = case.promise(*place, parameter=f"{name} {keyword}")
    status = exchange.response.status
    if status != 422:
        return case.judged(promise, f"{name} {how} was answered {status}, due: 422", exchange)
    said = unfit(case, 422, exchange)
    errors = errors_by_field(case, exchange)
    if not said and errors is not None and not any(is_about(name, error) for error in errors):
        said = f"{name} {how}: the answer names {', '.join(sorted(errors)) or 'nothing'}, due: {name}"
    return case.judged(promise, said, exchange)


def _checks_a_query(contract: Contract, operation: Operation) -> bool:
    return operation.method in READS and 422 in operation.responses and bool(operation.query_parameters)


def _broken_queries(case: Case) -> Iterator[CheckResult]:
    """Each typed parameter, and each list of them, with what is not of its type, choices or bounds."""
    session, operation = case.session, case.operation
    path, required = readable(case), session.required_query(operation)
    for parameter in operation.query_parameters:
        schema, pointer = parameter.schema, f"{parameter.pointer}/schema"
        if schema.get("type") == "array":
            schema, pointer = session.payloads.resolve_schema(schema.get("items", {})), f"{pointer}/items"
        for keyword, value in _broken_query(schema):
            exchange = session.send(operation, path=path, query={**required, parameter.name: value})
            place = weakest(case, (pointer, keyword), _refusal(operation))
            yield _named(case, place, parameter.name, f"as {brief(value)} ({keyword})", exchange)


def _broken_query(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = str(schema.get("type"))
    if "enum" in schema and kind == "string":
        yield "enum", "no-such-choice"
    elif kind in BROKEN_QUERY:
        yield "type", BROKEN_QUERY[kind]
    elif schema.get("format") in ("date", "date-time"):
        yield "format", "not-a-date"
    if kind == "integer" and "minimum" in schema:
        yield "minimum", int(schema["minimum"]) - 1
    if kind == "integer" and schema.get("maximum", 2**53) < 2**53:
        yield "maximum", int(schema["maximum"]) + 1


LAWS: tuple[Law, ...] = (
    *auth.LAWS,
    *frame.LAWS,
    Law(
        "broken-parameter-is-named",
        "A query parameter that breaks its schema is refused with 422, and named.",
        _checks_a_query,
        _broken_queries,
    ),
    Law(
        "broken-field-is-named",
        "A field of a body that breaks its schema is refused with 422, and named.",
        _checks_a_body,
        _broken_fields,
        writes=True,
    ),
)
