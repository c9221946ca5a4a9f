"""Variants of timing: rate limits, latency, eventual consistency. Time passes on the mock's clock."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from conformance.mutation.conforming_variants.responses import VariantFactory
from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import build_response
from conformance.mutation.in_process_mock import ManualClock
from conformance.mutation.lists import change_value, pagination_fields
from spec.model import Contract, Operation


@dataclass(slots=True)
class RateLimiter:
    """Allows `max_requests` per minute; returns 429 with Retry-After for the others."""

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
        return build_response(429, {"message": "Too Many Attempts."}).with_headers({"retry-after": retry_after})


def delay_responses(seconds: float) -> VariantFactory:
    """Delay every response."""

    def make_fault(contract: Contract, clock: ManualClock) -> Fault:
        async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
            clock.advance(seconds)
            return await call_next(request)

        return fault

    return make_fault


@dataclass(slots=True)
class DelayedWrites:
    """Makes a write visible after `delay` seconds.

    `previous_states`: key -> (when the write becomes visible, the record before it; None: it did not exist).
    """

    contract: Contract
    clock: Callable[[], datetime]
    delay: float
    previous_states: dict[str, tuple[float, dict[str, Any] | None]] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        operation = request.operation
        if operation.action in ("update", "delete"):
            await self._record_before(request, call_next)
            return await call_next(request)
        response = await call_next(request)
        if operation.method == "post" and response.is_success:
            self._record_creation(operation, response)
        if operation.method == "get" and operation.action == "retrieve":
            return self._delay_retrieve(request, response)
        return self._delay_list(operation, response) if operation.action == "list" and response.is_success else response

    def _current_time(self) -> float:
        return self.clock().timestamp()

    async def _record_before(self, request: InterceptedRequest, call_next: CallNext) -> None:
        key = request.key
        retrieve = self.contract.find_operation(request.operation.resource, "retrieve")
        visible_at, _ = self.previous_states.get(key, (0.0, None))
        if retrieve is None or visible_at > self._current_time():
            return
        current = await call_next(request.follow_up(retrieve, key))
        if current.is_success:
            self.previous_states[key] = (self._current_time() + self.delay, current.data(retrieve))

    def _record_creation(self, operation: Operation, response: InterceptedResponse) -> None:
        view = self.contract.views.get(operation.envelope.view_name or "")
        record = response.data(operation)
        if view is not None and isinstance(record, dict) and operation.path.count("/") == 1:
            key = record.get(self.contract.resources[view.resource].key_attribute)
            self.previous_states[str(key)] = (self._current_time() + self.delay, None)

    def _delay_retrieve(self, request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        key = request.key
        visible_at, previous = self.previous_states.get(key, (0.0, None))
        if visible_at <= self._current_time() or request.query:
            return response
        if previous is None:
            not_found = replace(response, status=404).with_json({"message": "Not found."})
            return not_found if response.is_success else response
        visible = replace(response, status=request.operation.envelope.status, body=b"{}")
        return visible.with_data(request.operation, previous)

    def _delay_list(self, operation: Operation, response: InterceptedResponse) -> InterceptedResponse:
        """Hide new records and show the previous state of changed ones."""
        view = self.contract.views.get(operation.envelope.view_name or "")
        if operation.envelope.data_property is None or view is None:
            return response
        key, now = self.contract.resources[view.resource].key_attribute, self._current_time()
        pending = {k: previous for k, (visible_at, previous) in self.previous_states.items() if visible_at > now}
        rows = []
        for row in response.data(operation):
            previous = pending.get(str(row.get(key)), row)
            if previous is not None:
                rows.append({**row, **{n: v for n, v in previous.items() if n in row}})
        return response.with_data(operation, rows)


@dataclass(slots=True)
class DelayedSearch:
    """Lets a search find a new record after `delay` seconds, as an index that is updated by a queue.

    `created_at`: key of a record -> when it was created.
    """

    contract: Contract
    clock: ManualClock
    delay: float
    created_at: dict[str, float] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response, operation = await call_next(request), request.operation
        view = self.contract.views.get(operation.envelope.view_name or "")
        if view is None or not response.is_success:
            return response
        key, now = self.contract.resources[view.resource].key_attribute, self.clock().timestamp()
        record = response.data(operation)
        if operation.method == "post" and isinstance(record, dict):
            self.created_at[str(record.get(key))] = now
        names = [p.name for p in operation.query_parameters if p.x_query and p.x_query.role == "search"]
        if not isinstance(record, list) or not any(request.parameter_values(name) for name in names):
            return response
        rows = [row for row in record if self.created_at.get(str(row.get(key)), 0.0) <= now - self.delay]
        return self._without_rows(operation, response.with_data(operation, rows), len(record) - len(rows))

    def _without_rows(self, operation: Operation, response: InterceptedResponse, number: int) -> InterceptedResponse:
        """Reduce the total by a number of rows."""
        fields = pagination_fields(operation)
        if not number or "total" not in fields:
            return response
        return response.with_json(change_value(response.json, fields["total"], lambda total: total - number))


@dataclass(slots=True)
class DelayedTotals:
    """Returns the totals of lists as they were `delay` seconds ago."""

    clock: ManualClock
    delay: float
    totals_by_query: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        fields = pagination_fields(request.operation)
        if not response.is_success or "total" not in fields:
            return response
        now, body = self.clock().timestamp(), response.json
        current = request.operation.envelope.read_page_values(body).get("total")
        history = self.totals_by_query.setdefault(request.path + str(sorted(request.query)), [])
        history.append((now, current))
        visible_totals = [total for recorded_at, total in history if recorded_at <= now - self.delay]
        total = visible_totals[-1] if visible_totals else history[0][1]
        return response.with_json(change_value(body, fields["total"], lambda _: total))
