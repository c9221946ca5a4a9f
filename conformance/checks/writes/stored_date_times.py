"""Check that a date-time is stored with its fraction of a second.

A target may store whole seconds, as many databases do by default. The check fails only if the target shows a fraction
in another timestamp of the same record.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import (
    dereference_schema,
    has_action,
    is_create,
    iter_round_trip_fields,
    parse_zoned_datetime,
    retrieve_record,
)
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation
from spec.provenance import INFERRED

DATE_TIME = "2026-03-04T05:06:07.250Z"
MAX_ROUNDING = timedelta(milliseconds=50)  # of a target that stores tenths of a second


def _is_date_time(contract: Contract, field: BodyField) -> bool:
    return dereference_schema(contract.document, field.pointer)[0].get("format") == "date-time"


def _applies(contract: Contract, operation: Operation) -> bool:
    is_write = is_create(contract, operation) or has_action("update")(contract, operation)
    fields = (f for f in operation.body_fields.values() if f.relation_setter is None and f.x_query is None)
    return is_write and not operation.effects and any(_is_date_time(contract, field) for field in fields)


@check(
    "date-time-keeps-fraction",
    "A date-time is stored with its fraction of a second, if other timestamps of the record have one.",
    Category.WRITES,
    _applies,
    writes=True,
)
def check_fractions(case: Case) -> Iterator[CheckResult]:
    """Send all instants with a fraction in one request, and read the record."""
    session, name = case.session, case.session.contract.find_created_resource(case.operation) or case.operation.resource
    resource = session.contract.resources[name or ""]
    fields = [f for f, _ in iter_round_trip_fields(case, resource) if _is_date_time(session.contract, f)]
    if not fields:
        raise SkipCheck(not_testable("the contract defines no date-time that can be written and is returned"))
    record, exchange = _store(case, resource.name, {field.name: DATE_TIME for field in fields})
    for field in fields:
        requirement = case.build_requirement(resource.attributes[field.name].pointer, None, field.name)
        requirement = replace(requirement, provenance=INFERRED)
        if not _is_stored(record.get(field.name)):
            yield case.skip(requirement, insufficient_data(f"no response shows the {field.name} that was sent"))
            continue
        message = _find_lost_fraction(record, field.name)
        yield replace(case.build_result(requirement, message, exchange), is_contradiction=bool(message))


def _store(case: Case, resource: str, values: Mapping[str, str]) -> tuple[Mapping[str, Any], Exchange]:
    """Create or update a record with values; return it as it is then retrieved. Raises SkipCheck."""
    session, operation = case.session, case.operation
    if operation.action == "update":
        key = session.records.create(resource).key
        body = session.records.build_update(operation, resource, key, values)
        exchange = session.client.send(operation, path=path_of(operation, key), body=body)
        if not exchange.response.ok:
            raise SkipCheck(f"{operation.id} returned {exchange.response.status}")
        session.records.log_accepted(resource, key, body)
        record = session.operations.data(operation, exchange)
    elif session.contract.find_create_operation(resource) is operation:
        created = session.records.create(resource, values)
        key, exchange, record = created.key, created.exchange, created.body
    else:
        raise SkipCheck(not_testable(f"records of {resource} are created by another operation"))
    records: list[Any] = [record]

    def find_problem() -> str:
        records[0], _ = retrieve_record(session, resource, key)
        return "" if all(_is_stored(records[0].get(name)) for name in values) else "it is not stored"

    if session.operations.find(resource, "retrieve") is not None:
        session.client.wait_until(find_problem)
    return records[0] if isinstance(records[0], Mapping) else {}, exchange


def _is_stored(value: Any) -> bool:
    """Whether a value is the instant that was sent, possibly to the second."""
    sent, stored = parse_zoned_datetime(DATE_TIME), parse_zoned_datetime(value)
    return sent is not None and stored is not None and abs(sent - stored) < timedelta(seconds=1)


def _find_lost_fraction(record: Mapping[str, Any], name: str) -> str:
    """Describe the fraction that a value has lost; "" if it has it, or if no other timestamp has one."""
    sent, stored = parse_zoned_datetime(DATE_TIME), parse_zoned_datetime(record[name])
    if sent is None or stored is None or abs(sent - stored) <= MAX_ROUNDING:
        return ""
    others = ((other, parse_zoned_datetime(value)) for other, value in record.items() if other != name)
    exact = next((other for other, instant in others if instant is not None and instant.microsecond), None)
    if exact is None:
        return ""
    return f"{name}: got {record[name]}, expected {DATE_TIME} as sent; {exact} has a fraction: {record[exact]}"
