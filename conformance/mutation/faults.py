"""Combinators that build faults. Each returns a factory, because a fault may have state."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any, TypeVar

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse

F = TypeVar("F")
MakeFault = Callable[[], Fault]
Condition = Callable[[InterceptedRequest], bool]
RequestChange = Callable[[InterceptedRequest], InterceptedRequest]
ResponseChange = Callable[[InterceptedResponse], InterceptedResponse]
ExchangeChange = Callable[[InterceptedRequest, InterceptedResponse], InterceptedResponse]
Correction = Callable[[InterceptedRequest, InterceptedResponse], InterceptedRequest | None]
ValueChange = Callable[[Any], Any]
JsonChange = Callable[[InterceptedRequest, Any], Any]

ANY_ITEM = "*"  # in a path: every item of a list
REMOVED = object()  # instead of a value: the property is removed


def stateless(fault: F) -> Callable[[], F]:
    """Return a factory for a fault without state."""
    return lambda: fault


def change_request(change: RequestChange) -> MakeFault:
    """Change every request."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        return await call_next(change(request))

    return stateless(fault)


def change_body(change: Callable[[dict[str, Any]], dict[str, Any]]) -> MakeFault:
    """Change the JSON object of the requests that have one; `change` returns its argument to leave it unchanged."""

    def apply(request: InterceptedRequest) -> InterceptedRequest:
        body = request.json
        changed = change(body) if isinstance(body, dict) else body
        return request if changed is body else request.with_json(changed)

    return change_request(apply)


def ignore_parameters(*names: str) -> MakeFault:
    """Ignore query parameters."""
    return change_request(lambda request: request.with_parameters(dict.fromkeys(names)))


def change_response(change: ExchangeChange) -> MakeFault:
    """Change every response."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        return change(request, await call_next(request))

    return stateless(fault)


def on_status(status: int, change: ResponseChange, *, documented_method: bool = False) -> MakeFault:
    """Change the responses with a status. `documented_method`: only those to the operation's method."""

    def applies(request: InterceptedRequest, response: InterceptedResponse) -> bool:
        return response.status == status and (request.has_documented_method or not documented_method)

    return change_response(lambda request, response: change(response) if applies(request, response) else response)


def on_success(change: ExchangeChange) -> MakeFault:
    """Change the successful responses with JSON."""
    return change_response(lambda q, r: change(q, r) if r.is_success and r.json is not None else r)


def change_json(change: JsonChange) -> MakeFault:
    """Change the JSON of successful responses."""
    return on_success(lambda request, response: response.with_json(change(request, response.json)))


def change_value(change: ValueChange, path: tuple[str, ...] = ()) -> MakeFault:
    """Change the value at a path of successful responses."""
    return on_success(lambda _, r: r.with_json(change_at_path(copy.deepcopy(r.json), path, change)))


def change_at_path(value: Any, path: tuple[str, ...], change: ValueChange) -> Any:
    """Change the part of a value at a path, if it exists. A change to REMOVED deletes it."""
    if not path:
        return change(value)
    name, *rest = path
    if name == ANY_ITEM:
        return [change_at_path(item, tuple(rest), change) for item in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or name not in value:
        return value
    new_value = change_at_path(value[name], tuple(rest), change)
    return {k: new_value if k == name else v for k, v in value.items() if k != name or new_value is not REMOVED}


def increment(value: Any) -> Any:
    """Add 1 to an integer; another value is returned unchanged."""
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) else value


def respond_if(condition: Condition, response: InterceptedResponse) -> MakeFault:
    """Respond to some requests without calling the application."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        return response if condition(request) else await call_next(request)

    return stateless(fault)


def accept(correct: Correction) -> MakeFault:
    """Accept rejected requests: `correct` returns the request to send instead, or None to return the response."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        corrected = correct(request, response)
        return response if corrected is None else await call_next(corrected)

    return stateless(fault)


def compose(*faults: Fault) -> Fault:
    """Compose faults; the first is the innermost."""

    def wrap(call_next: CallNext, fault: Fault) -> CallNext:
        return lambda request: fault(request, call_next)

    return lambda request, call_next: reduce(wrap, faults, call_next)(request)


def build_response(status: int, body: Any) -> InterceptedResponse:
    """Build a JSON response."""
    return InterceptedResponse(status, {"content-type": "application/json"}, b"").with_json(body)


def set_status(status: int) -> ResponseChange:
    """Set the status of a response."""
    return lambda response: replace(response, status=status)


def server_error(response: InterceptedResponse) -> InterceptedResponse:
    """Turn a response into a 500."""
    return replace(response, status=500).with_json({"message": "Server Error"})
