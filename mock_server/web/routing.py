"""Find the operation of a request by path and method. `RoutingMiddleware` passes it to Connexion's middlewares."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.path_patterns import PATH_PARAMETER, group_operations, group_paths, same_pattern_error
from mock_server.web.context import ABORTED_SCOPE_TYPE, RequestContext, get_context, send_response
from spec.errors import ContractError
from spec.model import Contract, Operation

_INVALID_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MIN_SIMILARITY = 0.6
_MIN_SEGMENT_SIMILARITY = 0.8  # finds health for healthz
_MAX_COMPARED_CHARS = 200


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the contract below a base path.

    `parameter_names`: several for the same part of the path, one after the other, if paths differ in their names only.
    `operations`: by upper-case method; `allowed_methods`: with HEAD and OPTIONS.
    """

    path: str
    parameter_names: tuple[str, ...]
    operations: Mapping[str, Operation]
    allowed_methods: str
    base_path: str = ""

    @property
    def location(self) -> str:
        """JSON pointer of the path item."""
        return next(iter(self.operations.values())).pointer.rpartition("/")[0]

    @property
    def url_path(self) -> str:
        """The path with its base path."""
        return self.base_path + self.path

    def find_operation(self, method: str) -> Operation | None:
        """Return the operation for a method; HEAD uses the operation of GET."""
        operation = self.operations.get(method)
        return self.operations.get("GET") if operation is None and method == "HEAD" else operation

    def name_values(self, values: tuple[str, ...]) -> dict[str, str]:
        """Return the values of the path parameters by name."""
        names = self.parameter_names
        if len(values) != len(names):
            values *= len(names) // len(values)
        return dict(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True)
class _PartialTemplate:
    """A segment with parameters between literals, as ``{id}:archive``. `literals`: one more than parameters."""

    literals: tuple[str, ...]

    @property
    def priority(self) -> tuple[int, int]:
        """The sort key of templates that match the same segment."""
        return len(self.literals), -sum(map(len, self.literals))

    def match(self, segment: str) -> tuple[str, ...] | None:
        """Return the values of the parameters, of which each has a character; None if the segment does not match.

        Each value but the last is as short as possible. Takes linear time, unlike a regular expression.
        """
        first, *middle, last = self.literals
        if not segment.startswith(first):
            return None
        values: list[str] = []
        start, end = len(first), len(segment) - len(last)
        for literal in middle:
            position = segment.find(literal, start + 1, end)
            if position < 0:
                return None
            values.append(segment[start:position])
            start = position + len(literal)
        return (*values, segment[start:end]) if start < end and segment.endswith(last) else None


@dataclass(slots=True)
class _RouteNode:
    """A node of the route tree: the segments that may follow, and the route that ends here."""

    literal_children: dict[str, "_RouteNode"] = field(default_factory=dict)
    partial_children: dict[_PartialTemplate, "_RouteNode"] = field(default_factory=dict)
    template_child: "_RouteNode | None" = None
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class RouteMatch:
    route: Route
    path_parameters: Mapping[str, str]


