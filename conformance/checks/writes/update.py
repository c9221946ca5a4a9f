"""Checks of update operations: changed fields, idempotence, rejected writes."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.invalid_values import iter_invalid_values
from conformance.checks.support.values import (
    contains,
    describe_change,
    get_stored_attributes,
    has_action,
    iter_changed_names,
    iter_round_trip_fields,
    new_record,
    retrieve_record,
    select_least_certain,
    truncate,
)
from conformance.checks.writes.changes import body_fields, describe_changes, fetch_attributes, path_of
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord
from conformance.transport.messages import Exchange
from spec.model import BodyField

MAX_FIELDS = 12  # fields of a body that are checked one at a time


def _check_update(case: Case) -> Iterator[CheckResult]:
    """Update one field at a time: it must get the sent value, and no other attribute may change."""
    session, operation = case.session, case.operation
    created = new_record(case)
    for field, attribute in list(iter_round_trip_fields(case, session.resource(operation)))[:MAX_FIELDS]:
        before, _ = retrieve_record(session, created.resource, created.key)
        value = _generate_other_value(case, field, before.get(field.name))
        pointers = (operation.pointer, field.pointer, attribute.pointer)
        location = select_least_certain(case, *((pointer, None) for pointer in pointers))
        requirement = case.build_requirement(*location, parameter=field.name)
        if value is None:
            yield case.skip(requirement, f"no value other than {truncate(before.get(field.name))} can be generated")
            continue
        exchange = session.send(operation, path=path_of(operation, created.key), body={field.name: value})
        if not exchange.response.ok:
            message = f"the update of {field.name} to {truncate(value)} returned {exchange.response.status}"
            yield case.skip(requirement, message)
            continue

        def find_problem(name: str = field.name, value: Any = value, before: Mapping[str, Any] = before) -> str:
            after, _ = retrieve_record(session, created.resource, created.key)
            return _describe_update_error(case, name, value, before, after)

        yield case.build_result(requirement, session.wait_until(find_problem), exchange)


def _generate_other_value(case: Case, field: BodyField, current: Any) -> Any:
    """Generate a valid value that differs from the current one; None if there is none."""
    validator = case.session.schemas.get(field.pointer, "write")
    payloads = case.session.payloads
    values = [payloads.generate_value(field.schema, field.name) for _ in range(10)]
    nonempty = [{payloads.marker: "a value"}, [payloads.marker]]  # open objects and lists are generated empty
    return next((v for v in [*values, *nonempty] if validator.is_valid(v) and not contains(v, current)), None)


def _describe_update_error(
    case: Case, name: str, value: Any, record_before: Mapping[str, Any], record_after: Mapping[str, Any]
) -> str:
    """Describe what the update of one field did wrong, or return ""."""
    if not contains(value, record_after.get(name)):
        return f"{name} after the update: got {truncate(record_after.get(name))}, expected {truncate(value)}"
    operation = case.session.require_operation(case.operation.resource or "", "retrieve")
    before, after = (
        get_stored_attributes(case.session.contract, operation, record, include_updated=False)
        for record in (record_before, record_after)
    )
    changed = [other for other in iter_changed_names(before, after) if other != name]
    return "; ".join(f"{name} was sent, but {describe_change(n, before[n], after[n])}" for n in changed)


def _check_update_idempotent(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    path = path_of(operation, new_record(case).key)
    fields = [field for field, _ in iter_round_trip_fields(case, session.resource(operation))]
    body = {field.name: session.payloads.generate_value(field.schema, field.name) for field in fields}
    first = session.send(operation, path=path, body=body)
    if not first.response.ok:  # the target may have rules on combinations of fields
        body = dict([next(iter(body.items()))]) if body else {}
        first = session.send(operation, path=path, body=body)
    second = session.send(operation, path=path, body=body)
    if not first.response.ok:
        raise SkipCheck(f"{operation.id} returned {first.response.status}")
    if second.response.ok:
        before, after = (
            get_stored_attributes(session.contract, operation, session.data(operation, e), include_updated=False)
            for e in (first, second)
        )
        message = describe_changes(before, after)
    else:
        message = f"repeated update: got {second.response.status}, expected {first.response.status}"
    yield case.build_result(case.build_requirement(), message, second)


def _check_rejected_write(case: Case) -> Iterator[CheckResult]:
    """Send a valid field without a token, then with each invalid field: the request is rejected completely."""
    session, operation = case.session, case.operation
    created = new_record(case)
    path = path_of(operation, created.key)
    valid_field, _ = next(iter_round_trip_fields(case, session.resource(operation)), (None, None))
    if valid_field is None:
        return
    before, _ = retrieve_record(session, created.resource, created.key)
    body = {valid_field.name: _generate_other_value(case, valid_field, before.get(valid_field.name))}
    exchange = session.send(operation, path=path, body=body, actor="anonymous")
    yield _evaluate_unchanged(case, created, "token", exchange, before)
    for field in body_fields(operation) if 422 in operation.responses else ():
        candidate = next(iter_invalid_values(case, field), None)
        if field.name == valid_field.name or candidate is None:
            continue
        before, _ = retrieve_record(session, created.resource, created.key)
        valid_value = _generate_other_value(case, valid_field, before.get(valid_field.name))
        body = {valid_field.name: valid_value, field.name: candidate[1]}
        yield _evaluate_unchanged(case, created, field.name, session.send(operation, path=path, body=body), before)


def _evaluate_unchanged(
    case: Case, created: CreatedRecord, parameter: str, exchange: Exchange, record_before: Mapping[str, Any]
) -> CheckResult:
    """Whether a rejected write changed nothing. `parameter`: the cause of the rejection."""
    requirement = case.build_requirement(parameter=parameter)
    if exchange.response.ok:
        return case.skip(requirement, "the invalid request was accepted")
    operation = case.session.require_operation(created.resource, "retrieve")
    before = get_stored_attributes(case.session.contract, operation, record_before)
    changes = describe_changes(before, fetch_attributes(case.session, created.resource, created.key))
    message = f"got {exchange.response.status}, but {changes}" if changes else ""
    return case.build_result(requirement, message, exchange)


_is_update = has_action("update")

CHECKS: tuple[Check, ...] = (
    Check(
        "update-changes-only-sent-fields",
        "An update changes the fields that were sent and no others.",
        Category.WRITES,
        _is_update,
        _check_update,
        writes=True,
    ),
    Check(
        "update-is-idempotent",
        "Repeating an update changes nothing.",
        Category.WRITES,
        _is_update,
        _check_update_idempotent,
        writes=True,
    ),
    Check(
        "rejected-write-has-no-effect",
        "A rejected write changes nothing.",
        Category.SIDE_EFFECTS,
        _is_update,
        _check_rejected_write,
        provenance_independent=True,
        writes=True,
    ),
)
