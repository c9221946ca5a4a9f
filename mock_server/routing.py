"""Which operation a request is for: a pure lookup of path and method, made once from a contract.

`Routes` knows nothing of ASGI. `Routing` is Connexion's seam for it: it tells the middlewares behind it the operation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import unquote_to_bytes

from connexion.middleware.abstract import ROUTING_CONTEXT, SpecMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.exchange import answer, exchange_of
from mock_server.problems import Problem, Refusal
from spec.contract import Contract, Operation
from spec.errors import ContractError

_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NEAR = 0.6
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the contract. `methods`: upper case. `allow`: all that it answers, HEAD and OPTIONS included."""

    path: str
    names: tuple[str, ...]
    methods: Mapping[str, Operation]
    allow: str

    @property
    def place(self) -> str:
        """Its pointer in the contract."""
        return next(iter(self.methods.values())).pointer.rpartition("/")[0]

    def operation(self, method: str) -> Operation | None:
        """The operation for a method; HEAD is served by GET's."""
        found = self.methods.get(method)
        return self.methods.get("GET") if found is None and method == "HEAD" else found


@dataclass(slots=True)
class _Node:
    """What may follow a path's beginning: literal segments, a template, or its end."""

    literal: dict[str, "_Node"] = field(default_factory=dict)
    template: "_Node | None" = None
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A path that was found, and what stands where its template parts are."""

    route: Route
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Routes:
    """All paths of a contract, below its base path."""

    base: bytes
    literal: Mapping[bytes, Match]
    root: _Node = field(repr=False)
    all: tuple[Route, ...] = field(repr=False)

    @classmethod
    def of(cls, contract: Contract) -> "Routes":
        """The routes of `contract`. Raises ContractError for a template that is only part of a segment."""
        paths: dict[str, dict[str, Operation]] = {}
        for operation in contract.operations.values():
            paths.setdefault(operation.path, {})[operation.method.upper()] = operation
        routes = tuple(_route(path, methods) for path, methods in paths.items())
        base = contract.base_path.encode()
        root = _Node()
        for route in routes:
            _plant(root, route)
        literal = {base + route.path.rstrip("/").encode(): Match(route, {}) for route in routes if not route.names}
        return cls(base, literal, root, routes)

    def find(self, path: bytes) -> Match | None:
        """The route of a path as sent (percent-encoded). The one with the fewest template parts wins."""
        found = self.literal.get(path)
        if found is not None:
            return found
        if not path.startswith(self.base + b"/"):
            return None
        segments = _segments(path[len(self.base) + 1 :].rstrip(b"/"))
        best = None if segments is None else _best(self.root, segments, 0, ())
        return None if best is None else Match(best[0], dict(zip(best[0].names, best[1], strict=True)))

    def unknown(self, path: str) -> Refusal:
        """The refusal of a path that is not there, with the nearest ones that are. Slow: for people."""
        near = self.nearest(path)
        shown = " or ".join(self.base.decode() + route.path for route in near)
        why = f"did you mean {shown}?" if near else "no path of the contract is like it"
        return Refusal(Problem.NO_OPERATION, why, path=path, place=near[0].place if near else "#/paths")

    def nearest(self, path: str, limit: int = 2) -> list[Route]:
        """The documented paths most like `path`, the most like first.

        What any path has says nothing: the base, and what stands where a template part is.
        """
        base = self.base.decode()
        inside = path.startswith(f"{base}/")
        sent = path[len(base) if inside else 0 :][:_SHOWN].rstrip("/").split("/")
        rated: list[tuple[float, int, Route]] = []
        matcher = SequenceMatcher(autojunk=False)
        for route in self.all:
            parts = (route.path if inside else base + route.path).split("/")
            free = {number for number, part in enumerate(parts) if part[:1] == "{" and number < len(sent)}
            matcher.set_seq2("/".join(part for number, part in enumerate(sent) if number not in free))
            matcher.set_seq1("/".join(part for number, part in enumerate(parts) if number not in free))
            if matcher.real_quick_ratio() > _NEAR and matcher.quick_ratio() > _NEAR:
                rated.append((matcher.ratio(), -len(rated), route))
        rated.sort(reverse=True)
        return [route for ratio, _, route in rated[:limit] if ratio > _NEAR and ratio > rated[0][0] - 0.1]


def _route(path: str, methods: Mapping[str, Operation]) -> Route:
    parts = path.strip("/").split("/")
    for part in parts:
        if ("{" in part or "}" in part) and not re.fullmatch(r"\{[^{}]+\}", part):
            raise ContractError(f"#/paths of {path}", repr(part), "a template that is a whole segment ({name})")
    served = dict.fromkeys((*methods, *(("HEAD",) if "GET" in methods else ()), "OPTIONS"))
    return Route(path, tuple(p[1:-1] for p in parts if p[:1] == "{"), methods, ", ".join(served))


def _plant(root: _Node, route: Route) -> None:
    node = root
    for part in route.path.strip("/").split("/"):
        if part[:1] == "{":
            node.template = node.template or _Node()
            node = node.template
        else:
            node = node.literal.setdefault(part, _Node())
    if node.route is not None:
        raise ContractError("#/paths", f"{route.path} beside {node.route.path}", "one path for one form")
    node.route = route


def _best(node: _Node, segments: list[str], at: int, values: tuple[str, ...]) -> tuple[Route, tuple[str, ...]] | None:
    """The route with the fewest template parts that fits; among equals the one with early literal segments."""
    if at == len(segments):
        return None if node.route is None else (node.route, values)
    below = node.literal.get(segments[at])
    found = None if below is None else _best(below, segments, at + 1, values)
    if node.template is None:
        return found
    other = _best(node.template, segments, at + 1, (*values, segments[at]))
    if found is None or other is None:
        return found or other
    return min(found, other, key=lambda match: len(match[1]))


def _segments(path: bytes) -> list[str] | None:
    """A path's segments as texts; None where one is empty, or its percent-encoding or its UTF-8 is malformed."""
    encoded = b"%" in path
    if encoded and _MALFORMED.search(path):
        return None
    try:
        parts = path.decode().split("/")
        found = [unquote_to_bytes(part).decode() for part in parts] if encoded else parts
    except UnicodeDecodeError:
        return None
    return None if "" in found else found


