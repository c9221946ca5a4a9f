"""Checks of times that actions set: that of a state, and that of the last call."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from conformance.checks.support.action_calls import PerformedAction, is_action, perform_action, repeat_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.values import parse_instant, retrieve_record
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.transport.messages import Exchange, iter_texts
from spec.model import Attribute, Contract, DerivedProperty, Operation, Resource

TIME_SUFFIX = "_at"
TIME_FORMAT = "date-time"
LAST_TIME = re.compile("last_.*_at|last[A-Z].*At")
COUNT_SUFFIX = ("_count", "Count")
MAX_PAGES = 5  # of listed records; the first ones are those of the run
PAUSE = 1.1  # seconds between two calls; longer than the resolution of timestamps in whole seconds


# States


def _find_state_times(resource: Resource) -> dict[tuple[str, Any], Attribute]:
    """Return (attribute, enum value) -> the time of that state: ``status: stopped`` has ``stopped_at``."""
    return {
        (attribute.name, value): resource.attributes[f"{value}{TIME_SUFFIX}"]
        for attribute in resource.attributes.values()
        for value in attribute.enum_values or ()
        if f"{value}{TIME_SUFFIX}" in resource.attributes
        and resource.attributes[f"{value}{TIME_SUFFIX}"].schema.get("format") == TIME_FORMAT
    }


def _may_set_state(contract: Contract, operation: Operation) -> bool:
    is_candidate = is_action(contract, operation) and len(operation.path_parameter_names) == 1
    return is_candidate and bool(_find_state_times(contract.resources[operation.resource or ""]))


@check(
    "state-has-its-time",
    "A record whose status has a timestamp, such as `stopped_at` for `stopped`, has a value in it.",
    Category.ACTIONS,
    _may_set_state,
    writes=True,
)
def check_state_time(case: Case) -> Iterator[CheckResult]:
    """Call the action on a new record; if it sets such a state, the record has the time of that state."""
    session, resource = case.session, case.session.operations.resource(case.operation)
    action = perform_action(case)
    if action.record is None:
        raise SkipCheck(not_testable("the action has no record"))
    key, exchanges = action.record.key, list[Exchange]()
    reached: dict[tuple[str, Any], Attribute] = {}

    def find_problem() -> str:
        body, exchange = retrieve_record(session, resource.name, key)
        exchanges.append(exchange)
        times = _find_state_times(resource).items()
        reached.clear()
        reached.update({k: t for k, t in times if body.get(k[0]) == k[1] != action.body_before.get(k[0])})
        missing = [(k, t.name) for k, t in reached.items() if t.name in body and body[t.name] is None]
        return "; ".join(f"{name}: got null, expected a time, since {k[0]} is {k[1]}" for k, name in missing)

    message = session.client.wait_until(find_problem)
    if not reached:
        raise SkipCheck(
            insufficient_data("the action sets no status that has a timestamp, such as `stopped_at` for `stopped`")
        )
    (name, value), attribute = next(iter(reached.items()))
    requirement = replace(case.build_requirement(attribute.pointer, None, attribute.name), provenance="inferred")
    result = case.build_result(requirement, message, action.exchange, exchanges[-1])
    is_contradiction = bool(message) and _is_time_set_elsewhere(session, resource, name, value, attribute.name)
    yield replace(result, is_contradiction=is_contradiction)


def _is_time_set_elsewhere(session: Session, resource: Resource, name: str, value: Any, time: str) -> bool:
    """Whether each listed record of other clients in a state has its time, and a record in another state has none."""
    listing = session.operations.find(resource.name, "list")
    own = {created.key for created in session.write_log.created_records}
    rows = list(session.records.rows(listing, {}, pages=MAX_PAGES)) if listing is not None else []
    known = [row for row in rows if time in row and row.get(resource.key_attribute) not in own]
    times = [row[time] for row in known if row.get(name) == value]
    has_others = any(row[time] is None for row in rows if time in row and row.get(name) != value)
    return bool(times) and None not in times and has_others


# Last call


def _find_last_times(contract: Contract, operation: Operation) -> list[tuple[str, DerivedProperty]]:
    """Return the properties with the latest time of the records that an action creates, by name.

    For example ``max: runs.created_at`` for ``POST .../run``.
    """
    resource = contract.resources.get(operation.resource or "")
    name = f"{operation.path.rstrip('/').rpartition('/')[2]}s"
    return [
        (derived_name, derived)
        for derived_name, derived in (resource.derived_properties.items() if resource else ())
        if derived.kind == "max" and not derived.where and derived.path[:1] == (name,)
    ]


@check(
    "repeated-action-advances-time",
    "The time of the last call of an action advances with a second call.",
    Category.ACTIONS,
    lambda c, o: is_action(c, o) and len(o.path_parameter_names) == 1 and bool(_find_last_times(c, o)),
    writes=True,
)
def check_last_time(case: Case) -> Iterator[CheckResult]:
    """Call the action twice with a pause; the time after the second call is later than that after the first."""
    first = perform_action(case)
    before, _ = _retrieve(case, first)
    case.session.client.sleep(PAUSE)
    second = repeat_action(case, first)
    has_advanced = _find_latest(first.exchange) < _find_latest(second.exchange)
    for name, derived in _find_last_times(case.session.contract, case.operation):
        requirement = case.build_requirement(derived.pointer, None, name)
        previous = parse_instant(before.get(name))
        if previous is None or not has_advanced:
            yield case.skip(requirement, insufficient_data("the responses show no later time"))
            continue
        exchanges: list[Exchange] = []

        def find_problem(name: str = name, previous: datetime = previous, shown: list[Exchange] = exchanges) -> str:
            body, exchange = _retrieve(case, second)
            shown.append(exchange)
            current = parse_instant(body.get(name))
            is_later = current is not None and current > previous
            return "" if is_later else f"{name} after a second call: got {body.get(name)}, expected a later time"

        message = case.session.client.wait_until(find_problem)
        yield case.build_result(requirement, message, second.exchange, exchanges[-1])


def _find_counted_times(contract: Contract, operation: Operation) -> list[Attribute]:
    """Return the timestamps of the last use that only the server sets, such as `last_used_at`."""
    resource = contract.resources.get(operation.resource or "")
    is_candidate = is_action(contract, operation) and len(operation.path_parameter_names) == 1
    return [
        attribute
        for attribute in (resource.attributes.values() if resource is not None and is_candidate else ())
        if attribute.read_only
        and attribute.nullable
        and attribute.schema.get("format") == TIME_FORMAT
        and LAST_TIME.fullmatch(attribute.name)
    ]


@check(
    "counted-action-has-a-time",
    "A record whose number of uses an action increases, such as `usage_count`, has a time of its last use.",
    Category.ACTIONS,
    lambda c, o: bool(_find_counted_times(c, o)),
    writes=True,
)
def check_counted_time(case: Case) -> Iterator[CheckResult]:
    """Call the action on a new record; if it increases a number, the time of the last use is not null."""
    action = perform_action(case)
    before = action.body_before
    for attribute in _find_counted_times(case.session.contract, case.operation):
        requirement = replace(case.build_requirement(attribute.pointer, None, attribute.name), provenance="inferred")
        exchanges: list[Exchange] = []
        increased: list[str] = []

        def find_problem(
            name: str = attribute.name, shown: list[Exchange] = exchanges, counts: list[str] = increased
        ) -> str:
            body, exchange = _retrieve(case, action)
            shown.append(exchange)
            counts[:] = [n for n, value in body.items() if n.endswith(COUNT_SUFFIX) and _is_increased(before, n, value)]
            is_missing = bool(counts) and name in body and body[name] is None
            return f"{name}: got null, expected a time, since {counts[0]} has increased" if is_missing else ""

        message = case.session.client.wait_until(find_problem)
        if increased:
            yield case.build_result(requirement, message, action.exchange, exchanges[-1])
        else:
            yield case.skip(requirement, insufficient_data("the action increases no number of its record"))


def _is_increased(before: Mapping[str, Any], name: str, value: Any) -> bool:
    previous = before.get(name)
    return isinstance(value, int) and isinstance(previous, int) and value > previous


def _retrieve(case: Case, action: PerformedAction) -> tuple[Mapping[str, Any], Exchange]:
    """Return the record of an action, with its relations. Raises SkipCheck."""
    retrieve = case.session.operations.require(case.operation.resource or "", "retrieve")
    if action.record is None:
        raise SkipCheck(not_testable("the action has no record"))
    body, exchange = retrieve_with_relations(case.session, retrieve, action.record.key)
    if not isinstance(body, Mapping):
        raise SkipCheck(f"{retrieve.id} returned {exchange.response.status}")
    return body, exchange


def _find_latest(exchange: Exchange) -> float:
    """Return the latest time in a response, in seconds; 0 without one."""
    instants = (parse_instant(text) for text in iter_texts(exchange.response.json))
    return max((instant.timestamp() for instant in instants if instant is not None), default=0.0)
