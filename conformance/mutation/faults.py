"""Fault factories that the mutation operators share."""

from collections.abc import Callable
from dataclasses import replace

from conformance.mutation.fault_injection import (
    CallNext,
    Fault,
    InterceptedRequest,
    InterceptedResponse,
    QueryParameters,
)

MakeFault = Callable[[], Fault]
ResponseChange = Callable[[InterceptedResponse], InterceptedResponse]


def stateless(fault: Fault) -> MakeFault:
    """Return a factory for a fault without state."""
    return lambda: fault


def on_status(status: int, change: ResponseChange, *, documented_method: bool = False) -> MakeFault:
    """Change the responses with a status. `documented_method`: only those to the operation's method."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        applies = response.status == status and not (documented_method and request.method)
        return change(response) if applies else response

    return lambda: fault


def server_error(response: InterceptedResponse) -> InterceptedResponse:
    """Turn a response into a 500."""
    return replace(response, status=500).with_json({"message": "Server Error"})


def remove_parameters(pairs: QueryParameters, *names: str) -> QueryParameters:
    """Remove query parameters by name, with or without the `[]` suffix."""
    return tuple((n, v) for n, v in pairs if n.removesuffix("[]") not in names)


def ignore_parameters(*names: str) -> MakeFault:
    """Ignore query parameters."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        return await call_next(request.with_query(remove_parameters(request.query, *names)))

    return lambda: fault
