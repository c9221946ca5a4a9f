"""Check that an action changes no records that it does not concern."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.checks.support.action_calls import (
    ObservedRecord,
    PerformedAction,
    is_action,
    observe_record,
    perform_observed_action,
    select_attributes,
)
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import (
    describe_change,
    equal,
    find_sendable_names,
    iter_changed_names,
    retrieve_record,
)
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.transport.messages import GONE_STATUSES, Exchange
from spec.model import Contract, Operation


def _applies(contract: Contract, operation: Operation) -> bool:
    return is_action(contract, operation) and len(operation.path_parameter_names) == 1


@check(
    "action-leaves-other-records",
    "An action neither deletes nor changes another record than that in its path.",
    Category.ACTIONS,
    _applies,
    writes=True,
)
def check_other_records(case: Case) -> Iterator[CheckResult]:
    """Retrieve a record with the same parents, and a record of other resources, before and after the action."""
    action = perform_observed_action(case)
    if action.record is None or not action.others:
        raise SkipCheck(insufficient_data("no other record can be retrieved"))
    results: dict[str, CheckResult] = {}
    for other in action.others:
        if other.resource not in results or not results[other.resource].message:
            results[other.resource] = _evaluate(case, action, other)
    yield from results.values()


def _evaluate(case: Case, action: PerformedAction, other: ObservedRecord) -> CheckResult:
    session = case.session
    exchange = session.client.retrieve(other.resource, other.key)
    requirement = case.build_requirement(parameter=f"another {other.resource}")
    if exchange.response.status in GONE_STATUSES:
        message = f"retrieve of another {other.resource} after the action: got {exchange.response.status}, expected 2xx"
        result = case.build_result(requirement, message, action.exchange, exchange)
        return replace(result, is_contradiction=True)
    changes = list(_find_changes(case, action, other, exchange)) if exchange.response.ok else []
    message = f"the action changed another {other.resource}: {'; '.join(changes)}" if changes else ""
    return case.build_result(requirement, message, action.exchange, exchange)


def _find_changes(case: Case, action: PerformedAction, other: ObservedRecord, exchange: Exchange) -> Iterator[str]:
    """Describe the changes of another record that the action must have made.

    A property that a request body can contain is always reported. The server may change others, such as a status, by
    itself: they are reported if the action has set the same values in its own record, and a record that is created as
    a control does not get them without the action.
    """
    session = case.session
    data = session.operations.data(session.operations.require(other.resource, "retrieve"), exchange)
    after = select_attributes(session, other.resource, data) if isinstance(data, Mapping) else {}
    stamps = session.contract.resources[other.resource].attributes_with_stamp("updated")
    changed = [n for n in sorted(iter_changed_names(other.attributes, after)) if n not in stamps]
    if not changed:
        return
    sendable = find_sendable_names(session.contract, other.resource)
    server_set = [name for name in changed if name not in sendable]
    is_like_subject = action.record is not None and action.record.resource == other.resource
    set_by_action = _find_set_values(case, action) if server_set and is_like_subject else {}
    is_same = all(name in set_by_action and equal(set_by_action[name], after[name]) for name in server_set)
    if server_set and (not is_same or _changes_by_itself(case, other, {name: after[name] for name in server_set})):
        server_set = []
    for name in changed:
        if name in sendable or name in server_set:
            yield describe_change(name, other.attributes[name], after[name])


def _find_set_values(case: Case, action: PerformedAction) -> Mapping[str, Any]:
    """Return the values that the action has changed in the record of its path."""
    if action.record is None:
        return {}
    after = retrieve_record(case.session, action.record.resource, action.record.key)[0]
    return {name: after[name] for name in iter_changed_names(action.body_before, after)}


def _changes_by_itself(case: Case, other: ObservedRecord, values: Mapping[str, Any]) -> bool:
    """Create a record as a control and wait as long as since `other` was read; return whether it gets a value.

    True also if its values differ from those of `other` from the beginning.
    """
    session, waited = case.session, time.monotonic() - other.time
    control = observe_record(session, session.records.create(other.resource))
    session.client.sleep(waited)
    after = retrieve_record(session, control.resource, control.key)[0]
    return any(
        not equal(control.attributes.get(name), other.attributes[name]) or equal(after.get(name), value)
        for name, value in values.items()
    )
