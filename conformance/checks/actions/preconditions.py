"""Check that an operation is rejected in every state that its precondition excludes."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.checks.support.action_calls import build_action_body, is_action, perform_action
from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import equal, is_create, retrieve_record, truncate
from conformance.checks.writes.changes import describe_effect, fetch_attributes, path_of
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.options import effect_limit_reached
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Relation, Resource

CONFLICT = 409
ACCEPTED = "without its precondition"  # counts calls that the target should have rejected
MAX_STATES = 4  # values of one property that are tried


def _has_precondition(contract: Contract, operation: Operation) -> bool:
    is_call = is_action(contract, operation) or is_create(contract, operation)
    return bool(operation.preconditions) and is_call and operation.resource in contract.resources


@check(
    "precondition-is-enforced",
    "An operation whose precondition is not met returns 409 and changes nothing.",
    Category.ACTIONS,
    _has_precondition,
    writes=True,
)
def check_preconditions(case: Case) -> Iterator[CheckResult]:
    """Call the operation for records in each excluded state that the run can set."""
    require_allowed(case)
    for path, allowed in case.operation.preconditions.items():
        results = list(_check_path(case, path, allowed))
        yield from results
        if not results:
            reason = not_testable(f"no request sets {'.'.join(path)} to a value that the precondition excludes")
            yield case.skip(case.build_requirement(parameter=".".join(path)), reason)


def _check_path(case: Case, path: tuple[str, ...], allowed: tuple[Any, ...]) -> Iterator[CheckResult]:
    """Yield a result for each excluded value of a property."""
    owner = _find_owner(case, path)
    if owner is None:
        return
    evaluated: list[Any] = []
    for record, value in _iter_records(case, owner, path[-1], allowed):
        if any(equal(value, other) for other in evaluated):
            continue
        evaluated.append(value)
        message, exchange = _evaluate(case, path, record, value)
        requirement = case.build_requirement(parameter=f"{'.'.join(path)}={value}")
        yield case.build_result(requirement, message, exchange)


def _find_owner(case: Case, path: tuple[str, ...]) -> Resource | None:
    """Return the resource of the record with the property; None if no request of the operation names the record."""
    resource = case.session.operations.resource(case.operation)
    if len(path) == 1 and case.operation.path_parameter_names:
        return resource
    relation = resource.relations.get(path[0]) if len(path) == 2 else None
    if relation is None or len(relation.targets) != 1 or case.operation.path_parameter_names:
        return None
    return case.session.contract.resources[relation.targets[0]]


def _iter_records(
    case: Case, owner: Resource, name: str, allowed: tuple[Any, ...]
) -> Iterator[tuple[CreatedRecord, Any]]:
    """Yield (record of the run, its value) with values that the precondition excludes.

    A create or an update sets the value, or the operation itself, as one that ends a process.
    """
    attribute = owner.attributes[name]
    values = (False, True) if attribute.type == "boolean" else attribute.enum_values or ()
    excluded = [value for value in values if not any(equal(value, other) for other in allowed)]
    for value in excluded[:MAX_STATES]:
        with suppress(SkipCheck):
            yield _create_with(case, owner, name, value), value
    if case.operation.path_parameter_names and not case.operation.effects:
        with suppress(SkipCheck):
            record = perform_action(case).record
            current = retrieve_record(case.session, owner.name, record.key)[0].get(name) if record else None
            if record is not None and any(equal(current, value) for value in excluded):
                yield record, current


def _create_with(case: Case, owner: Resource, name: str, value: Any) -> CreatedRecord:
    """Create a record whose property has a value. Raises SkipCheck."""
    session = case.session
    create, update = session.operations.creator(owner.name), session.operations.find(owner.name, "update")
    if name in create.body_fields:
        record = session.records.create(owner.name, {name: value})
    elif update is not None and name in update.body_fields:
        record = session.records.create(owner.name)
        body = session.records.build_update(update, owner.name, record.key, {name: value})
        session.client.send(update, path=path_of(update, record.key), body=body)
    else:
        record = session.records.create(owner.name)
    if not equal(fetch_attributes(session, owner.name, record.key).get(name), value):
        raise SkipCheck(f"the target did not set {name} to {truncate(value)}")
    return record


def _evaluate(case: Case, path: tuple[str, ...], record: CreatedRecord, value: Any) -> tuple[str, Exchange]:
    session, operation = case.session, case.operation
    before = fetch_attributes(session, record.resource, record.key)
    _require_repeatable(case)
    if len(path) == 1:
        body: Any = build_action_body(session, operation)
        exchange = session.client.send(operation, path=path_of(operation, record.key), body=body)
    else:
        exchange = session.client.send(operation, body=_build_body(case, path[0], record))
    if exchange.response.ok and operation.effects:
        session.client.effects.calls[f"{operation.id} {ACCEPTED}"] += 1
    status = exchange.response.status
    if status != CONFLICT:
        return f"{'.'.join(path)} is {truncate(value)}: got {status}, expected {CONFLICT}", exchange
    problem = describe_effect(session, record.resource, record.key, before)
    return (f"the request was rejected, but {problem}" if problem else ""), exchange


def _require_repeatable(case: Case) -> None:
    """Raise SkipCheck if the target has accepted calls of the operation and another one may not have an effect.

    A call that the target must reject has no effect, and does not count otherwise.
    """
    operation, options = case.operation, case.session.options
    accepted = case.session.client.effects.calls[f"{operation.id} {ACCEPTED}"]
    if operation.effects and accepted >= options.max_effect_calls:
        raise SkipCheck(effect_limit_reached(operation, accepted))


def _build_body(case: Case, name: str, record: CreatedRecord) -> Mapping[str, Any]:
    """Return the body of a create that refers to a record."""
    session = case.session

    def get_parent(relation: Relation) -> tuple[str, Any]:
        return (record.resource, record.key) if relation.name == name else session.records.parent(relation)

    body = session.payloads.build(case.operation, get_parent)
    for field in case.operation.body_fields.values():
        if field.relation_setter is not None and field.relation_setter.relation == name:
            body = {**body, **session.payloads.build_field(case.operation, field, get_parent)}
    return body
