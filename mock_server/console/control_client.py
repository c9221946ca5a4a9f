"""Sends requests to the control API of the same process."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from starlette.types import ASGIApp, Message, Scope

from mock_server.web.faults import capture_response
from mock_server.web.sandbox_selection import CONTROL_PREFIX

_FORWARDED_HEADERS = (
    b"host",
    b"origin",
    b"sec-fetch-site",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
)


class ControlError(Exception):
    """An error response of the control API.

    `messages`: for the user, each starts with its field if it has one. `errors`: the messages of each field.
    """

    def __init__(self, status: int, messages: list[str], errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__("; ".join(messages))
        self.status, self.messages, self.errors = status, messages, dict(errors or {})

    @classmethod
    def from_fields(cls, status: int, errors: Mapping[str, list[str]]) -> "ControlError":
        """Create the error of fields from their messages."""
        return cls(status, [f"{field}: {message}" for field, values in errors.items() for message in values], errors)

    @classmethod
    def from_body(cls, status: int, body: Any) -> "ControlError":
        """Create the error from the JSON body of a response."""
        errors = body.get("errors") if isinstance(body, dict) else None
        if errors:
            return cls.from_fields(status, errors)
        message = body.get("message") if isinstance(body, dict) else None
        return cls(status, [str(message or f"The control API returned {status}.")])


def join_segments(*segments: str) -> str:
    """Return a path of percent-encoded segments, each with a leading slash."""
    return "".join("/" + quote(segment, safe="") for segment in segments)


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Sends requests on behalf of a browser.

    `app`: the application that serves the control API. `scope`: ASGI scope of the browser's request. `token`: the
    control token, or "".
    """

    app: ASGIApp
    scope: Scope
    token: str

    async def get(self, *segments: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON of a GET request. Arguments and errors are those of `send`."""
        return await self.send("GET", *segments, query=query)

    async def send(self, method: str, *segments: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Send a request and return the JSON of its response; None without a body. Raises ControlError.

        `segments`: of the path below the prefix of the control API, not encoded. `query`: parameters, of which None and
        "" are omitted.
        """
        if "" in segments:
            raise ControlError(HTTPStatus.UNPROCESSABLE_ENTITY, ["name: missing (expected a name)."])
        content = b"" if body is None else orjson.dumps(body)
        parameters = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        raw_path = CONTROL_PREFIX + join_segments(*segments).encode()
        headers = [(name, value) for name, value in self.scope["headers"] if name in _FORWARDED_HEADERS]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        if self.token:
            headers.append((b"authorization", b"Bearer " + self.token.encode("utf-8", "replace")))
        scope = {
            **{name: self.scope.get(name) for name in ("type", "asgi", "scheme", "server", "client", "http_version")},
            "method": method,
            "path": raw_path.decode(),
            "raw_path": raw_path,
            "query_string": urlencode(parameters).encode(),
            "root_path": "",
            "headers": headers,
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        captured = await capture_response(lambda send: self.app(scope, receive, send))
        result = orjson.loads(captured.body) if captured.body else None
        if captured.status != HTTPStatus.ACCEPTED and 200 <= captured.status < 300:
            return result
        raise ControlError.from_body(captured.status, result)
