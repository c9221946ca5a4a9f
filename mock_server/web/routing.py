"""Which operation a request is for: a pure lookup of path and method, made once from a contract.

`Routes` knows nothing of ASGI. `RoutingMiddleware` is Connexion's seam for it: it tells the middlewares behind it the operation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import unquote_to_bytes

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.web.context import get_context, send_response
from spec.errors import ContractError
from spec.loader import Contract, Operation

_INVALID_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MIN_SIMILARITY = 0.6
_MAX_COMPARED_CHARS = 200


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the contract. `operations`: upper case. `allowed_methods`: all that it answers, HEAD and OPTIONS included."""

    path: str
    parameter_names: tuple[str, ...]
    operations: Mapping[str, Operation]
    allowed_methods: str

    @property
    def location(self) -> str:
        """Its pointer in the contract."""
        return next(iter(self.operations.values())).pointer.rpartition("/")[0]

    def find_operation(self, method: str) -> Operation | None:
        """The operation for a method; HEAD is served by GET's."""
        operation = self.operations.get(method)
        return self.operations.get("GET") if operation is None and method == "HEAD" else operation


@dataclass(slots=True)
class _RouteNode:
    """What may follow a path's beginning: literal segments, a template, or its end."""

    literal_children: dict[str, "_RouteNode"] = field(default_factory=dict)
    template_child: "_RouteNode | None" = None
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """A path that was found, and what stands where its template parts are."""

    route: Route
    path_parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Routes:
    """All paths of a contract, below its base path."""

    base_path: bytes
    literal_matches: Mapping[bytes, RouteMatch]
    root: _RouteNode = field(repr=False)
    routes: tuple[Route, ...] = field(repr=False)

    @classmethod
    def from_contract(cls, contract: Contract) -> "Routes":
        """The routes of `contract`. Raises ContractError for a template that is only part of a segment."""
        paths: dict[str, dict[str, Operation]] = {}
        for operation in contract.operations.values():
            paths.setdefault(operation.path, {})[operation.method.upper()] = operation
        routes = tuple(_create_route(path, methods) for path, methods in paths.items())
        base_path = contract.base_path.encode()
        root = _RouteNode()
        for route in routes:
            _insert_route(root, route)
        literal_matches = {
            base_path + route.path.rstrip("/").encode(): RouteMatch(route, {})
            for route in routes
            if not route.parameter_names
        }
        return cls(base_path, literal_matches, root, routes)

    def find(self, path: bytes) -> RouteMatch | None:
        """The route of a path as sent (percent-encoded). The one with the fewest template parts wins."""
        match = self.literal_matches.get(path)
        if match is not None:
            return match
        if not path.startswith(self.base_path + b"/"):
            return None
        segments = _decode_segments(path[len(self.base_path) + 1 :].rstrip(b"/"))
        best = None if segments is None else _find_best(self.root, segments, 0, ())
        return None if best is None else RouteMatch(best[0], dict(zip(best[0].parameter_names, best[1], strict=True)))

    def not_found_error(self, path: str) -> ApiError:
        """The refusal of a path that is not there, with the nearest ones that are. Slow: for people."""
        similar_routes = self.find_similar(path)
        suggestions = " or ".join(self.base_path.decode() + route.path for route in similar_routes)
        detail = f"did you mean {suggestions}?" if similar_routes else "no path of the contract is like it"
        return ApiError(
            ErrorKind.ROUTE_NOT_FOUND,
            detail,
            path=path,
            location=similar_routes[0].location if similar_routes else "#/paths",
        )

    def find_similar(self, path: str, limit: int = 2) -> list[Route]:
        """The documented paths most like `path`, the most like first.

        What any path has says nothing: the base, and what stands where a template part is.
        """
        base_path = self.base_path.decode()
        is_below_base = path.startswith(f"{base_path}/")
        requested_parts = path[len(base_path) if is_below_base else 0 :][:_MAX_COMPARED_CHARS].rstrip("/").split("/")
        rated: list[tuple[float, int, Route]] = []
        matcher = SequenceMatcher(autojunk=False)
        for route in self.routes:
            parts = (route.path if is_below_base else base_path + route.path).split("/")
            ignored_positions = {
                position for position, part in enumerate(parts) if part[:1] == "{" and position < len(requested_parts)
            }
            matcher.set_seq2(
                "/".join(part for position, part in enumerate(requested_parts) if position not in ignored_positions)
            )
            matcher.set_seq1("/".join(part for position, part in enumerate(parts) if position not in ignored_positions))
            if matcher.real_quick_ratio() > _MIN_SIMILARITY and matcher.quick_ratio() > _MIN_SIMILARITY:
                rated.append((matcher.ratio(), -len(rated), route))
        rated.sort(reverse=True)
        return [route for ratio, _, route in rated[:limit] if ratio > _MIN_SIMILARITY and ratio > rated[0][0] - 0.1]


