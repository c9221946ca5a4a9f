"""Servers that differ from the mock and keep every promise: a failure on one of them is a false alarm.

Among them is an ordinary Laravel on MySQL. Each is an ASGI wrapper; `wait` lets time pass by the mock's own clock.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.in_process_mock import ManualClock
from spec.loader import Contract

TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$")


@dataclass(frozen=True, slots=True)
class Variant:
    """A server that keeps every promise. `make_fault`: what makes it, given the contract and the mock's clock."""

    name: str
    make_fault: Callable[[Contract, ManualClock], Fault]


def transform_json(change: Callable[[Any], Any]) -> Callable[[Contract, ManualClock], Fault]:
    """A variant that changes the JSON of every answer."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return response if response.json is None else response.with_json(change(response.json))

    return lambda contract, clock: fault


def map_values(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What changes every value that is no object and no list, at any depth."""

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: visit(item) for name, item in value.items()}
        return [visit(item) for item in value] if isinstance(value, list) else change(value)

    return visit


def map_objects(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    """What changes every object, at any depth."""

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            return change({name: visit(item) for name, item in value.items()})
        return [visit(item) for item in value] if isinstance(value, list) else value

    return visit


# What a JSON encoder, a database or a proxy may do otherwise ---------------------------------------------------------


def _reformat_timestamps(suffix: str) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        match = TIMESTAMP.match(value) if isinstance(value, str) else None
        return f"{match[1]}{suffix}" if match else value

    return map_values(change)


def _to_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value


def _encode_with(encode: Callable[[Any], str]) -> Callable[[Contract, ManualClock], Fault]:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return response if response.json is None else replace(response, body=encode(response.json).encode())

    return lambda contract, clock: fault


def _encode_like_php(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace("/", r"\/")


def _change_headers(headers: Mapping[str, str | None]) -> Callable[[Contract, ManualClock], Fault]:
    """Headers more, or less (None)."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if headers.get("content-type") and "content-type" not in response.headers:
            return response
        new_headers = {**response.headers, **headers}
        return replace(response, headers={name: value for name, value in new_headers.items() if value is not None})

    return lambda contract, clock: fault


def _reword_errors(value: dict[str, Any]) -> dict[str, Any]:
    """Errors in other words, and more than one for a field."""
    if "message" not in value or not set(value) <= {"message", "errors"}:
        return value
    errors = {name: ["Das ist nicht gültig.", *messages] for name, messages in value.get("errors", {}).items()}
    return {**value, "message": "So geht das nicht.", **({"errors": errors} if errors else {})}


def _reorder_allow_header(contract: Contract, clock: ManualClock) -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if "allow" not in response.headers:
            return response
        methods = sorted(response.headers["allow"].replace(" ", "").split(","))
        return replace(response, headers={**response.headers, "allow": ",".join(methods)})

    return fault


def _encode_brackets_in_links(contract: Contract, clock: ManualClock) -> Fault:
    """Links with another host, and the brackets of arrays encoded."""

    def change(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("http://localhost:8000/"):
            return value.replace("[]", "%5B%5D")
        return value

    return transform_json(map_values(change))(contract, clock)


# What a framework does with what it is sent --------------------------------------------------------------------------


def _trim_texts(contract: Contract, clock: ManualClock) -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if request.json is None:
            return await call_next(request)
        return await call_next(
            request.with_json(map_values(lambda v: v.strip() if isinstance(v, str) else v)(request.json))
        )

    return fault


def _reject_unknown_reference(contract: Contract, clock: ManualClock) -> Fault:
    """422 where a record that the body names is unknown."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        reference_names = [
            f.name
            for f in (request.operation.request_body.fields.values() if request.operation.request_body else ())
            if f.relation_setter
        ]
        sent_names = [name for name in reference_names if isinstance(request.json, dict) and name in request.json]
        if response.status != 404 or not sent_names or request.path_values:
            return response
        errors = {name: [f"The selected {name.replace('_', ' ')} is invalid."] for name in sent_names}
        return replace(response, status=422).with_json({"message": errors[sent_names[0]][0], "errors": errors})

    return fault


# Time ----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class RateLimiter:
    """So many requests a minute; the others are told when to come again."""

    clock: ManualClock
    max_requests: int = 60
    window_start: float = 0.0
    request_count: int = 0

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        now = self.clock().timestamp()
        if now - self.window_start >= 60:
            self.window_start, self.request_count = now, 0
        self.request_count += 1
        if self.request_count <= self.max_requests:
            return await call_next(request)
        retry_after = str(max(1, round(60 - (now - self.window_start))))
        headers = {"content-type": "application/json", "retry-after": retry_after}
        return InterceptedResponse(429, headers, b"").with_json({"message": "Too Many Attempts."})


def _delay_response(seconds: float) -> Callable[[Contract, ManualClock], Fault]:
    def make_fault(contract: Contract, clock: ManualClock) -> Fault:
        async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
            clock.advance(seconds)
            return await call_next(request)

        return fault

    return make_fault


@dataclass(slots=True)
class DelayedWrites:
    """Shows a write only when `delay` seconds have passed: until then a record is as it was, there or not.

    `previous_states`: key -> (until when, the record as it was; None: it was not there).
    """

    contract: Contract
    clock: ManualClock
    delay: float
    previous_states: dict[str, tuple[float, dict[str, Any] | None]] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        operation = request.operation
        if operation.action in ("update", "delete"):
            await self._record_before(request, call_next)
            return await call_next(request)
        response = await call_next(request)
        if operation.method == "post" and response.is_success:
            self._record_creation(request, response)
        if operation.method == "get" and operation.action == "retrieve":
            return self._delay_retrieve(request, response)
        return self._delay_list(request, response) if operation.action == "list" and response.is_success else response

    def _current_time(self) -> float:
        return self.clock().timestamp()

    def _get_record(self, request: InterceptedRequest, response: InterceptedResponse) -> Any:
        data, body = request.operation.envelope.data_property, response.json
        return body.get(data) if data and isinstance(body, dict) else body

    async def _record_before(self, request: InterceptedRequest, call_next: CallNext) -> None:
        key = next(iter(request.path_values.values()), "")
        retrieve_operation = self.contract.find_operation(request.operation.resource, "retrieve")
        visible_at, _ = self.previous_states.get(key, (0.0, None))
        if retrieve_operation is None or visible_at > self._current_time():
            return
        current = await call_next(request.follow_up(retrieve_operation, key))
        if current.is_success:
            self.previous_states[key] = (
                self._current_time() + self.delay,
                self._get_record(replace(request, operation=retrieve_operation), current),
            )

    def _record_creation(self, request: InterceptedRequest, response: InterceptedResponse) -> None:
        view = self.contract.views.get(request.operation.envelope.view_name or "")
        record = self._get_record(request, response)
        if view is not None and isinstance(record, dict) and request.operation.path.count("/") == 1:
            key = record.get(self.contract.resources[view.resource].key_attribute)
            self.previous_states[str(key)] = (self._current_time() + self.delay, None)

    def _delay_retrieve(self, request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        key = next(iter(request.path_values.values()), "")
        visible_at, previous = self.previous_states.get(key, (0.0, None))
        if visible_at <= self._current_time() or request.query:
            return response
        if previous is None:
            return (
                replace(response, status=404).with_json({"message": "Not found."}) if response.is_success else response
            )
        data, status = request.operation.envelope.data_property, request.operation.envelope.status
        body = {data: previous} if data else previous
        return response.with_json(body) if response.is_success else replace(response, status=status).with_json(body)

    def _delay_list(self, request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        """Rows that have just been made are not there yet, changed ones as they were."""
        data = request.operation.envelope.data_property
        view = self.contract.views.get(request.operation.envelope.view_name or "")
        if data is None or view is None:
            return response
        key = self.contract.resources[view.resource].key_attribute
        pending = {
            k: previous
            for k, (visible_at, previous) in self.previous_states.items()
            if visible_at > self._current_time()
        }
        rows = []
        for row in response.json[data]:
            previous = pending.get(str(row.get(key)), row)
            if previous is not None:
                rows.append({**row, **{n: v for n, v in previous.items() if n in row}})
        return response.with_json({**response.json, data: rows})


def _delay_writes(seconds: float) -> Callable[[Contract, ManualClock], Fault]:
    return lambda contract, clock: DelayedWrites(contract, clock, seconds)


@dataclass(slots=True)
class DelayedTotals:
    """Totals of the page words as they were so many seconds ago."""

    clock: ManualClock
    delay: float
    totals_by_query: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        containers = request.operation.envelope.pagination
        pagination_fields = {
            field_name: (container, key)
            for container, fields in containers.items()
            for key, field_name in fields.items()
        }
        if not response.is_success or "total" not in pagination_fields:
            return response
        container, key = pagination_fields["total"]
        now, body = self.clock().timestamp(), response.json
        history = self.totals_by_query.setdefault(request.path + str(sorted(request.query)), [])
        history.append((now, body[container][key]))
        visible_totals = [total for recorded_at, total in history if recorded_at <= now - self.delay]
        total = visible_totals[-1] if visible_totals else history[0][1]
        return response.with_json({**body, container: {**body[container], key: total}})


# Identifiers and neighbours ------------------------------------------------------------------------------------------

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_FLIPPED_DIGITS = str.maketrans("0123456789abcdef", "fedcba9876543210")


def _flip_uuids(text: str) -> str:
    return _UUID.sub(lambda match: match[0].translate(_FLIPPED_DIGITS), text)


def _replace_identifiers(contract: Contract, clock: ManualClock) -> Fault:
    """Every identifier is another, and stands for the same."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        query = tuple((name, _flip_uuids(value)) for name, value in request.query)
        body = _flip_uuids(request.body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        response = await call_next(replace(request, path=_flip_uuids(request.path), query=query, body=body))
        if not response.headers.get("content-type", "").startswith("application/json"):
            return response
        return replace(response, body=_flip_uuids(response.body.decode()).encode())

    return fault


@dataclass(slots=True)
class ConcurrentClient:
    """Somebody of the same tenant who makes a record of each kind now and then, by the last body that was granted."""

    interval: int
    request_count: int = 0
    recent_creates: list[InterceptedRequest] = field(default_factory=list)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        is_create = request.operation.method == "post" and request.operation.envelope.status == 201
        if (
            is_create
            and response.is_success
            and request.operation.path.count("/") == 1
            and not request.operation.effects
        ):
            self.recent_creates = [
                *self.recent_creates[-4:],
                replace(request, body=re.sub(rb"conformance-\w+", b"neighbour", request.body)),
            ]
        self.request_count += 1
        if self.recent_creates and self.request_count % self.interval == 0:
            await call_next(self.recent_creates[self.request_count // self.interval % len(self.recent_creates)])
        return response


# Order ---------------------------------------------------------------------------------------------------------------


def _strip_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _sort_by_collation(collation_key: Callable[[str], str] | None) -> Callable[[Contract, ManualClock], Fault]:
    """Texts in the order of another collation; None: without a wish for an order, the oldest first."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        roles = {p.x_query.role: p.name for p in request.operation.query_parameters if p.x_query}
        if request.operation.action != "list" or not {"sort", "direction", "page", "size"} <= roles.keys():
            return await call_next(request)
        response = await call_next(request)
        query_values = {name: value for name, value in request.query if value}
        sort_property, data = query_values.get(roles["sort"]), request.operation.envelope.data_property
        if not response.is_success or data is None or (sort_property is None) == (collation_key is not None):
            return response
        rows = await _fetch_all_pages(request, call_next, roles, data)
        if collation_key is None:
            rows.reverse()
        elif all(isinstance(row.get(sort_property), (str, type(None))) for row in rows):
            descending = query_values.get(roles["direction"]) == "desc"
            rows.sort(
                key=lambda row: (row.get(sort_property) is not None, collation_key(row.get(sort_property) or "")),
                reverse=descending,
            )
        size = len(response.json[data]) if not rows else int(query_values.get(roles["size"], "20"))
        offset = (int(query_values.get(roles["page"], "1")) - 1) * size
        return response.with_json({**response.json, data: rows[offset : offset + size]})

    return lambda contract, clock: fault


async def _fetch_all_pages(
    request: InterceptedRequest, call_next: CallNext, roles: Mapping[str, str], data: str
) -> list[Any]:
    """The rows of all pages."""
    other_pairs = tuple((n, v) for n, v in request.query if n not in (roles["page"], roles["size"]))
    rows: list[Any] = []
    for page in range(1, 60):
        query = (*other_pairs, (roles["page"], str(page)), (roles["size"], "100"))
        response = await call_next(request.with_query(query))
        page_rows = response.json[data] if response.is_success else []
        rows += page_rows
        if len(page_rows) < 100:
            break
    return rows


def combine(*makers: Callable[[Contract, ManualClock], Fault]) -> Callable[[Contract, ManualClock], Fault]:
    """All of them, the first nearest to the mock."""

    def make_fault(contract: Contract, clock: ManualClock) -> Fault:
        faults = [maker(contract, clock) for maker in makers]

        async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
            def call_inner(index: int) -> CallNext:
                return (
                    call_next
                    if index < 0
                    else (lambda inner_request: faults[index](inner_request, call_inner(index - 1)))
                )

            return await faults[-1](request, call_inner(len(faults) - 2))

        return fault

    return make_fault


LARAVEL = combine(
    transform_json(_reformat_timestamps(".000000Z")),
    _sort_by_collation(_strip_accents),
    _trim_texts,
    _reject_unknown_reference,
    _encode_with(_encode_like_php),
    _change_headers({"x-powered-by": "PHP/8.3", "cache-control": "no-cache, private", "x-ratelimit-limit": "60"}),
)


def build_variants() -> Iterator[Variant]:
    """All of them."""
    yield from (
        Variant("an ordinary Laravel on MySQL", LARAVEL),
        Variant("stamps of whole seconds", transform_json(_reformat_timestamps(".000000Z"))),
        Variant("stamps without a fraction", transform_json(_reformat_timestamps("Z"))),
        Variant("stamps with an offset", transform_json(_reformat_timestamps("+00:00"))),
        Variant("stamps in milliseconds", transform_json(_reformat_timestamps(".000Z"))),
        Variant("keys in reverse", transform_json(map_objects(lambda record: dict(reversed(record.items()))))),
        Variant("keys by the alphabet", transform_json(map_objects(lambda record: dict(sorted(record.items()))))),
        Variant("1.0 for 1", transform_json(map_values(_to_float))),
        Variant("JSON laid out", _encode_with(lambda value: json.dumps(value, indent=4, ensure_ascii=False))),
        Variant("JSON as PHP writes it", _encode_with(_encode_like_php)),
        Variant("JSON in ASCII", _encode_with(json.dumps)),
        Variant(
            "a charset beside the media type", _change_headers({"content-type": "application/json; charset=utf-8"})
        ),
        Variant("the media type in capitals", _change_headers({"content-type": "Application/JSON"})),
        Variant("headers of a framework", _change_headers({"x-powered-by": "PHP/8.3", "set-cookie": "a=b; HttpOnly"})),
        Variant("headers of a throttle", _change_headers({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59"})),
        Variant("headers of a cache", _change_headers({"cache-control": "no-cache, private", "vary": "Accept"})),
        Variant("no headers of the mock's own", _change_headers({"x-mock-reason": None, "x-request-id": None})),
        Variant("a challenge beside 401", _change_headers({"www-authenticate": 'Bearer realm="api"'})),
        Variant("errors in other words", transform_json(map_objects(_reword_errors))),
        Variant("Allow in another order", _reorder_allow_header),
        Variant("links with brackets encoded", _encode_brackets_in_links),
        Variant("texts are trimmed", _trim_texts),
        Variant("422 for an unknown record in a body", _reject_unknown_reference),
        Variant("sixty requests a minute", lambda contract, clock: RateLimiter(clock)),
        Variant("slower by a second", _delay_response(1.0)),
        Variant("slower by five seconds", _delay_response(5.0)),
        Variant("writes seen 2 s late", _delay_writes(2.0)),
        Variant("totals 2 s late", lambda contract, clock: DelayedTotals(clock, 2.0)),
        Variant("other identifiers", _replace_identifiers),
        Variant("a neighbour who writes", lambda contract, clock: ConcurrentClient(7)),
        Variant("a busy neighbour", lambda contract, clock: ConcurrentClient(3)),
        Variant("order without case and accents", _sort_by_collation(_strip_accents)),
        Variant("order without case", _sort_by_collation(str.casefold)),
        Variant("the oldest first", _sort_by_collation(None)),
    )
