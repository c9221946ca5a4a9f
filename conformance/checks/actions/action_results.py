"""Check that an update keeps what actions have changed, such as a status or a number of runs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.checks.access.members import build_changes
from conformance.checks.support.action_calls import PerformedAction, is_action, perform_action
from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import describe_change, equal, retrieve_record
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from spec.model import Contract, Operation


def _find_actions(contract: Contract, operation: Operation) -> list[Operation]:
    """Return the actions on a record of the resource that an operation updates."""
    if operation.action != "update" or contract.find_operation(operation.resource, "retrieve") is None:
        return []
    candidates = (
        o for o in contract.operations.values() if o.resource == operation.resource and is_action(contract, o)
    )
    return [candidate for candidate in candidates if len(candidate.path_parameter_names) == 1]


@check(
    "update-keeps-results-of-actions",
    "An update does not reset what an action has changed, such as a status or a number of runs.",
    Category.SIDE_EFFECTS,
    lambda c, o: bool(_find_actions(c, o)),
    writes=True,
    compares_responses=True,
)
def check_action_results(case: Case) -> Iterator[CheckResult]:
    """Update a record after each action; fail if a property that the action changed has its initial value again."""
    require_allowed(case)
    for action in _find_actions(case.session.contract, case.operation):
        requirement = case.build_requirement(parameter=action.id)
        try:
            performed = perform_action(replace(case, operation=action))
            yield _evaluate(case, performed, action)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)


def _evaluate(case: Case, performed: PerformedAction, action: Operation) -> CheckResult:
    record = performed.record
    assert record is not None  # the path has a parameter
    before, _ = retrieve_record(case.session, record.resource, record.key)
    body = build_changes(case, record)
    changed = {
        name: value
        for name, value in before.items()
        if name not in body and _is_changed(performed.body_before, name, value)
    }
    if not changed:
        raise SkipCheck(insufficient_data(f"{action.id} changes no property of its record"))
    update = case.session.client.send(case.operation, path=path_of(case.operation, record.key), body=body)
    if not update.response.ok:
        raise SkipCheck(f"{case.operation.id} returned {update.response.status}: {update.response.excerpt}")
    after, exchange = retrieve_record(case.session, record.resource, record.key)
    initial = performed.body_before
    reset = [name for name in changed if name in after and equal(after[name], initial[name])]
    message = "; ".join(describe_change(name, changed[name], after[name]) for name in sorted(reset))
    message = f"{message}; the update did not send it, and {action.id} had changed it" if message else ""
    result = case.build_result(case.build_requirement(parameter=action.id), message, update, exchange)
    return replace(result, is_contradiction=bool(message))


def _is_changed(initial: Mapping[str, Any], name: str, value: Any) -> bool:
    return name in initial and not isinstance(value, (dict, list)) and not equal(initial[name], value)
