"""Checks of custom actions: stored results, sent values, the record of the path, and final states."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.checks.support.action_calls import PerformedAction, is_action, perform_action
from conformance.checks.support.bad_requests import evaluate_status
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.values import (
    contains,
    describe_change,
    get_stored_attributes,
    retrieve_record,
    select_least_certain,
    truncate,
)
from conformance.checks.writes.changes import describe_changes, path_of
from conformance.errors import SkipCheck, not_testable
from conformance.responses.records import NestedRecord
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation
from spec.provenance import INFERRED

STATE_POLLS = 3  # requests that check that a state does not change
POLL_INTERVAL = 1.0  # seconds


# Stored results


def _returns_records(contract: Contract, operation: Operation) -> bool:
    return is_action(contract, operation) and operation.envelope.schema_pointer is not None


def _find_retrievable_records(case: Case, action: PerformedAction) -> list[NestedRecord]:
    """Return the top-level records of the response that can be retrieved."""
    session = case.session
    nested = session.client.created_records.find_records(case.operation, action.exchange)
    retrievable = (n for n in nested if session.operations.find(n.view.resource, "retrieve"))
    return [n for n in retrievable if _get_key(session, n) is not None]


def _get_key(session: Session, nested: NestedRecord) -> Any:
    return nested.record.get(session.contract.resources[nested.view.resource].key_attribute)


@check(
    "action-result-is-stored",
    "A record that an action returns is stored with the returned values.",
    Category.ACTIONS,
    _returns_records,
    writes=True,
    compares_responses=True,
)
def check_stored(case: Case) -> Iterator[CheckResult]:
    """Yield one result for each location in the response that has records."""
    action = perform_action(case)
    records_by_location: dict[str, list[NestedRecord]] = {}
    for nested in _find_retrievable_records(case, action):
        records_by_location.setdefault(nested.location, []).append(nested)
    for dotted_path, records in records_by_location.items():
        exchanges = [action.exchange]

        def find_problem(records: list[NestedRecord] = records, exchanges: list[Exchange] = exchanges) -> str:
            messages = (_describe_stored_difference(case, nested, exchanges) for nested in records)
            return next((message for message in messages if message), "")

        message = case.session.client.wait_until(find_problem)
        location = select_least_certain(case, (case.operation.pointer, None), (records[0].view.pointer, None))
        requirement = case.build_requirement(*location, parameter=dotted_path)
        yield case.build_result(requirement, message, action.exchange, exchanges[-1])
    if not records_by_location:
        reason = not_testable("the contract defines no operation to retrieve the returned records")
        yield case.skip(case.build_requirement(), reason)


def _describe_stored_difference(case: Case, nested: NestedRecord, exchanges: list[Exchange]) -> str:
    """Retrieve a returned record and describe how it differs, or return ""."""
    session, resource, key = case.session, nested.view.resource, _get_key(case.session, nested)
    operation = session.operations.require(resource, "retrieve")
    exchange = session.client.retrieve(resource, key)
    exchanges.append(exchange)
    record = session.operations.data(operation, exchange)
    if not exchange.response.ok or not isinstance(record, dict):
        return f"retrieving {resource} {key} from {nested.location} returned {exchange.response.status}"
    stored = get_stored_attributes(session.contract, operation, record, include_updated=False)
    returned = {name: nested.record[name] for name in sorted(stored) if name in nested.record}
    changes = describe_changes(returned, stored)
    return f"{nested.location}, retrieved: {changes}" if changes else ""


# Sent values


def _find_named_fields(contract: Contract, operation: Operation) -> list[BodyField]:
    """Return the fields of an action with the name of an attribute, such as the `content` of a message."""
    if not _returns_records(contract, operation):
        return []
    names = {name for resource in contract.resources.values() for name in resource.attributes}
    fields = operation.body_fields.values()
    return [f for f in fields if f.name in names and f.relation_setter is None and f.x_query is None]


@check(
    "action-result-has-sent-values",
    "A record that an action returns has the values of the request in the properties of the same name.",
    Category.ACTIONS,
    lambda contract, operation: bool(_find_named_fields(contract, operation)),
    writes=True,
)
def check_sent_values(case: Case) -> Iterator[CheckResult]:
    """One of the returned records with a property of the name of a sent field has its value."""
    session, action = case.session, perform_action(case)
    sent = action.exchange.request.body
    records = [n.record for n in session.client.created_records.find_records(case.operation, action.exchange)]
    for field in _find_named_fields(session.contract, case.operation):
        returned = [record[field.name] for record in records if field.name in record]
        # A property of the same name may have another meaning: always inferred.
        requirement = replace(case.build_requirement(field.pointer, None, field.name), provenance=INFERRED)
        if not isinstance(sent, Mapping) or field.name not in sent or not returned:
            yield case.skip(requirement, not_testable(f"the request or the returned records have no {field.name}"))
            continue
        has_value = any(contains(sent[field.name], value) for value in returned)
        message = f"{field.name}: got {truncate(returned[0])}, expected {truncate(sent[field.name])} as sent"
        yield case.build_result(requirement, "" if has_value else message, action.exchange)


# Record of the path


@check(
    "action-result-concerns-record",
    "The result of an action is, or references, the record in its path.",
    Category.ACTIONS,
    lambda c, o: _returns_records(c, o) and len(o.path_parameter_names) == 1,
    writes=True,
)
def check_subject(case: Case) -> Iterator[CheckResult]:
    """The result is the record of the path, or references it."""
    action = perform_action(case)
    expected = action.record.key if action.record else None
    results: dict[str, tuple[tuple[str, str | None], str]] = {}
    for nested in _find_retrievable_records(case, action):
        for location, key in _iter_referenced_keys(case, nested):
            message = f"{nested.location} concerns {key}, expected {expected} as in the path" if key != expected else ""
            if message or nested.location not in results:
                results[nested.location] = location, message
    for dotted_path, (location, message) in results.items():
        yield case.build_result(case.build_requirement(*location, parameter=dotted_path), message, action.exchange)
    if not results:
        reason = not_testable("the result does not reference the record in the path")
        yield case.skip(case.build_requirement(), reason)


def _iter_referenced_keys(case: Case, nested: NestedRecord) -> Iterator[tuple[tuple[str, str | None], Any]]:
    """Yield (location, key) of each record of the path's resource that a returned record is or references."""
    session, resource = case.session, case.operation.resource or ""
    if nested.view.resource == resource:
        yield select_least_certain(case, (case.operation.pointer, None)), _get_key(session, nested)
        return
    for relation in session.contract.resources[nested.view.resource].relations.values():
        if relation.targets == (resource,) and not relation.to_many and relation.is_stored:
            related = nested.record.get(relation.name)
            if not related:
                retrieve = session.operations.require(nested.view.resource, "retrieve")
                record, _ = retrieve_with_relations(session, retrieve, _get_key(session, nested))
                related = record.get(relation.name) if isinstance(record, dict) else None
            if isinstance(related, dict) and related:
                location = select_least_certain(case, (case.operation.pointer, None), (relation.pointer, None))
                yield location, related.get(session.contract.resources[resource].key_attribute)


