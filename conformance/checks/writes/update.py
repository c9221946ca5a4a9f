"""Check that a rejected update changes nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.invalid_values import iter_invalid_values
from conformance.checks.support.values import (
    contains,
    get_stored_attributes,
    has_action,
    iter_round_trip_fields,
    new_record,
    retrieve_record,
)
from conformance.checks.writes.changes import describe_effect, path_of
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Actor, Exchange
from spec.model import BodyField


def _generate_other_value(case: Case, field: BodyField, current: Any) -> Any:
    """Generate a valid value that differs from the current one; None if there is none."""
    validator = case.session.schemas.get_field(field, "write")
    payloads = case.session.payloads
    values = [payloads.generate_value(field.schema, field.name) for _ in range(10)]
    nonempty = [{payloads.marker: "a value"}, [payloads.marker]]  # open objects and lists are generated empty
    return next((v for v in [*values, *nonempty] if validator.is_valid(v) and not contains(v, current)), None)


def _evaluate_unchanged(
    case: Case, created: CreatedRecord, parameter: str, exchange: Exchange, record_before: Mapping[str, Any]
) -> CheckResult:
    """Whether a rejected write changed nothing. `parameter`: the cause of the rejection."""
    requirement = case.build_requirement(parameter=parameter)
    if exchange.response.ok:
        return case.skip(requirement, "the invalid request was accepted")
    operation = case.session.operations.require(created.resource, "retrieve")
    before = get_stored_attributes(case.session.contract, operation, record_before)
    changes = describe_effect(case.session, created.resource, created.key, before)
    message = f"got {exchange.response.status}, but {changes}" if changes else ""
    return case.build_result(requirement, message, exchange)


@check(
    "rejected-write-has-no-effect",
    "A rejected write changes nothing.",
    Category.SIDE_EFFECTS,
    has_action("update"),
    provenance_independent=True,
    writes=True,
)
def check_rejected_write(case: Case) -> Iterator[CheckResult]:
    """Send a valid field without a token, then with each invalid field: the request is rejected completely."""
    session, operation = case.session, case.operation
    created = new_record(case)
    path = path_of(operation, created.key)
    valid_field, _ = next(iter_round_trip_fields(case, session.operations.resource(operation)), (None, None))
    if valid_field is None:
        return
    before, _ = retrieve_record(session, created.resource, created.key)
    changes = {valid_field.name: _generate_other_value(case, valid_field, before.get(valid_field.name))}
    body = session.records.build_update(operation, created.resource, created.key, changes)
    exchange = session.client.send(operation, path=path, body=body, actor=Actor.ANONYMOUS)
    yield _evaluate_unchanged(case, created, "anonymous", exchange, before)
    for field in operation.body_fields.values() if 422 in operation.responses else ():
        candidate = next(iter_invalid_values(case, field), None)
        if field.name == valid_field.name or candidate is None:
            continue
        before, _ = retrieve_record(session, created.resource, created.key)
        valid_value = _generate_other_value(case, valid_field, before.get(valid_field.name))
        changes = {valid_field.name: valid_value, field.name: candidate[1]}
        body = session.records.build_update(operation, created.resource, created.key, changes)
        exchange = session.client.send(operation, path=path, body=body)
        yield _evaluate_unchanged(case, created, field.name, exchange, before)
