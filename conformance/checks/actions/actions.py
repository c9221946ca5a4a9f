"""Laws on the actions that a contract names: what they show is stored, is about their record, and stays done."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.access import sharing
from conformance.checks.actions import metrics
from conformance.checks.lists.includes import build_full_include_query
from conformance.checks.support.action_calls import PerformedAction, is_action, perform_action
from conformance.checks.support.bad_requests import evaluate_status
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.values import (
    describe_change,
    get_stored_attributes,
    iter_changed_names,
    retrieve_record,
    select_least_certain,
)
from conformance.errors import SkipCheck
from conformance.responses.records import NestedRecord
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange
from spec.loader import Contract, Operation, Relation

STATE_POLLS = 3  # times that a state is looked at again
POLL_INTERVAL = 1.0  # seconds


# What is shown --------------------------------------------------------------------------------------------------


def _returns_records(contract: Contract, operation: Operation) -> bool:
    return is_action(contract, operation) and operation.envelope.schema_pointer is not None


def _find_retrievable_records(case: Case, action: PerformedAction) -> list[NestedRecord]:
    """The records that the answer shows of itself, and that can be retrieved."""
    session = case.session
    nested = session.records(case.operation, action.exchange, max_nesting=0)
    return [s for s in nested if session.operation(s.view.resource, "retrieve") and _get_key(session, s) is not None]


def _get_key(session: Session, nested: NestedRecord) -> Any:
    return nested.record.get(session.contract.resources[nested.view.resource].key_attribute)


def _check_stored(case: Case) -> Iterator[CheckResult]:
    """One promise for each place in the answer that shows a record."""
    action = perform_action(case)
    records_by_path: dict[str, list[NestedRecord]] = {}
    for nested in _find_retrievable_records(case, action):
        records_by_path.setdefault(nested.location, []).append(nested)
    for dotted_path, records in records_by_path.items():
        exchanges = [action.exchange]

        def find_problem(records: list[NestedRecord] = records, exchanges: list[Exchange] = exchanges) -> str:
            return next(
                (message for nested in records if (message := _describe_stored_difference(case, nested, exchanges))), ""
            )

        message = case.session.wait_until(find_problem)
        location = select_least_certain(case, (case.operation.pointer, None), (records[0].view.pointer, None))
        yield case.build_result(
            case.build_requirement(*location, parameter=dotted_path), message, action.exchange, exchanges[-1]
        )
    if not records_by_path:
        yield case.skip(
            case.build_requirement(), not_testable("the contract has no operation to retrieve what it answers")
        )


def _describe_stored_difference(case: Case, nested: NestedRecord, exchanges: list[Exchange]) -> str:
    """How a shown record differs from the stored one, or ""."""
    session, resource = case.session, nested.view.resource
    operation = session.require_operation(resource, "retrieve")
    exchanges.append(session.retrieve(resource, _get_key(session, nested)))
    record = session.data(operation, exchanges[-1])
    if not exchanges[-1].response.ok or not isinstance(record, dict):
        status = exchanges[-1].response.status
        return f"{nested.location} shows {resource} {_get_key(session, nested)}, which is answered {status} when it is retrieved"
    stored_values = get_stored_attributes(session.contract, operation, record, include_updated=False)
    returned_values = {name: value for name, value in nested.record.items() if name in stored_values}
    changes = [
        describe_change(name, returned_values[name], stored_values[name])
        for name in sorted(iter_changed_names(returned_values, stored_values))
    ]
    return f"{nested.location}, retrieved: {'; '.join(changes)}" if changes else ""


# What it is about -----------------------------------------------------------------------------------------------


def _has_path_record(contract: Contract, operation: Operation) -> bool:
    return _returns_records(contract, operation) and len(operation.path_parameter_names) == 1


def _check_subject(case: Case) -> Iterator[CheckResult]:
    """The record of the path, or records that lead to it."""
    action = perform_action(case)
    expected_key = action.record.key if action.record else None
    results_by_path: dict[str, tuple[tuple[str, str | None], str]] = {}
    for nested in _find_retrievable_records(case, action):
        for location, key in _iter_referenced_keys(case, nested):
            message = f"{nested.location} is about {key}, the path named {expected_key}" if key != expected_key else ""
            if message or nested.location not in results_by_path:
                results_by_path[nested.location] = location, message
    for dotted_path, (location, message) in results_by_path.items():
        yield case.build_result(case.build_requirement(*location, parameter=dotted_path), message, action.exchange)
    if not results_by_path:
        yield case.skip(
            case.build_requirement(),
            not_testable("the contract has no relation of what it answers to the record of its path"),
        )


def _iter_referenced_keys(case: Case, nested: NestedRecord) -> Iterator[tuple[tuple[str, str | None], Any]]:
    """(place, key) of the record of the path's resource that a shown record is, or leads to."""
    session, resource = case.session, case.operation.resource or ""
    if nested.view.resource == resource:
        yield select_least_certain(case, (case.operation.pointer, None)), _get_key(session, nested)
        return
    for relation in session.contract.resources[nested.view.resource].relations.values():
        if relation.targets == (resource,) and not relation.to_many and relation.is_stored:
            related = nested.record.get(relation.name) or _retrieve_relation(session, nested, relation)
            if isinstance(related, dict) and related:
                location = select_least_certain(case, (case.operation.pointer, None), (relation.pointer, None))
                yield location, related.get(session.contract.resources[resource].key_attribute)


