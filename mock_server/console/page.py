"""The request that the function of a page receives, and the results that it can return."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import orjson

from mock_server.console.control_client import ControlClient, ControlError, join_segments
from mock_server.console.field_errors import AssignedErrors
from spec.model import Contract

CONSOLE_PREFIX = "/__mock/"
_MAX_NUMBER_DIGITS = 15


def parse_whole_number(text: str) -> int | None:
    """Parse a non-negative integer of at most 15 ASCII digits; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_NUMBER_DIGITS else None


def parse_number(text: str) -> Any:
    """Parse a number; return any other text unchanged, so that the control API rejects it."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else text


def create_unknown_page_error() -> ControlError:
    """Create the error (404) for a path without a page."""
    return ControlError(HTTPStatus.NOT_FOUND, ["Page not found (expected a page of the navigation)."])


def create_unknown_action_error(action: str) -> ControlError:
    """Create the error (422) for a form whose field ``do`` names no button of the page."""
    message = f'do: invalid value "{action[:100]}" (expected the value of a button on the page).'
    return ControlError(HTTPStatus.UNPROCESSABLE_ENTITY, [message])


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page.

    `parts`: the decoded segments of the path after the name of the page. `form`: the submitted fields.
    """

    contract: Contract
    client: ControlClient
    sandbox: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)

    def build_url(self, *segments: Any, **parameters: Any) -> str:
        """Return the URL of a page of the same sandbox. `segments`: of its path, not encoded. `parameters`: query."""
        query = {"sandbox": self.sandbox, **{n: v for n, v in parameters.items() if v not in (None, "")}}
        return f"{CONSOLE_PREFIX.rstrip('/')}{join_segments(*map(str, segments))}?{urlencode(query)}"

    async def get(self, *segments: str, **query: Any) -> Any:
        """Send GET to the control API. `segments`: of the path below that of the sandbox. Raises ControlError."""
        return await self.client.get("sandboxes", self.sandbox, *segments, query=query)

    async def send(self, method: str, *segments: str, body: Any = None) -> Any:
        """Send a request that changes the sandbox. `segments`: as in `get`. Raises ControlError."""
        return await self.client.send(method, "sandboxes", self.sandbox, *segments, body=body)


@dataclass(frozen=True, slots=True)
class Page:
    """A page to render. `is_fragment`: whether it is only a part, which replaces that of the current page."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK
    is_fragment: bool = False

    def with_error(self, error: ControlError) -> "Page":
        """Return the page with the messages and the status of an error."""
        return replace(self, context={**self.context, "errors": error.messages}, status=HTTPStatus(error.status))

    def with_form_errors(self, error: ControlError, errors: AssignedErrors) -> "Page":
        """Return the page with links to the fields that show their errors, and with the other messages."""
        context = {**self.context, "errors": errors.others, "invalid_fields": errors.fields}
        return replace(self, context=context, status=HTTPStatus(error.status))


@dataclass(frozen=True, slots=True)
class Redirect:
    """The page to show after a form. `headers`: of the response."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Download:
    """A file to save."""

    name: str
    media_type: str
    content: bytes


PageResult = Page | Redirect | Download
ShowPage = Callable[[PageRequest], Awaitable[PageResult]]
