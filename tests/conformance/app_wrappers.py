"""ASGI wrappers that inject faults: they change the query of GET requests or the JSON of successful responses."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Pairs = list[tuple[str, str]]


def parse_query(scope: Scope) -> Pairs:
    """Return the query of a request as pairs."""
    return parse_qsl(scope["query_string"].decode(), keep_blank_values=True)


def change_responses(app: ASGIApp, change: Callable[[str, Pairs, Any], Any]) -> ASGIApp:
    """Wrap an application: `change(path, query, body)` returns the JSON body of a successful GET response."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await app(scope, receive, send)
            return
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await app(scope, receive, collect)
        start, body = messages[0], b"".join(message.get("body", b"") for message in messages[1:])
        if start["status"] == 200 and body[:1] == b"{":
            body = json.dumps(change(scope["path"], parse_query(scope), json.loads(body))).encode()
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return wrapped


def change_queries(app: ASGIApp, change: Callable[[str, Pairs], Pairs]) -> ASGIApp:
    """Wrap an application: `change(path, query)` returns the query of a GET request."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            scope = {**scope, "query_string": urlencode(change(scope["path"], parse_query(scope))).encode()}
        await app(scope, receive, send)

    return wrapped


def drop_parameters(app: ASGIApp, path: str, *names: str) -> ASGIApp:
    """Wrap an application: some query parameters of paths that end with `path` are ignored."""

    def drop(request_path: str, pairs: Pairs) -> Pairs:
        return [(n, v) for n, v in pairs if n.removesuffix("[]") not in names] if request_path.endswith(path) else pairs

    return change_queries(app, drop)
