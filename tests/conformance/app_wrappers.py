"""ASGI wrappers that inject faults into the Athena mock, in the query or the JSON of successful GET requests."""

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

from conformance.mutation import faults
from conformance.mutation.fault_injection import (
    FaultInjector,
    InterceptedRequest,
    InterceptedResponse,
    OperationRouter,
)
from tests.mock_server.athena import athena_contract

Pairs = list[tuple[str, str]]


def change_responses(app: ASGIApp, change: Callable[[str, Pairs, Any], Any]) -> ASGIApp:
    """Wrap an application: `change(path, query, body)` returns the JSON body of a successful GET response."""

    def change_get_response(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        if not _is_get(request) or not isinstance(response.json, dict):
            return response
        return response.with_json(change(request.path, list(request.query), response.json))

    return _inject(app, faults.on_success(change_get_response))


def change_queries(app: ASGIApp, change: Callable[[str, Pairs], Pairs]) -> ASGIApp:
    """Wrap an application: `change(path, query)` returns the query of a GET request."""

    def change_get_query(request: InterceptedRequest) -> InterceptedRequest:
        return request.with_query(tuple(change(request.path, list(request.query)))) if _is_get(request) else request

    return _inject(app, faults.change_request(change_get_query))


def drop_parameters(app: ASGIApp, path: str, *names: str) -> ASGIApp:
    """Wrap an application: some query parameters of paths that end with `path` are ignored."""

    def drop(request_path: str, pairs: Pairs) -> Pairs:
        return [(n, v) for n, v in pairs if n.removesuffix("[]") not in names] if request_path.endswith(path) else pairs

    return change_queries(app, drop)


def _is_get(request: InterceptedRequest) -> bool:
    return request.operation.method == "get" and not request.method


def _inject(app: ASGIApp, make_fault: faults.MakeFault) -> ASGIApp:
    return FaultInjector(app, OperationRouter.from_contract(athena_contract()), frozenset(), make_fault())
