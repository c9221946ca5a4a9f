"""Operations on the request journal of a sandbox: list, find, count, verify, export and stream."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

import orjson

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.control.journal_entries import EntryView
from mock_server.control.path_conditions import find_syntax_problem, remove_base_path
from mock_server.control.rules import parse_match
from mock_server.errors import ApiError, ErrorKind
from mock_server.registry.entries import SandboxEntry
from mock_server.sandbox.journal import RequestJournal
from mock_server.sandbox.rules import Difference, RuleMatch, iter_body_differences
from spec.model import Contract
from spec.redaction import REDACTED, SecretRedactor

DEFAULT_PAGE_SIZE = 100
MAX_NEAR_MISSES, MAX_LISTED_REQUESTS, MAX_DIFFERENCES = 3, 10, 20
KEEP_ALIVE_SECONDS = 15.0  # without a new request, after which a comment is sent so that proxies keep the connection
MAX_EVENT_ID_DIGITS = 18
# A difference of the operation counts as much as this number of other differences.
_ROUTE_CONDITIONS = frozenset({"operation", "tag", "effect", "secured", "method", "path"})
_ROUTE_DISTANCE = 10
_STATUS_CONDITIONS = ("status", "status_class")
_MATCH_CONDITIONS = (*_ROUTE_CONDITIONS, "query", "headers", "body")


@dataclass(frozen=True, slots=True)
class Selection:
    """The entries of a journal that fulfil conditions, and the others. Both newest first."""

    matches: list[EntryView]
    others: list[EntryView]


@dataclass(frozen=True, slots=True)
class CountRange:
    """The expected number of requests. `maximum` None: unlimited."""

    minimum: int
    maximum: int | None

    @classmethod
    def from_expectation(cls, body: Mapping[str, Any]) -> Self:
        """Return the range of `count`, or of `at_least` and `at_most`; without these, at least one."""
        if "count" in body:
            return cls(body["count"], body["count"])
        if "at_most" in body:
            return cls(body.get("at_least", 0), body["at_most"])
        return cls(body.get("at_least", 1), None)

    def includes(self, count: int) -> bool:
        return self.minimum <= count and (self.maximum is None or count <= self.maximum)

    def describe(self) -> str:
        low, high = self.minimum, self.maximum
        noun = "request" if (low if high is None else high) == 1 else "requests"
        if high is None:
            return f"at least {low} {noun}"
        return f"{low} {noun}" if low == high else f"{low} to {high} {noun}"


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A request that does not fulfil the conditions, and how it differs from them."""

    view: EntryView
    differences: list[Difference]

    @property
    def distance(self) -> int:
        return sum(_ROUTE_DISTANCE if item.location in _ROUTE_CONDITIONS else 1 for item in self.differences)


# Operations


async def list_requests(request: ControlRequest) -> ControlResult:
    entry = await request.find_entry()
    conditions = {name: request.query[name] for name in ("operation", *_STATUS_CONDITIONS) if name in request.query}
    return await _list_page(request, entry, conditions, request.query)


async def find_requests(request: ControlRequest) -> ControlResult:
    return await _list_page(request, await request.find_entry(), request.body, request.body)