# States


def _is_state_transition(contract: Contract, operation: Operation) -> bool:
    """Whether an action without a body changes the record of the path and is rejected in some states."""
    view = contract.views.get(operation.envelope.view_name or "")
    has_no_input = len(operation.path_parameter_names) == 1 and operation.request_body is None
    returns_subject = view is not None and view.resource == operation.resource
    return is_action(contract, operation) and has_no_input and returns_subject and 409 in operation.responses


@check(
    "terminal-state-is-final",
    "A state that an action sets does not change, and repeating the action in that state returns 409.",
    Category.ACTIONS,
    _is_state_transition,
    writes=True,
)
def check_final_state(case: Case) -> Iterator[CheckResult]:
    """The returned state does not change, and the action is rejected in it."""
    session, operation = case.session, case.operation
    action = perform_action(case)
    returned = session.operations.data(operation, action.exchange)
    state = _find_changed_states(case, action.body_before, returned if isinstance(returned, dict) else {})
    if action.record is None or not state:
        raise SkipCheck(f"{operation.id} did not change the state of a new {operation.resource}")
    second = session.client.send(operation, path=path_of(operation, action.record.key))
    yield evaluate_status(case, 409, second, "again")
    message, exchange = "", action.exchange
    for _ in range(STATE_POLLS):
        session.client.sleep(POLL_INTERVAL)
        record, exchange = retrieve_record(session, action.record.resource, action.record.key)
        changed = [name for name, value in state.items() if record.get(name) != value]
        message = "; ".join(describe_change(name, state[name], record.get(name)) for name in changed)
        if message:
            break
    attribute = session.operations.resource(operation).attributes[next(iter(state))]
    location = select_least_certain(case, (operation.pointer, None), (attribute.pointer, None))
    yield case.build_result(case.build_requirement(*location, parameter="stays"), message, exchange)


def _find_changed_states(case: Case, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the enum attributes that an action changed, with their new values."""
    attributes = case.session.operations.resource(case.operation).attributes.values()
    names = [attribute.name for attribute in attributes if attribute.enum_values and attribute.name in after]
    return {name: after[name] for name in names if before.get(name) != after[name]}