def _retrieve_relation(session: Session, nested: NestedRecord, relation: Relation) -> Any:
    operation = session.require_operation(nested.view.resource, "retrieve")
    path_values = {operation.path_parameter_names[0]: _get_key(session, nested)}
    record = session.data(
        operation, session.send(operation, path=path_values, query=build_full_include_query(session, operation))
    )
    return record.get(relation.name) if isinstance(record, dict) else None


# States ---------------------------------------------------------------------------------------------------------


def _is_state_transition(contract: Contract, operation: Operation) -> bool:
    """Whether an action moves the record of its path, without being told how, and is refused in some states."""
    view = contract.views.get(operation.envelope.view_name or "")
    is_bodiless_action = (
        is_action(contract, operation) and len(operation.path_parameter_names) == 1 and operation.request_body is None
    )
    return (
        is_bodiless_action and view is not None and view.resource == operation.resource and 409 in operation.responses
    )


def _check_final_state(case: Case) -> Iterator[CheckResult]:
    """The state that it answers stays, and in it the action is refused."""
    session, operation = case.session, case.operation
    action = perform_action(case)
    body_after = session.data(operation, action.exchange)
    final_state = _find_changed_states(case, action.body_before, body_after if isinstance(body_after, dict) else {})
    if action.record is None or not final_state:
        raise SkipCheck(f"{operation.id} changed no state of a fresh {operation.resource}")
    path_values = {operation.path_parameter_names[0]: action.record.key}
    yield evaluate_status(case, 409, session.send(operation, path=path_values), "again")
    message, last_exchange = "", action.exchange
    for _ in range(STATE_POLLS):
        session.sleep(POLL_INTERVAL)
        record, last_exchange = retrieve_record(session, action.record.resource, action.record.key)
        changed = [name for name, value in final_state.items() if record.get(name) != value]
        message = "; ".join(describe_change(name, final_state[name], record.get(name)) for name in changed)
        if message:
            break
    resource = session.resource(operation)
    location = select_least_certain(
        case, (operation.pointer, None), (resource.attributes[next(iter(final_state))].pointer, None)
    )
    yield case.build_result(case.build_requirement(*location, parameter="stays"), message, last_exchange)


def _find_changed_states(case: Case, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with a choice of values that an action changed, and their values after it."""
    resource = case.session.resource(case.operation)
    enum_names = [p.name for p in resource.attributes.values() if p.enum_values and p.name in after]
    return {name: after[name] for name in enum_names if before.get(name) != after[name]}


CHECKS: tuple[Check, ...] = (
    Check(
        "action-result-is-stored",
        "A record that an action returns is stored with the returned values.",
        Category.ACTIONS,
        _returns_records,
        _check_stored,
        writes=True,
    ),
    Check(
        "action-result-concerns-record",
        "The result of an action is, or references, the record in its path.",
        Category.ACTIONS,
        _has_path_record,
        _check_subject,
        writes=True,
    ),
    Check(
        "terminal-state-is-final",
        "A state that an action sets does not change, and repeating the action in that state returns 409.",
        Category.ACTIONS,
        _is_state_transition,
        _check_final_state,
        writes=True,
    ),
    *sharing.CHECKS,
    *metrics.CHECKS,
)
