"""A validated request on its way to an action, and what the action answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mock_server.query.viewer import Viewer
from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.response_cache import CacheDependencies
from mock_server.sandbox.sandbox import Sandbox
from spec.loader import Operation


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """One validated request.

    `path_parameters`: path parameters. `query`: coerced query parameters by name, blank and absent ones left out, unknown ones
    dropped. `raw_query`: as it came. `body`: the parsed JSON body, None where the operation has none. `base_url`: scheme,
    host and forwarded prefix (``http://127.0.0.1:8000``), with no slash at the end. `token`: as sent, or None.
    """

    operation: Operation
    sandbox: Sandbox
    viewer: Viewer | None
    path_parameters: Mapping[str, str]
    query: Mapping[str, Any]
    raw_query: str
    body: Any
    base_url: str
    now: datetime
    token: str | None = None

    @property
    def timestamp(self) -> str:
        """The request's instant as a record's timestamps are written."""
        return format_timestamp(self.now)


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action answers: JSON bytes (None: no body); the status is the operation's own success.

    `ignored`: what of the request had no effect, beside what is unknown.
    `depends_on`: what it was made of, for a read that is answered the same until some of that is written.
    """

    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    depends_on: CacheDependencies | None = None
