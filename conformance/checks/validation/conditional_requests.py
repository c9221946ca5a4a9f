"""Checks of entity tags and idempotency keys, where the contract declares them (RFC 9110, sections 8.8.3 and 13)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.bad_requests import build_readable_path
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.declared_headers import find_header_parameter, find_response_headers
from conformance.checks.support.values import is_create, iter_round_trip_fields, new_record
from conformance.checks.writes.changes import describe_changes, fetch_attributes, path_of
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult, Requirement
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

ETAG, IF_MATCH, IF_NONE_MATCH, IDEMPOTENCY_KEY = "etag", "If-Match", "If-None-Match", "Idempotency-Key"
ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
OTHER_TAG = '"conformance-other"'
NO_ETAG = "the response has none, expected an entity tag"
MAX_GENERATED_VALUES = 5  # of a field, until one differs from the stored value


def _declares_etag(contract: Contract, operation: Operation) -> bool:
    return operation.method == "get" and ETAG in find_response_headers(contract, operation, 200)


def _read_etag(exchange: Exchange) -> str:
    return exchange.response.headers.get(ETAG, "")


@check(
    "etag-is-valid",
    "A response has a valid entity tag, and If-None-Match with that tag returns 304 without a body.",
    Category.HTTP,
    _declares_etag,
)
def check_etag(case: Case) -> Iterator[CheckResult]:
    """Send the request without If-None-Match, with the returned entity tag, and with another one."""
    session, operation = case.session, case.operation
    path, query = build_readable_path(case), session.records.required_query(operation)
    first = session.client.send(operation, path=path, query=query)
    if not first.response.ok:
        raise SkipCheck(insufficient_data(f"{operation.id} returned {first.response.status}"))
    declared = find_response_headers(session.contract, operation, 200)[ETAG]
    tag, requirement = _read_etag(first), case.build_requirement(declared.pointer)
    if not ENTITY_TAG.fullmatch(tag):
        invalid = f'ETag: got {tag!r}, expected a quoted string such as "a1b2"'
        message = invalid if tag else declared.report_absence(NO_ETAG)
        yield case.build_result(requirement, message, first)
        return
    yield case.build_result(requirement, "", first)
    if 304 not in operation.responses and find_header_parameter(operation, IF_NONE_MATCH) is None:
        return
    yield _evaluate_not_modified(case, path, query, tag)
    other = session.client.send(operation, path=path, query=query, headers={IF_NONE_MATCH: OTHER_TAG})
    status = other.response.status
    message = "" if status == 200 else f"{IF_NONE_MATCH} with another tag: got {status}, expected 200"
    yield case.build_result(case.build_requirement(parameter="another tag"), message, other)


def _evaluate_not_modified(case: Case, path: Mapping[str, Any], query: Mapping[str, Any], tag: str) -> CheckResult:
    exchange = case.session.client.send(case.operation, path=path, query=query, headers={IF_NONE_MATCH: tag})
    status, requirement = exchange.response.status, case.build_requirement(parameter=IF_NONE_MATCH)
    if status == 200 and _read_etag(exchange) != tag:
        return case.skip(requirement, "the response changed between two requests")
    if status != 304:
        return case.build_result(requirement, f"{IF_NONE_MATCH}: {tag}: got {status}, expected 304", exchange)
    message = (
        f"304: got a body of {len(exchange.response.content)} bytes, expected none" if exchange.response.content else ""
    )
    return case.build_result(requirement, message, exchange)


def _has_etag_of_updates(contract: Contract, operation: Operation) -> bool:
    if operation.action != "update" or operation.resource not in contract.resources:
        return False
    retrieve = contract.find_operation(operation.resource, "retrieve")
    return retrieve is not None and _declares_etag(contract, retrieve)


def _build_change(case: Case, record: CreatedRecord) -> dict[str, Any]:
    """Build an update that changes a field of a record. Raises SkipCheck."""
    session, operation = case.session, case.operation
    before = fetch_attributes(session, record.resource, record.key)
    for field, _ in iter_round_trip_fields(case, session.operations.resource(operation)):
        for _ in range(MAX_GENERATED_VALUES):
            value = session.payloads.generate_value(field.schema, field.name)
            if value != before.get(field.name):
                return session.records.build_update(operation, record.resource, record.key, {field.name: value})
    raise SkipCheck(insufficient_data("the contract defines no field that can be changed and is returned"))


@check(
    "etag-follows-updates",
    "An update changes the entity tag of the record.",
    Category.HTTP,
    _has_etag_of_updates,
    writes=True,
    compares_responses=True,
)
def check_etag_follows_updates(case: Case) -> Iterator[CheckResult]:
    """Update a record, then send its old tag in If-None-Match: 304 would make caches serve the old record."""
    session, operation = case.session, case.operation
    record = new_record(case)
    retrieve = session.operations.require(record.resource, "retrieve")
    before = session.client.retrieve(record.resource, record.key)
    tag, body = _read_etag(before), _build_change(case, record)
    headers = {IF_MATCH: tag} if find_header_parameter(operation, IF_MATCH) else {}
    updated = session.client.send(operation, path=path_of(operation, record.key), body=body, headers=headers)
    if not tag:
        raise SkipCheck(find_response_headers(session.contract, retrieve, 200)[ETAG].report_absence(NO_ETAG))
    if not updated.response.ok:
        raise SkipCheck(f"{operation.id} returned {updated.response.status}")
    path = path_of(retrieve, record.key)
    retrieved: list[Exchange] = []

    def find_problem() -> str:
        after = session.client.send(retrieve, path=path, headers={IF_NONE_MATCH: tag})
        retrieved.append(after)
        is_stale = after.response.status == 304 or _read_etag(after) == tag
        return (
            f"after an update: got {after.response.status} with the old entity tag {tag}, expected 200 with a new one"
            if is_stale
            else ""
        )

    message = session.client.wait_until(find_problem)
    yield case.build_result(case.build_requirement(), message, before, updated, retrieved[-1])


def _has_precondition(contract: Contract, operation: Operation) -> bool:
    is_conditional = 412 in operation.responses or find_header_parameter(operation, IF_MATCH) is not None
    return is_conditional and operation.action in ("update", "delete") and operation.resource in contract.resources


@check(
    "stale-if-match-is-412",
    "A write with If-Match and a tag that the record does not have returns 412 and changes nothing.",
    Category.HTTP,
    _has_precondition,
    writes=True,
)
def check_if_match(case: Case) -> Iterator[CheckResult]:
    """Send the write with a tag that the record does not have, then with its current tag."""
    session, operation = case.session, case.operation
    record = new_record(case)
    path = path_of(operation, record.key)
    body = _build_change(case, record) if operation.action == "update" else None
    before = fetch_attributes(session, record.resource, record.key)
    stale = session.client.send(operation, path=path, body=body, headers={IF_MATCH: OTHER_TAG})
    yield _evaluate_stale(case, case.build_requirement(operation.responses.get(412)), record, before, stale)
    tag = _read_etag(session.client.retrieve(record.resource, record.key))
    if not tag or stale.response.ok:
        return
    current = session.client.send(operation, path=path, body=body, headers={IF_MATCH: tag})
    status = current.response.status
    message = "" if current.response.ok else f"{IF_MATCH} with the tag of the record: got {status}, expected 2XX"
    yield case.build_result(case.build_requirement(parameter="current tag"), message, current)


def _evaluate_stale(
    case: Case, requirement: Requirement, record: CreatedRecord, before: Mapping[str, Any], exchange: Exchange
) -> CheckResult:
    status = exchange.response.status
    if status != 412:
        return case.build_result(requirement, f"{IF_MATCH}: {OTHER_TAG}: got {status}, expected 412", exchange)
    changes = describe_changes(before, fetch_attributes(case.session, record.resource, record.key))
    return case.build_result(requirement, f"got 412, but {changes}" if changes else "", exchange)


@check(
    "idempotency-key-is-honoured",
    "A create that is repeated with the same idempotency key creates one record; another key creates another one.",
    Category.HTTP,
    lambda c, o: is_create(c, o) and find_header_parameter(o, IDEMPOTENCY_KEY) is not None and not o.effects,
    writes=True,
    compares_responses=True,
)
def check_idempotency_key(case: Case) -> Iterator[CheckResult]:
    """Send the same create twice with one key, and once with another key."""
    session, operation = case.session, case.operation
    parameter = find_header_parameter(operation, IDEMPOTENCY_KEY)
    assert parameter is not None
    body = session.payloads.build(operation, session.records.parent)
    keys = [session.payloads.generate_value({"type": "string", "format": "uuid"}, "key") for _ in range(2)]
    exchanges = [
        session.client.send(operation, body=body, headers={parameter.name: key}) for key in (keys[0], keys[0], keys[1])
    ]
    records = [_read_key(case, exchange) for exchange in exchanges]
    if records[0] is None:
        raise SkipCheck(f"{operation.id} returned {exchanges[0].response.status}")
    status = exchanges[1].response.status
    is_repeated = records[1] == records[0] or (not exchanges[1].response.ok and status in (409, 422))
    message = (
        ""
        if is_repeated
        else f"repeated with the same key: got {status} and record {records[1]}, expected record {records[0]}"
    )
    yield case.build_result(case.build_requirement(parameter.pointer), message, *exchanges[:2])
    is_other = records[2] != records[0]
    message = "" if is_other else f"repeated with another key: got record {records[2]}, expected a new record"
    yield case.build_result(case.build_requirement(parameter.pointer, None, "another key"), message, *exchanges)


def _read_key(case: Case, exchange: Exchange) -> Any:
    """Return the key of the record in a response; None if the request failed or the response has no key."""
    if not exchange.response.ok:
        return None
    try:
        record = case.session.operations.data(case.operation, exchange)
        return case.session.operations.key_of(case.operation.resource or "", record)
    except SkipCheck:
        return None