async def _list_page(
    request: ControlRequest, entry: SandboxEntry, conditions: Mapping[str, Any], paging: Mapping[str, Any]
) -> ControlResult:
    journal = get_journal(entry)
    matches = _select_entries(request, entry, conditions).matches
    has_bodies = paging.get("bodies", True)
    limit, before = paging.get("limit", DEFAULT_PAGE_SIZE), paging.get("before", journal.last_number + 1)
    remaining = [view for view in matches if view.entry.number < before]
    page = remaining[:limit]
    body = {
        "requests": [await _describe(request, entry, view, has_bodies) for view in page],
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
    return ControlResult(HTTPStatus.OK, {"count": len(_select_entries(request, entry, request.body).matches)})


async def verify_requests(request: ControlRequest) -> ControlResult:
    """Compare the number of matching requests with the expected one; 409 if it differs.

    The result lists the matches if there are too many, and the most similar requests if there are too few.
    """
    entry, expected = await request.find_entry(), CountRange.from_expectation(request.body)
    if expected.maximum is not None and expected.minimum > expected.maximum:
        message = f"No number is at least {expected.minimum} and at most {expected.maximum}"
        message += " (expected at_least not greater than at_most)."
        raise ApiError(ErrorKind.VALIDATION_FAILED, errors={"at_least": [message]})
    selection = _select_entries(request, entry, request.body)
    count = len(selection.matches)
    is_verified, is_missing = expected.includes(count), count < expected.minimum
    surplus = [] if is_verified or is_missing else selection.matches[:MAX_LISTED_REQUESTS]
    near_misses = (
        _find_near_misses(request.journal_reader.contract, request.body, selection.others) if is_missing else []
    )
    result = {
        "verified": is_verified,
        "message": f"Expected {expected.describe()}, got {count}.",
        "count": count,
        "requests": [await _describe(request, entry, view) for view in surplus],
        "near_misses": [await _describe_near_miss(request, entry, near_miss) for near_miss in near_misses],
    }
    return ControlResult(HTTPStatus.OK if is_verified else HTTPStatus.CONFLICT, result)


async def export_requests(request: ControlRequest) -> ControlResult:
    entry = await request.find_entry()
    views = _select_entries(request, entry, {}).matches
    return ControlResult(HTTPStatus.OK, request.journal_reader.build_archive(views[::-1], request.base_url))


# Events


async def stream_requests(request: ControlRequest) -> ControlResult:
    """Send each new entry as an event. A client that does not accept event streams gets the recorded entries only."""
    entry = await request.find_entry()
    journal, last_id = get_journal(entry), request.last_event_id
    number = journal.last_number if request.accepts_events else 0
    if last_id.isascii() and last_id.isdigit():
        number = int(last_id[:MAX_EVENT_ID_DIGITS])
    return ControlResult(HTTPStatus.OK, events=_iter_events(request, entry, journal, number))


async def _iter_events(
    request: ControlRequest, entry: SandboxEntry, journal: RequestJournal, number: int
) -> AsyncGenerator[bytes, None]:
    """Yield the entries after `number`. Entries that the journal drops before they are sent are counted in an event."""
    is_changed = asyncio.Event()
    journal.listeners.add(is_changed)
    try:
        yield b": requests of the sandbox\n\n"
        while not journal.is_closed:
            is_changed.clear()
            entries, dropped_count = journal.list_after(number), journal.count_dropped_after(number)
            number = max(number, journal.last_number)
            if dropped_count:
                yield b'event: dropped\ndata: {"count": %d}\n\n' % dropped_count
            for recorded in entries:
                view = request.journal_reader.create_view(recorded, entry.sandbox.name)
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


def _select_entries(request: ControlRequest, entry: SandboxEntry, conditions: Mapping[str, Any]) -> Selection:
    """Apply the conditions to all entries.

    Raises ApiError: 409 if requests are not recorded, 422 for a path that contains a query or a parameter.
    """
    contract, path = request.journal_reader.contract, conditions.get("path")
    problem = None if path is None else find_syntax_problem(contract, path, "path")
    if problem is not None:
        raise ApiError(ErrorKind.VALIDATION_FAILED, errors={"path": [problem]})
    match = parse_match(contract, {name: conditions[name] for name in _MATCH_CONDITIONS if name in conditions})
    has_conditions = match != RuleMatch()
    expected_status = {name: conditions[name] for name in _STATUS_CONDITIONS if name in conditions}
    selection = Selection([], [])
    for recorded in reversed(get_journal(entry).entries):
        view = request.journal_reader.create_view(recorded, entry.sandbox.name)
        has_status = _describe_status(recorded.status).items() >= expected_status.items()
        is_match = has_status and (not has_conditions or match.matches(view.to_matched_request()))
        (selection.matches if is_match else selection.others).append(view)
    return selection


def _describe_status(status: int) -> dict[str, Any]:
    """Return the values that the conditions of the status compare. `status`: 0 without a response."""
    return {"status": status or None, "status_class": f"{status // 100}xx" if status else None}


async def _describe(
    request: ControlRequest, entry: SandboxEntry, view: EntryView, has_bodies: bool = True
) -> dict[str, Any]:
    await asyncio.sleep(0)  # let other requests proceed: a large body takes some milliseconds
    return await request.journal_reader.describe(view, entry.sandbox, has_bodies=has_bodies)


# Near misses


def _find_near_misses(contract: Contract, conditions: Mapping[str, Any], views: list[EntryView]) -> list[NearMiss]:
    """Return the requests with the smallest distance; the newest ones if the distance is equal."""
    candidates = [NearMiss(view, list(_iter_differences(contract, conditions, view))) for view in views]
    return sorted(candidates, key=lambda candidate: candidate.distance)[:MAX_NEAR_MISSES]


async def _describe_near_miss(request: ControlRequest, entry: SandboxEntry, near_miss: NearMiss) -> dict[str, Any]:
    redactor, differences = request.journal_reader.redactor, near_miss.differences[:MAX_DIFFERENCES]
    return {
        "request": await _describe(request, entry, near_miss.view),
        "differences": [_describe_difference(redactor, difference) for difference in differences],
    }


def _describe_difference(redactor: SecretRedactor, difference: Difference) -> dict[str, Any]:
    is_hidden = any(redactor.is_hidden(name) for name in difference.location.split("."))
    return {
        "location": redactor.remove_secrets(difference.location),
        "expected": REDACTED if is_hidden else redactor.redact_secrets(difference.expected),
        "received": REDACTED if is_hidden else redactor.redact_secrets(difference.received),
    }


def _iter_differences(contract: Contract, conditions: Mapping[str, Any], view: EntryView) -> Iterator[Difference]:
    """Yield the conditions that a request does not fulfil."""
    matched = view.to_matched_request()
    operation = matched.operation
    received = {
        "operation": operation.id if operation else None,
        "tag": operation.tag if operation else None,
        "secured": operation.requires_auth if operation else None,
        "method": matched.method,
        **_describe_status(view.entry.status),
    }
    for name, value in received.items():
        if conditions.get(name, value) != value:
            yield Difference(name, conditions[name], value)
    effects, effect = operation.effects if operation else (), conditions.get("effect")
    if effect is not None and effect not in effects:
        yield Difference("effect", effect, ", ".join(effects) or None)
    path = conditions.get("path")
    if path is not None and not RuleMatch(path=remove_base_path(contract, path)).matches(matched):
        yield Difference("path", path, matched.path)
    yield from _iter_value_differences("query", conditions.get("query", {}), view.query)
    expected_headers = {name.lower(): value for name, value in conditions.get("headers", {}).items()}
    yield from _iter_value_differences("headers", expected_headers, matched.headers)
    if "body" in conditions:
        yield from iter_body_differences(matched.body, conditions["body"], "body")


def _iter_value_differences(
    location: str, expected: Mapping[str, str], received: Mapping[str, str]
) -> Iterator[Difference]:
    for name, value in expected.items():
        if received.get(name) != value:
            yield Difference(f"{location}.{name}", value, received.get(name))
