"""Find the operation of a request by path and method. `RoutingMiddleware` passes it to Connexion's middlewares."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches
from typing import Any
from urllib.parse import unquote_to_bytes

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.web.context import ABORTED_SCOPE_TYPE, RequestContext, get_context, send_response
from spec.errors import ContractError
from spec.model import Contract, Operation

_INVALID_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MIN_SIMILARITY = 0.6
_MIN_SEGMENT_SIMILARITY = 0.8  # finds health for healthz
_MAX_COMPARED_CHARS = 200


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the contract. `operations`: by upper-case method; `allowed_methods`: with HEAD and OPTIONS."""

    path: str
    parameter_names: tuple[str, ...]
    operations: Mapping[str, Operation]
    allowed_methods: str

    @property
    def location(self) -> str:
        """JSON pointer of the path item."""
        return next(iter(self.operations.values())).pointer.rpartition("/")[0]

    def find_operation(self, method: str) -> Operation | None:
        """Return the operation for a method; HEAD uses the operation of GET."""
        operation = self.operations.get(method)
        return self.operations.get("GET") if operation is None and method == "HEAD" else operation


@dataclass(slots=True)
class _RouteNode:
    """A node of the route tree: the segments that may follow, and the route that ends here."""

    literal_children: dict[str, "_RouteNode"] = field(default_factory=dict)
    template_child: "_RouteNode | None" = None
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class RouteMatch:
    route: Route
    path_parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of a contract, below its base path."""

    base_path: bytes
    literal_matches: Mapping[bytes, RouteMatch]
    root: _RouteNode = field(repr=False)
    routes: tuple[Route, ...] = field(repr=False)

    @classmethod
    def from_contract(cls, contract: Contract) -> "Routes":
        """Create the routes. Raises ContractError for a path template that is only part of a segment."""
        paths: dict[str, dict[str, Operation]] = {}
        for operation in contract.operations.values():
            paths.setdefault(operation.path, {})[operation.method.upper()] = operation
        routes = tuple(_create_route(path, methods) for path, methods in paths.items())
        base_path = contract.base_path.encode()
        root = _RouteNode()
        for route in routes:
            _insert_route(root, route)
        literal_routes = (route for route in routes if not route.parameter_names)
        literal_matches = {base_path + r.path.rstrip("/").encode(): RouteMatch(r, {}) for r in literal_routes}
        return cls(base_path, literal_matches, root, routes)

    def find(self, path: bytes) -> RouteMatch | None:
        """Return the route of a percent-encoded path; of several, the one with the fewest parameters."""
        match = self.literal_matches.get(path)
        if match is not None:
            return match
        if not path.startswith(self.base_path + b"/"):
            return None
        segments = _decode_segments(path[len(self.base_path) + 1 :].rstrip(b"/"))
        best = None if segments is None else _find_best(self.root, segments, 0, ())
        return None if best is None else RouteMatch(best[0], dict(zip(best[0].parameter_names, best[1], strict=True)))

    def not_found_error(self, path: str, system_paths: Collection[str] = ()) -> ApiError:
        """Return the error for an unknown path, with the most similar paths. Slow, for the request log only.

        `system_paths`: paths outside the contract, of which only the last segments are compared.
        """
        similar = self.find_similar(path)
        suggested_paths = _find_by_last_segment(path, system_paths)
        suggested_paths += [self.base_path.decode() + route.path for route in similar]
        detail = (
            f"did you mean {' or '.join(suggested_paths)}?" if suggested_paths else "the contract has no similar path"
        )
        location = similar[0].location if similar else "#/paths"
        return ApiError(ErrorKind.ROUTE_NOT_FOUND, detail, path=path, location=location)

    def find_similar(self, path: str, limit: int = 2) -> list[Route]:
        """Return the routes most similar to `path`, best first. The base path and path parameters are not compared."""
        base_path = self.base_path.decode()
        is_below_base = path.startswith(f"{base_path}/")
        requested_parts = path[len(base_path) if is_below_base else 0 :][:_MAX_COMPARED_CHARS].rstrip("/").split("/")
        rated: list[tuple[float, int, Route]] = []
        matcher = SequenceMatcher(autojunk=False)
        for route in self.routes:
            parts = (route.path if is_below_base else base_path + route.path).split("/")
            ignored = {i for i, part in enumerate(parts) if part[:1] == "{" and i < len(requested_parts)}
            matcher.set_seq2("/".join(part for i, part in enumerate(requested_parts) if i not in ignored))
            matcher.set_seq1("/".join(part for i, part in enumerate(parts) if i not in ignored))
            if matcher.real_quick_ratio() > _MIN_SIMILARITY and matcher.quick_ratio() > _MIN_SIMILARITY:
                rated.append((matcher.ratio(), -len(rated), route))
        rated.sort(reverse=True)
        return [route for ratio, _, route in rated[:limit] if ratio > _MIN_SIMILARITY and ratio > rated[0][0] - 0.1]


def _find_by_last_segment(path: str, candidates: Collection[str]) -> list[str]:
    """Return the candidate whose last segment is similar to that of `path`; none if there is no such candidate."""
    by_segment = {candidate.rpartition("/")[2]: candidate for candidate in candidates}
    segment = path[:_MAX_COMPARED_CHARS].rstrip("/").rpartition("/")[2]
    return [by_segment[name] for name in get_close_matches(segment, by_segment, 1, _MIN_SEGMENT_SIMILARITY)]


def _create_route(path: str, methods: Mapping[str, Operation]) -> Route:
    parts = path.strip("/").split("/")
    for part in parts:
        if ("{" in part or "}" in part) and not re.fullmatch(r"\{[^{}]+\}", part):
            raise ContractError(f"#/paths of {path}", repr(part), "a template that is a complete segment ({name})")
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
        raise ContractError("#/paths", f"{route.path} and {node.route.path}", "one path for each pattern of segments")
    node.route = route


def _find_best(
    node: _RouteNode, segments: list[str], index: int, values: tuple[str, ...]
) -> tuple[Route, tuple[str, ...]] | None:
    """Return the matching route with the fewest parameters; of equals, the one with the earlier literal segment."""
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
    """Decode the segments of a path; None if one is empty or has invalid percent-encoding or UTF-8."""
    is_encoded = b"%" in path
    if is_encoded and _INVALID_ESCAPE.search(path):
        return None
    try:
        parts = path.decode().split("/")
        segments = [unquote_to_bytes(part).decode() for part in parts] if is_encoded else parts
    except UnicodeDecodeError:
        return None
    return None if "" in segments else segments


def method_not_allowed_error(context: RequestContext, allowed: str, *, location: str | None = None) -> ApiError:
    """Return the error (405) for a path that has other methods."""
    values: dict[str, Any] = {"method": context.method, "path": context.display_path, "allowed": allowed}
    return ApiError(ErrorKind.METHOD_NOT_ALLOWED, headers={"Allow": allowed}, location=location, **values)


class RoutingMiddleware(SpecMiddleware):  # type: ignore[misc]
    """Finds the operation for Connexion's routed middlewares, responds to OPTIONS, and raises ApiError (404, 405)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.routes: Routes | None = None
        self.connexion_contexts: dict[str, dict[str, str]] = {}

    def add_api(self, specification: Any, *, routes: Routes, **_: Any) -> None:
        """Called by Connexion with the arguments of `ConnexionMiddleware.add_api`."""
        self.routes = routes
        operation_ids = (operation.id for route in routes.routes for operation in route.operations.values())
        base_path = specification.base_path
        self.connexion_contexts = {id_: {"api_base_path": base_path, "operation_id": id_} for id_ in operation_ids}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.routes is None:
            if scope["type"] != ABORTED_SCOPE_TYPE:  # a request may fail while its response is delayed
                await self.app(scope, receive, send)
            return
        context = get_context(scope)
        match = self.routes.find(context.raw_path)
        if match is None:
            raise ApiError(ErrorKind.ROUTE_NOT_FOUND, path=context.display_path)
        operation = match.route.find_operation(context.method)
        if operation is None:
            if context.method == "OPTIONS":
                await send_response(send, context, 204, headers={"Allow": match.route.allowed_methods})
                return
            raise method_not_allowed_error(context, match.route.allowed_methods, location=match.route.location)
        context.operation = operation
        context.path_parameters = match.path_parameters
        scope["path_params"] = match.path_parameters
        extensions = scope["extensions"] = scope.get("extensions") or {}
        extensions[ROUTING_CONTEXT] = self.connexion_contexts[operation.id]
        await self.app(scope, receive, send)
