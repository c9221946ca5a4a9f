"""Faults for a mock in process: an application around it that changes what is asked, or what is answered.

`answer(app, change)`: `change` gets the request's path, its query as pairs, and the JSON of a success, and gives the
JSON to answer instead. `question(app, change)`: `change` gets path and pairs, and gives the pairs to ask instead.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Pairs = list[tuple[str, str]]


def pairs_of(scope: Scope) -> Pairs:
    """The query of a request."""
    return parse_qsl(scope["query_string"].decode(), keep_blank_values=True)


def answer(app: ASGIApp, change: Callable[[str, Pairs, Any], Any]) -> ASGIApp:
    """The application, with the JSON of its successes to GET changed."""

    async def changed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await app(scope, receive, send)
            return
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await app(scope, receive, keep)
        start, body = sent[0], b"".join(message.get("body", b"") for message in sent[1:])
        if start["status"] == 200 and body[:1] == b"{":
            body = json.dumps(change(scope["path"], pairs_of(scope), json.loads(body))).encode()
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return changed


def question(app: ASGIApp, change: Callable[[str, Pairs], Pairs]) -> ASGIApp:
    """The application, asked something else than was sent."""

    async def changed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            scope = {**scope, "query_string": urlencode(change(scope["path"], pairs_of(scope))).encode()}
        await app(scope, receive, send)

    return changed


def without(app: ASGIApp, path: str, *names: str) -> ASGIApp:
    """The application, deaf to some parameters of the list at the end of a path."""

    def deaf(asked: str, pairs: Pairs) -> Pairs:
        return [(n, v) for n, v in pairs if n.removesuffix("[]") not in names] if asked.endswith(path) else pairs

    return question(app, deaf)
