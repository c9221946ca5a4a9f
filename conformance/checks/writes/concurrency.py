"""Checks of requests that are sent at once (`--concurrency`): no lost write, no duplicate key, no server error."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import Listing
from conformance.checks.support.values import (
    contains,
    describe_change,
    has_action,
    is_create,
    iter_round_trip_fields,
    new_record,
)
from conformance.checks.writes.changes import fetch_attributes, path_of
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.client import Call
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import GONE_STATUSES, Exchange
from spec.model import Contract, Operation

ROUNDS = 5  # of one run of a check: a race does not show each time
CREATES = 4  # sent at once

Problem = tuple[str, tuple[Exchange, ...]]  # failure message ("" if there is none) and evidence


def _without_effects(applies: Callable[[Contract, Operation], bool]) -> Callable[[Contract, Operation], bool]:
    return lambda contract, operation: applies(contract, operation) and not operation.effects


def _run_rounds(case: Case, run_round: Callable[[], Problem]) -> CheckResult:
    """Repeat a round until it fails."""
    problem: Problem = ("", ())
    for _ in range(ROUNDS):
        problem = run_round()
        if problem[0]:
            break
    return case.build_result(case.build_requirement(), problem[0], *problem[1])


def _find_server_error(exchanges: list[Exchange]) -> str:
    statuses = [exchange.response.status for exchange in exchanges if exchange.response.status >= 500]
    return f"got {statuses[0]} for one of {len(exchanges)} requests sent at once" if statuses else ""


# Updates


@check(
    "concurrent-updates-are-kept",
    "Two updates of different fields that are sent at once are both stored.",
    Category.WRITES,
    _without_effects(has_action("update")),
    provenance_independent=True,
    writes=True,
    is_concurrent=True,
)
def check_concurrent_updates(case: Case) -> Iterator[CheckResult]:
    """Update two fields, first one after the other, then at once. A rejected update need not be stored."""
    record = new_record(case)
    names = _find_independent_fields(case, record)
    bodies = _build_updates(case, record, names)
    for body in bodies:
        path = path_of(case.operation, record.key)
        if not case.session.client.send(case.operation, path=path, body=body).response.ok:
            raise SkipCheck(insufficient_data("an update of a single field is rejected"))
    if case.session.client.wait_until(lambda: _find_lost_value(case, record, bodies)):
        raise SkipCheck("two updates that are sent one after the other are not both stored")
    yield _run_rounds(case, partial(_update_together, case, record, names))


def _find_independent_fields(case: Case, record: CreatedRecord) -> tuple[str, str]:
    """Return two fields that can be updated without each other. Raises SkipCheck."""
    fields = [f.name for f, _ in iter_round_trip_fields(case, case.session.operations.resource(case.operation))]
    required = case.session.records.build_update(case.operation, record.resource, record.key, {})
    before = fetch_attributes(case.session, record.resource, record.key)
    free = [name for name in fields if name not in required and name in before]
    if len(free) < 2:
        raise SkipCheck(not_testable("the contract defines no two fields that can be updated without each other"))
    return free[0], free[1]


def _build_updates(case: Case, record: CreatedRecord, names: tuple[str, str]) -> list[dict[str, Any]]:
    """Build an update of each field, with a value that the record does not have."""
    session, operation = case.session, case.operation
    before = fetch_attributes(session, record.resource, record.key)
    bodies = []
    for name in names:
        schema = operation.body_fields[name].schema
        values = (session.payloads.generate_value(schema, name) for _ in range(10))
        value = next((value for value in values if not contains(value, before.get(name))), None)
        if value is None:
            raise SkipCheck(not_testable(f"the contract defines only one value of {name}"))
        bodies.append(session.records.build_update(operation, record.resource, record.key, {name: value}))
    return bodies


def _update_together(case: Case, record: CreatedRecord, names: tuple[str, str]) -> Problem:
    session, path = case.session, path_of(case.operation, record.key)
    bodies = _build_updates(case, record, names)
    exchanges = session.client.send_together([Call(case.operation, path, body=body) for body in bodies])
    message = _find_server_error(exchanges)
    if message:
        return message, tuple(exchanges)
    accepted = [body for body, exchange in zip(bodies, exchanges, strict=True) if exchange.response.ok]
    return session.client.wait_until(lambda: _find_lost_value(case, record, accepted)), tuple(exchanges)


def _find_lost_value(case: Case, record: CreatedRecord, bodies: list[dict[str, Any]]) -> str:
    """Describe a value of an accepted update that a retrieve does not show; "" if it shows all."""
    after = fetch_attributes(case.session, record.resource, record.key)
    sent = {name: value for body in bodies for name, value in body.items() if name in after}
    lost = [name for name, value in sent.items() if not contains(value, after[name])]
    changes = [describe_change(name, sent[name], after[name]) for name in lost]
    return f"two updates sent at once, one of them is lost: {'; '.join(changes)}" if lost else ""


# Creates


@check(
    "concurrent-creates-are-distinct",
    "Creates that are sent at once make one record each, with its own key and values.",
    Category.WRITES,
    _without_effects(is_create),
    provenance_independent=True,
    writes=True,
    is_concurrent=True,
)
def check_concurrent_creates(case: Case) -> Iterator[CheckResult]:
    new_record(case)  # the parents that a record requires are created first
    yield _run_rounds(case, partial(_create_together, case))


def _create_together(case: Case) -> Problem:
    session, operation = case.session, case.operation
    tenant_fields = session.client.tenant.create_fields(operation) if session.client.tenant else {}
    bodies = [{**session.payloads.build(operation, session.records.parent), **tenant_fields} for _ in range(CREATES)]
    exchanges = session.client.send_together([Call(operation, body=body) for body in bodies])
    message = _find_server_error(exchanges)
    if message:
        return message, tuple(exchanges)
    created: dict[Any, tuple[dict[str, Any], Exchange]] = {}
    for body, exchange in zip(bodies, exchanges, strict=True):
        if not exchange.response.ok:
            continue
        key = session.operations.key_of(operation.resource or "", session.operations.data(operation, exchange))
        if key in created:
            return f"two creates sent at once returned the same key {key!r}", (created[key][1], exchange)
        created[key] = body, exchange
    if session.operations.find(operation.resource or "", "retrieve") is None:
        return "", ()
    for key, (body, exchange) in created.items():
        message = session.client.wait_until(partial(_find_wrong_value, case, key, body))
        if message:
            return message, (exchange,)
    return "", ()


def _find_wrong_value(case: Case, key: Any, body: Mapping[str, Any]) -> str:
    """Describe how a retrieved record differs from the body of its create; "" if it does not."""
    session, resource = case.session, case.operation.resource or ""
    exchange = session.client.retrieve(resource, key)
    if exchange.response.status in GONE_STATUSES:
        return f"creates sent at once, record {key} is lost: retrieving it returned {exchange.response.status}"
    after = fetch_attributes(session, resource, key)
    fields = (f.name for f, _ in iter_round_trip_fields(case, session.operations.resource(case.operation)))
    names = [name for name in fields if name in body and name in after]
    wrong = [describe_change(name, body[name], after[name]) for name in names if not contains(body[name], after[name])]
    return f"creates sent at once, record {key} has the values of another: {'; '.join(wrong)}" if wrong else ""


# Deletes


@check(
    "concurrent-deletes-are-consistent",
    "A record that is deleted while it is listed and deleted again is gone, and no other record with it.",
    Category.WRITES,
    _without_effects(has_action("delete")),
    provenance_independent=True,
    writes=True,
    is_concurrent=True,
)
def check_concurrent_deletes(case: Case) -> Iterator[CheckResult]:
    case.session.operations.creator(case.operation.resource or "")  # a borrowed record is not deleted
    case.session.operations.require(case.operation.resource or "", "retrieve")
    yield _run_rounds(case, partial(_delete_together, case))


def _delete_together(case: Case) -> Problem:
    session, operation, resource = case.session, case.operation, case.operation.resource or ""
    sibling, record = new_record(case), new_record(case)
    calls = [Call(operation, path_of(operation, record.key))] * 2
    list_operation = session.operations.find(resource, "list")
    keys_before: list[Any] = []
    if list_operation is not None:
        listing = Listing(session, list_operation)
        keys_before = listing.get_keys(listing.fetch_largest().rows)
        query = {**session.records.required_query(list_operation), **dict(listing.build_largest_page_query())}
        calls += [Call(list_operation, query=query)] * 2
    exchanges = session.client.send_together(calls)
    deletes, lists = exchanges[:2], exchanges[2:]
    if any(exchange.response.ok for exchange in deletes):
        session.write_log.log_deleted(resource, record.key)
    message = _find_server_error(exchanges)
    if not message and not any(exchange.response.ok for exchange in deletes):
        raise SkipCheck(f"{operation.id} returned {deletes[0].response.status}")
    for exchange in lists if not message else ():
        message = message or _find_list_problem(case, exchange, sibling, keys_before)
    message = message or session.client.wait_until(partial(_find_presence_problem, case, record, sibling))
    session.records.delete(resource, sibling.key)
    return message, tuple(exchanges)


def _find_list_problem(case: Case, exchange: Exchange, sibling: CreatedRecord, keys_before: list[Any]) -> str:
    """Describe a row that is repeated or missing in a list that was read during the deletion; "" if there is none."""
    if not exchange.response.ok:
        return f"the list returned {exchange.response.status} while a record was deleted"
    operation = case.session.contract.operations[exchange.request.operation]
    rows = case.session.operations.data(operation, exchange)
    if not isinstance(rows, list):
        return ""
    counts = Counter(case.session.operations.key_of(sibling.resource, row) for row in rows)
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        return f"the list contained {repeated[0]} twice while another record was deleted"
    is_lost = sibling.key in keys_before and sibling.key not in counts
    return f"the list did not contain {sibling.key} while another record was deleted" if is_lost else ""


def _find_presence_problem(case: Case, record: CreatedRecord, sibling: CreatedRecord) -> str:
    """Describe a deleted record that exists, or another one that does not; "" if there is none."""
    status = case.session.client.retrieve(record.resource, record.key).response.status
    if 200 <= status < 300:
        return f"the deleted record {record.key} can be retrieved after two deletes sent at once"
    status = case.session.client.retrieve(sibling.resource, sibling.key).response.status
    return f"record {sibling.key} is lost: retrieving it returned {status}" if status in GONE_STATUSES else ""