_TreeMatch = tuple[Route, tuple[str, ...], int]  # the values, and the number of segments with parameters


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of a contract, below its base paths.

    `prefixes`: of all paths of the contract. `literal_matches`: of paths without parameters. `trees`: by base path,
    with a slash at the end. `slash_routes`: by URL path, the routes that differ from another by the slash at their end.
    """

    prefixes: tuple[bytes, ...]
    literal_matches: Mapping[bytes, RouteMatch]
    trees: Mapping[bytes, _RouteNode] = field(repr=False)
    routes: tuple[Route, ...] = field(repr=False)
    slash_routes: Mapping[str, Route] = field(repr=False)

    @classmethod
    def from_contract(cls, contract: Contract) -> "Routes":
        """Create the routes. Raises ContractError for a problem of `path_patterns.iter_path_problems`."""
        routes: list[Route] = []
        trees: dict[bytes, _RouteNode] = {}
        literal_matches: dict[bytes, RouteMatch] = {}
        slash_routes: dict[str, Route] = {}
        for base_path, paths in group_operations(contract).items():
            root = trees[f"{base_path}/".encode()] = _RouteNode()
            for route in _create_routes(base_path, paths):
                routes.append(route)
                if _insert_route(root, route):
                    literal_paths = {route.url_path.rstrip("/"), route.url_path}
                else:
                    slash_routes[route.url_path] = route
                    literal_paths = {route.url_path}
                if not route.parameter_names:
                    literal_matches |= {path.encode(): RouteMatch(route, {}) for path in literal_paths}
        prefixes = tuple(sorted(trees, key=len, reverse=True))
        return cls(prefixes, literal_matches, {p: trees[p] for p in prefixes}, tuple(routes), slash_routes)

    @property
    def has_root(self) -> bool:
        """Whether a base path of the contract is the root."""
        return b"/" in self.trees

    def find(self, path: bytes) -> RouteMatch | None:
        """Return the route of a percent-encoded path; of several, the one with the fewest segments with parameters."""
        match = self.literal_matches.get(path)
        if match is not None:
            return match
        for prefix, root in self.trees.items():
            if path.startswith(prefix):
                segments = _decode_segments(path[len(prefix) :].rstrip(b"/"))
                best = None if segments is None else _find_best(root, segments, 0, (), 0)
                if best is not None and not self.slash_routes:
                    return RouteMatch(best[0], best[0].name_values(best[1]))
                if best is not None:
                    return self._create_match(best, path)
        return None

    def _create_match(self, best: _TreeMatch, path: bytes) -> RouteMatch:
        route = best[0]
        if path.endswith(b"/"):
            route = self.slash_routes.get(f"{route.url_path}/", route)
        return RouteMatch(route, route.name_values(best[1]))

    def not_found_error(self, path: str, system_paths: Collection[str] = ()) -> ApiError:
        """Return the error for an unknown path, with the most similar paths. Slow, for the request log only.

        `system_paths`: paths outside the contract, of which only the last segments are compared.
        """
        similar = self.find_similar(path)
        suggested_paths = _find_by_last_segment(path, system_paths)
        suggested_paths += [route.url_path for route in similar]
        detail = (
            f"did you mean {' or '.join(suggested_paths)}?" if suggested_paths else "the contract has no similar path"
        )
        location = similar[0].location if similar else "#/paths"
        return ApiError(ErrorKind.ROUTE_NOT_FOUND, detail, path=path, location=location)

    def find_similar(self, path: str, limit: int = 2) -> list[Route]:
        """Return the routes most similar to `path`, best first. The base path and path parameters are not compared."""
        requested_parts: dict[str, tuple[bool, list[str]]] = {}
        for prefix in self.prefixes:
            base_path = prefix.decode().rstrip("/")
            is_below_base = path.startswith(f"{base_path}/")
            compared = path[len(base_path) if is_below_base else 0 :][:_MAX_COMPARED_CHARS]
            requested_parts[base_path] = is_below_base, compared.rstrip("/").split("/")
        rated: list[tuple[float, int, Route]] = []
        matcher = SequenceMatcher(autojunk=False)
        for route in self.routes:
            is_below_base, requested = requested_parts[route.base_path]
            parts = (route.path if is_below_base else route.url_path).split("/")
            ignored = {i for i, part in enumerate(parts) if part[:1] == "{" and i < len(requested)}
            matcher.set_seq2("/".join(part for i, part in enumerate(requested) if i not in ignored))
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


def _create_routes(base_path: str, paths: Mapping[str, Mapping[str, Operation]]) -> Iterator[Route]:
    """Yield a route for all paths with the same pattern. Raises ContractError if two of them have the same method."""
    for same_paths in group_paths(paths):
        operations: dict[str, Operation] = {}
        for path in same_paths:
            for method, operation in paths[path].items():
                if method in operations:
                    raise same_pattern_error(operation, path, operations[method].path)
                operations[method] = operation
        allowed_methods = dict.fromkeys((*operations, *(("HEAD",) if "GET" in operations else ()), "OPTIONS"))
        names = tuple(name for path in same_paths for name in PATH_PARAMETER.findall(path))
        yield Route(same_paths[0], names, operations, ", ".join(allowed_methods), base_path)


def _insert_route(root: _RouteNode, route: Route) -> bool:
    """Insert a route into the tree; return whether it was inserted, and does not differ from another by its slash."""
    node = root
    for part in route.path.strip("/").split("/") if route.path.strip("/") else ():
        literals = tuple(map(unquote, PATH_PARAMETER.split(part)[::2]))
        if "{" in "".join(literals) or "}" in "".join(literals):
            raise ContractError(f"#/paths of {route.path}", repr(part), "parameters in the form {name}")
        if len(literals) == 1:
            node = node.literal_children.setdefault(literals[0], _RouteNode())
        elif literals == ("", ""):
            node.template_child = node.template_child or _RouteNode()
            node = node.template_child
        else:
            template = _PartialTemplate(literals)
            child = node.partial_children.setdefault(template, _RouteNode())
            ordered = sorted(node.partial_children.items(), key=lambda item: item[0].priority)
            node.partial_children, node = dict(ordered), child
    other = node.route
    if other is None:
        node.route = route
        return True
    if other.path.endswith("/") == route.path.endswith("/"):
        raise same_pattern_error(next(iter(route.operations.values())), route.path, other.path)
    return False


def _find_best(
    node: _RouteNode, segments: list[str], index: int, values: tuple[str, ...], count: int
) -> _TreeMatch | None:
    """Return the matching route with the fewest segments with parameters; of equals, the one with the earlier literal.

    `values`: of the parameters in the segments before `index`; `count`: the number of these segments.
    """
    if index == len(segments):
        return None if node.route is None else (node.route, values, count)
    segment = segments[index]
    child = node.literal_children.get(segment)
    best = None if child is None else _find_best(child, segments, index + 1, values, count)
    if node.partial_children:  # rare
        for template, partial_child in node.partial_children.items():
            parts = template.match(segment)
            if parts is not None:
                match = _find_best(partial_child, segments, index + 1, values + parts, count + 1)
                best = _choose_best(best, match)
    if node.template_child is None:
        return best
    match = _find_best(node.template_child, segments, index + 1, (*values, segment), count + 1)
    return match if best is None else _choose_best(best, match)


def _choose_best(first: _TreeMatch | None, second: _TreeMatch | None) -> _TreeMatch | None:
    """Return the match with fewer segments with parameters; of equals, the first."""
    if first is None or second is None:
        return first or second
    return second if second[2] < first[2] else first


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
