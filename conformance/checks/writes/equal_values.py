"""Check that a record may have the values of another one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import is_create, new_record
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.payloads import attribute_fields
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation

CONFLICT = 409
UNIQUE_WORD = "unique"  # in the description of a property


def _may_repeat_values(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates a record with texts, and documents no conflict with another record."""
    has_texts = any(field.schema.get("type") == "string" for field in attribute_fields(operation))
    is_possible = is_create(contract, operation) and not operation.effects and not operation.path_parameter_names
    return is_possible and has_texts and CONFLICT not in operation.responses


@check(
    "equal-values-accepted",
    "A record may have the values of another record, unless the contract documents a conflict (409).",
    Category.WRITES,
    _may_repeat_values,
    writes=True,
)
def check_equal_values(case: Case) -> Iterator[CheckResult]:
    """Send the body of a successful create again. If it is rejected, find the property that must be different.

    A property that the contract describes as unique gets a new value.
    """
    session, operation = case.session, case.operation
    record = new_record(case)
    requirement = replace(case.build_requirement(parameter="values"), provenance="inferred")
    unique = [f for f in attribute_fields(operation) if f.name in record.request_body and _is_unique(f)]
    distinct = {f.name: session.payloads.generate_value(f.schema, f.name) for f in unique}
    exchange = session.client.send(operation, body={**record.request_body, **distinct})
    status, message = exchange.response.status, ""
    if not exchange.response.ok:
        new_record(case)  # raises SkipCheck if the target accepts no more records
        name = _find_unique_property(case, record.request_body)
        subject = f"the {name} of another record" if name else "the values of another record"
        message = f"create with {subject}: got {status}, expected 201"
    yield case.build_result(requirement, message if status < 500 else "", record.exchange, exchange)


def _is_unique(field: BodyField) -> bool:
    return UNIQUE_WORD in str(field.schema.get("description", "")).lower()


def _find_unique_property(case: Case, body: Mapping[str, Any]) -> str:
    """Return the only property that makes the target accept a body if it has another value; "" if there is none."""
    for field in attribute_fields(case.operation):
        if not isinstance(body.get(field.name), str):
            continue
        value = case.session.payloads.generate_value(field.schema, field.name)
        try:
            exchange: Exchange = case.session.client.send(case.operation, body={**body, field.name: value})
        except SkipCheck:
            return ""
        if exchange.response.ok:
            return field.name
    return ""
