"""The request that an operation of the control API gets, and its result."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from mock_server.control.journal_entries import JournalReader
from mock_server.errors import ApiError, ErrorKind
from mock_server.registry.entries import SandboxEntry
from mock_server.registry.registry import NAME_PATTERN, SandboxRegistry
from spec.validators import SchemaValidators

LOADING_TIMEOUT = 0.5  # seconds that a request waits for a dataset before it gets a 202


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A validated request. `base_url`: of the mock; `validators`: of the document of the control API.

    `accepts_events`: whether the client accepts server-sent events; `last_event_id`: the one it received last.
    """

    registry: SandboxRegistry
    validators: SchemaValidators
    journal_reader: JournalReader
    path_parameters: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    base_url: str
    accepts_events: bool = False
    last_event_id: str = ""

    def get_name(self, parameter: str) -> str:
        """Return a name in the path. Raises ApiError (422)."""
        name = self.path_parameters[parameter]
        if not NAME_PATTERN.fullmatch(name):
            expected = "1 to 63 lower-case letters, digits and hyphens, a letter or digit first and last"
            message = f'The {parameter} is invalid (received "{name[:100]}", expected {expected}).'
            raise ApiError(ErrorKind.VALIDATION_FAILED, errors={parameter: [message]})
        return name

    async def find_entry(self) -> SandboxEntry:
        """Return the sandbox in the path. Raises ApiError (404, 409, 422)."""
        name = self.get_name("name")
        entry = await self.registry.wait_until_ready(name, LOADING_TIMEOUT)
        if entry is None:
            message = f"The dataset of the sandbox {name} is being built."
            raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message, headers={"Retry-After": "1"})
        return entry


@dataclass(frozen=True, slots=True)
class ControlResult:
    """A response. `body` None: without a body. `events`: server-sent events instead of a body."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    events: AsyncGenerator[bytes, None] | None = None