class Routing(SpecMiddleware):  # type: ignore[misc]
    """Finds the operation and tells it to Connexion's routed middlewares; answers OPTIONS; refuses 404 and 405."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.routes: Routes | None = None
        self.contexts: dict[str, dict[str, str]] = {}

    def add_api(self, specification: Any, *, routes: Routes, **_: Any) -> None:
        """Called by Connexion for the contract; `routes` comes with it."""
        self.routes = routes
        self.contexts = {
            operation.id: {"api_base_path": specification.base_path, "operation_id": operation.id}
            for route in routes.all
            for operation in route.methods.values()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.routes is None:
            await self.app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        match = self.routes.find(exchange.path)
        if match is None:
            raise Refusal(Problem.NO_OPERATION, path=exchange.shown_path)
        operation = match.route.operation(exchange.method)
        if operation is None:
            allow = {"Allow": match.route.allow}
            if exchange.method == "OPTIONS":
                await answer(send, exchange, 204, headers=allow)
                return
            raise Refusal(
                Problem.METHOD,
                headers=allow,
                method=exchange.method,
                path=exchange.shown_path,
                allowed=match.route.allow,
                place=match.route.place,
            )
        exchange.operation = operation
        exchange.path_values = match.values
        scope["path_params"] = match.values
        extensions = scope.get("extensions")
        if extensions is None:
            extensions = scope["extensions"] = {}
        extensions[ROUTING_CONTEXT] = self.contexts[operation.id]
        await self.app(scope, receive, send)
