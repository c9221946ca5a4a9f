"""What the function of a page gets, and what it returns."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from mock_server.console.control_client import ControlClient, ControlError, join_segments
from spec.model import Contract

CONSOLE_PREFIX = "/__mock/"
_MAX_NUMBER_DIGITS = 15


def parse_whole_number(text: str) -> int | None:
    """Return the number that a text of ASCII digits is; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_NUMBER_DIGITS else None


def create_unknown_page_error() -> ControlError:
    return ControlError(HTTPStatus.NOT_FOUND, ["There is no such page."])


def create_unknown_action_error(action: str) -> ControlError:
    return ControlError(HTTPStatus.UNPROCESSABLE_ENTITY, [f'do: invalid value "{action[:100]}" (expected a button).'])


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page.

    `parts`: the decoded segments of the path after the name of the page. `form`: the fields that a form sends.
    """

    contract: Contract
    client: ControlClient
    sandbox: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)

    def build_url(self, *segments: Any, **parameters: Any) -> str:
        """Return the URL of a page of the same sandbox. `segments`: of its path, not encoded."""
        query = {"sandbox": self.sandbox, **{n: v for n, v in parameters.items() if v not in (None, "")}}
        return f"{CONSOLE_PREFIX.rstrip('/')}{join_segments(*map(str, segments))}?{urlencode(query)}"

    async def get(self, *segments: str, **query: Any) -> Any:
        """Read from the control API. `segments`: of the path below that of the sandbox. Raises ControlError."""
        return await self.client.get("sandboxes", self.sandbox, *segments, query=query)

    async def send(self, method: str, *segments: str, body: Any = None) -> Any:
        """Change the sandbox by the control API. `segments`: as in `get`. Raises ControlError."""
        return await self.client.send(method, "sandboxes", self.sandbox, *segments, body=body)


@dataclass(frozen=True, slots=True)
class Page:
    """A page to render. `is_fragment`: only a part of it, which replaces the present one."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK
    is_fragment: bool = False

    def with_error(self, error: ControlError) -> "Page":
        """Return the page with the messages of an error, and its status."""
        return replace(self, context={**self.context, "errors": error.messages}, status=HTTPStatus(error.status))


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
