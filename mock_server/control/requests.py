"""Operations on the request journal of a sandbox: list, find, count, verify, export and stream."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.control.journal_entries import EntryView
from mock_server.errors import ApiError, ErrorKind
from mock_server.registry.entries import SandboxEntry
from mock_server.sandbox.journal import RequestJournal
from mock_server.sandbox.rules import RuleMatch, iter_body_differences
from spec.redaction import REDACTED, SecretRedactor

DEFAULT_LIMIT = 100
MAX_NEAR_MISSES, MAX_LISTED_REQUESTS, MAX_DIFFERENCES = 3, 10, 20
KEEP_ALIVE_SECONDS = 15.0  # without a new request until a comment is sent, so that proxies keep the connection
# A request of another operation is less similar than one with other values.
_ROUTE_CONDITIONS = frozenset({"operation", "tag", "method", "path"})
_ROUTE_DISTANCE = 10
_MATCH_CONDITIONS = (*_ROUTE_CONDITIONS, "query", "headers")


async def list_requests(request: ControlRequest) -> ControlResult:
    entry = await request.find_entry()
    conditions = {name: request.query[name] for name in ("operation", "status") if name in request.query}
    return await _list_page(request, entry, conditions, request.query)


async def find_requests(request: ControlRequest) -> ControlResult:
    return await _list_page(request, await request.find_entry(), request.body, request.body)


async def _list_page(
    request: ControlRequest, entry: SandboxEntry, conditions: Mapping[str, Any], paging: Mapping[str, Any]
) -> ControlResult:
    journal = get_journal(entry)
    matches = [view for view, is_match in _iter_views(request, entry, journal, conditions) if is_match]
    limit, before = paging.get("limit", DEFAULT_LIMIT), paging.get("before", journal.last_number + 1)
    remaining = [view for view in matches if view.entry.number < before]
    page = remaining[:limit]
    body = {
        "requests": [await _describe(request, entry, view) for view in page],
        "total": len(matches),
        "dropped": journal.dropped_count,
        "next_before": page[-1].entry.number if len(remaining) > len(page) else None,
    }
    return ControlResult(HTTPStatus.OK, body)


async def delete_requests(request: ControlRequest) -> ControlResult:
    get_journal(await request.find_entry()).clear()
    return ControlResult(HTTPStatus.NO_CONTENT)


async def count_requests(request: ControlRequest) -> ControlResult:
    entry = await request.find_entry()
    views = _iter_views(request, entry, get_journal(entry), request.body)
    return ControlResult(HTTPStatus.OK, {"count": sum(is_match for _, is_match in views)})


async def verify_requests(request: ControlRequest) -> ControlResult:
    """Compare the number of matching requests with the expected one; 409 if it differs."""
    entry, body = await request.find_entry(), request.body
    views = list(_iter_views(request, entry, get_journal(entry), body))
    matches = [view for view, is_match in views if is_match]
    low, high = body.get("at_least", 0), body.get("at_most")
    if "count" in body:
        low = high = body["count"]
    elif not {"at_least", "at_most"} & body.keys():
        low = 1
    is_verified = low <= len(matches) and (high is None or len(matches) <= high)
    is_missing = not is_verified and len(matches) < low
    others = [view for view, is_match in views if not is_match]
    result = {
        "verified": is_verified,
        "message": f"Expected {_describe_range(low, high)}, got {len(matches)}.",
        "count": len(matches),
        "requests": [
            await _describe(request, entry, view)
            for view in ([] if is_verified or is_missing else matches[:MAX_LISTED_REQUESTS])
        ],
        "near_misses": [
            {"request": await _describe(request, entry, view), "differences": differences}
            for view, differences in (_find_near_misses(request, others) if is_missing else [])
        ],
    }
    return ControlResult(HTTPStatus.OK if is_verified else HTTPStatus.CONFLICT, result)


def _describe_range(low: int, high: int | None) -> str:
    noun = "request" if (low if high is None else high) == 1 else "requests"
    if high is None:
        return f"at least {low} {noun}"
    return f"{low} {noun}" if low == high else f"{low} to {high} {noun}"


async def export_requests(request: ControlRequest) -> ControlResult:
    entry = await request.find_entry()
    views = [view for view, _ in _iter_views(request, entry, get_journal(entry), {})]
    return ControlResult(HTTPStatus.OK, request.journal_reader.build_archive(views[::-1]))


# Events


async def stream_requests(request: ControlRequest) -> ControlResult:
    """Send each new entry as an event; to a client that does not accept event streams, the recorded ones only."""
    entry = await request.find_entry()
    journal, last_id = get_journal(entry), request.last_event_id
    number = journal.last_number if request.accepts_events else 0
    if last_id.isascii() and last_id.isdigit():
        number = int(last_id[:18])
    return ControlResult(HTTPStatus.OK, events=_iter_events(request, entry, journal, number))


async def _iter_events(
    request: ControlRequest, entry: SandboxEntry, journal: RequestJournal, number: int
) -> AsyncGenerator[bytes, None]:
    """Yield the entries after `number`. The journal is the queue: what it drops before it was sent is counted."""
    is_changed = asyncio.Event()
    journal.listeners.add(is_changed)
    try:
        yield b": requests of the sandbox\n\n"
        while not journal.is_closed:
            is_changed.clear()
            entries, dropped_count = journal.list_after(number)
            number = max(number, journal.last_number)
            if dropped_count:
                yield b'event: dropped\ndata: {"count": %d}\n\n' % dropped_count
            for recorded in entries:
                view = request.journal_reader.view(recorded, entry.sandbox.name)
                data = orjson.dumps(await request.journal_reader.describe(view, entry.sandbox))
                yield b"event: request\nid: %d\ndata: %s\n\n" % (recorded.number, data)
            if not request.accepts_events:
                break
            if entries or dropped_count:
                continue
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(is_changed.wait(), KEEP_ALIVE_SECONDS)
            if not is_changed.is_set():
                yield b": keep-alive\n\n"
    finally:
        journal.listeners.discard(is_changed)


# Conditions


def get_journal(entry: SandboxEntry) -> RequestJournal:
    """Return the journal of a sandbox. Raises ApiError (409) if requests are not recorded."""
    if entry.sandbox.journal is None:
        message = "Requests are not recorded: the mock was started with --journal-memory 0."
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message)
    return entry.sandbox.journal


def _iter_views(
    request: ControlRequest, entry: SandboxEntry, journal: RequestJournal, conditions: Mapping[str, Any]
) -> Iterator[tuple[EntryView, bool]]:
    """Yield (entry, whether it fulfils the conditions), the newest first."""
    match, status = _parse_match(conditions), conditions.get("status")
    has_conditions = match != RuleMatch()
    for recorded in reversed(journal.entries):
        view = request.journal_reader.view(recorded, entry.sandbox.name)
        has_status = status is None or recorded.status == status
        yield view, has_status and (not has_conditions or match.matches(view.to_matched_request()))


def _parse_match(conditions: Mapping[str, Any]) -> RuleMatch:
    values = {name: conditions[name] for name in _MATCH_CONDITIONS if name in conditions}
    return RuleMatch(**values, body=conditions.get("body"), has_body="body" in conditions)


async def _describe(request: ControlRequest, entry: SandboxEntry, view: EntryView) -> dict[str, Any]:
    await asyncio.sleep(0)  # let other requests proceed: a large body takes some milliseconds
    return await request.journal_reader.describe(view, entry.sandbox)


def _find_near_misses(request: ControlRequest, views: list[EntryView]) -> list[tuple[EntryView, list[dict[str, Any]]]]:
    """Return the requests with the fewest differences, of equals the newest, and their differences."""
    rated = []
    for position, view in enumerate(views):
        differences = list(_iter_differences(request.body, view))
        distance = sum(_ROUTE_DISTANCE if location in _ROUTE_CONDITIONS else 1 for location, _, _ in differences)
        rated.append((distance, position, view, differences))
    rated.sort(key=lambda item: item[:2])
    redactor = request.journal_reader.redactor
    return [
        (view, [_describe_difference(redactor, *difference) for difference in differences[:MAX_DIFFERENCES]])
        for _, _, view, differences in rated[:MAX_NEAR_MISSES]
    ]


def _describe_difference(redactor: SecretRedactor, location: str, expected: Any, received: Any) -> dict[str, Any]:
    if any(redactor.is_hidden(name) for name in location.split(".")):
        expected, received = REDACTED, REDACTED
    return {
        "location": redactor.remove_secrets(location),
        "expected": redactor.redact_secrets(expected),
        "received": redactor.redact_secrets(received),
    }


def _iter_differences(conditions: Mapping[str, Any], view: EntryView) -> Iterator[tuple[str, Any, Any]]:
    """Yield (location, expected, received) for the conditions that a request does not fulfil."""
    matched = view.to_matched_request()
    operation = matched.operation
    received = {
        "operation": operation.id if operation else None,
        "tag": operation.tag if operation else None,
        "method": matched.method,
        "status": view.entry.status or None,
    }
    for name, value in received.items():
        if conditions.get(name, value) != value:
            yield name, conditions[name], value
    if not RuleMatch(path=conditions.get("path")).matches(matched):
        yield "path", conditions["path"], matched.path
    yield from _iter_value_differences("query", conditions.get("query", {}), view.query)
    expected_headers = {name.lower(): value for name, value in conditions.get("headers", {}).items()}
    yield from _iter_value_differences("headers", expected_headers, matched.headers)
    if "body" in conditions:
        yield from iter_body_differences(matched.body, conditions["body"], "body")


def _iter_value_differences(
    location: str, expected: Mapping[str, str], received: Mapping[str, str]
) -> Iterator[tuple[str, Any, Any]]:
    for name, value in expected.items():
        if received.get(name) != value:
            yield f"{location}.{name}", value, received.get(name)