def _create_route(path: str, methods: Mapping[str, Operation]) -> Route:
    parts = path.strip("/").split("/")
    for part in parts:
        if ("{" in part or "}" in part) and not re.fullmatch(r"\{[^{}]+\}", part):
            raise ContractError(f"#/paths of {path}", repr(part), "a template that is a whole segment ({name})")
    allowed_methods = dict.fromkeys((*methods, *(("HEAD",) if "GET" in methods else ()), "OPTIONS"))
    return Route(path, tuple(p[1:-1] for p in parts if p[:1] == "{"), methods, ", ".join(allowed_methods))


def _insert_route(root: _RouteNode, route: Route) -> None:
    node = root
    for part in route.path.strip("/").split("/"):
        if part[:1] == "{":
            node.template_child = node.template_child or _RouteNode()
            node = node.template_child
        else:
            node = node.literal_children.setdefault(part, _RouteNode())
    if node.route is not None:
        raise ContractError("#/paths", f"{route.path} beside {node.route.path}", "one path for one form")
    node.route = route


def _find_best(
    node: _RouteNode, segments: list[str], index: int, values: tuple[str, ...]
) -> tuple[Route, tuple[str, ...]] | None:
    """The route with the fewest template parts that fits; among equals the one with early literal segments."""
    if index == len(segments):
        return None if node.route is None else (node.route, values)
    child = node.literal_children.get(segments[index])
    literal_match = None if child is None else _find_best(child, segments, index + 1, values)
    if node.template_child is None:
        return literal_match
    template_match = _find_best(node.template_child, segments, index + 1, (*values, segments[index]))
    if literal_match is None or template_match is None:
        return literal_match or template_match
    return min(literal_match, template_match, key=lambda match: len(match[1]))


def _decode_segments(path: bytes) -> list[str] | None:
    """A path's segments as texts; None where one is empty, or its percent-encoding or its UTF-8 is malformed."""
    is_encoded = b"%" in path
    if is_encoded and _INVALID_ESCAPE.search(path):
        return None
    try:
        parts = path.decode().split("/")
        segments = [unquote_to_bytes(part).decode() for part in parts] if is_encoded else parts
    except UnicodeDecodeError:
        return None
    return None if "" in segments else segments


class RoutingMiddleware(SpecMiddleware):  # type: ignore[misc]
    """Finds the operation and tells it to Connexion's routed middlewares; answers OPTIONS; refuses 404 and 405."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.routes: Routes | None = None
        self.connexion_contexts: dict[str, dict[str, str]] = {}

    def add_api(self, specification: Any, *, routes: Routes, **_: Any) -> None:
        """Called by Connexion for the contract; `routes` comes with it."""
        self.routes = routes
        self.connexion_contexts = {
            operation.id: {"api_base_path": specification.base_path, "operation_id": operation.id}
            for route in routes.routes
            for operation in route.operations.values()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.routes is None:
            await self.app(scope, receive, send)
            return
        context = get_context(scope)
        match = self.routes.find(context.raw_path)
        if match is None:
            raise ApiError(ErrorKind.ROUTE_NOT_FOUND, path=context.display_path)
        operation = match.route.find_operation(context.method)
        if operation is None:
            allow = {"Allow": match.route.allowed_methods}
            if context.method == "OPTIONS":
                await send_response(send, context, 204, headers=allow)
                return
            raise ApiError(
                ErrorKind.METHOD_NOT_ALLOWED,
                headers=allow,
                method=context.method,
                path=context.display_path,
                allowed=match.route.allowed_methods,
                location=match.route.location,
            )
        context.operation = operation
        context.path_parameters = match.path_parameters
        scope["path_params"] = match.path_parameters
        extensions = scope.get("extensions")
        if extensions is None:
            extensions = scope["extensions"] = {}
        extensions[ROUTING_CONTEXT] = self.connexion_contexts[operation.id]
        await self.app(scope, receive, send)
