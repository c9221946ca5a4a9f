"""What the function of a page gets, and what it returns."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from mock_server.console.control_client import ControlClient
from spec.model import Contract

CONSOLE_PREFIX = "/__mock/"


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

    @property
    def control_path(self) -> str:
        """The path of the sandbox in the control API."""
        return f"/sandboxes/{self.sandbox}"

    def build_url(self, path: str, **parameters: Any) -> str:
        """Return the URL of another page of the same sandbox."""
        query = {"sandbox": self.sandbox, **{n: v for n, v in parameters.items() if v not in (None, "")}}
        return f"{CONSOLE_PREFIX}{path}?{urlencode(query)}"

    async def get(self, path: str = "", **query: Any) -> Any:
        """Read from the control API. `path`: below that of the sandbox. Raises ControlError."""
        return await self.client.get(self.control_path + path, query)

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """Change the sandbox by the control API. Raises ControlError."""
        return await self.client.send(method, self.control_path + path, body)


@dataclass(frozen=True, slots=True)
class Page:
    """A page to render. `is_fragment`: only a part of it, which replaces the present one."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK
    is_fragment: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """The page to show after a form."""

    url: str


@dataclass(frozen=True, slots=True)
class Download:
    """A file to save."""

    name: str
    media_type: str
    content: bytes


PageResult = Page | Redirect | Download
ShowPage = Callable[[PageRequest], Awaitable[PageResult]]
