"""A client of the test-control API of the mock."""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The first sandbox with a dataset waits until it is built.
MAX_BUILD_SECONDS = 60.0
BUILD_POLL_SECONDS = 0.2
_REQUEST_SECONDS = 60.0

# The mock is on this machine or in its network, so the proxy of the environment is not used.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ControlRequestError(Exception):
    """An error response of the control API. `errors`: messages by location."""

    def __init__(self, request: str, status: int, message: str, errors: Mapping[str, list[str]]) -> None:
        lines = [f"\n  {location}: {' '.join(messages)}" for location, messages in errors.items()]
        first_detail = next((text for messages in errors.values() for text in messages), None)
        is_repeated = first_detail is not None and message.startswith(first_detail)
        super().__init__(f"{request}: got {status}{'' if is_repeated else f': {message}'}{''.join(lines)}")
        self.status = status
        self.errors = errors


@dataclass(frozen=True, slots=True)
class AthenaMock:
    """A running mock. `url` has no path. `control_token`: of a mock that is not on a loopback address."""

    url: str
    control_token: str | None = field(default=None, repr=False)

    def create_sandbox(self, name: str | None = None, **parameters: Any) -> "AthenaSandbox":
        """Create a sandbox and wait until its dataset is built. `parameters`: `dataset`, `seed`, `epoch`.

        Raises ControlRequestError, and TimeoutError after MAX_BUILD_SECONDS.
        """
        path = f"/sandboxes/{name or f'test-{uuid.uuid4()}'}"
        deadline = time.monotonic() + MAX_BUILD_SECONDS
        while "base_url" not in (description := self.send("PUT", path, parameters)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path}: the dataset is not ready after {MAX_BUILD_SECONDS:.0f} seconds.")
            time.sleep(BUILD_POLL_SECONDS)
        return AthenaSandbox(self, description)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the control API and return the JSON of the response; None without a body.

        Raises ControlRequestError, and ConnectionError without a response.
        """
        url = f"{self.url}/__mock/api{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.control_token is not None:
            headers["Authorization"] = f"Bearer {self.control_token}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with _OPENER.open(request, timeout=_REQUEST_SECONDS) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            with error:
                message, errors = _parse_error(error.read())
            raise ControlRequestError(f"{method} {url}", error.code, message, errors) from None
        except urllib.error.URLError as error:
            raise ConnectionError(f"{method} {url}: the mock cannot be reached ({error.reason}).") from None
        return json.loads(content) if content else None


def _parse_error(content: bytes) -> tuple[str, Mapping[str, list[str]]]:
    """Return the message and the errors of an error response."""
    try:
        body = json.loads(content)
    except ValueError:
        return content[:500].decode(errors="replace"), {}
    return body.get("message", ""), body.get("errors") or _describe_near_misses(body.get("near_misses", ()))


def _describe_near_misses(near_misses: Sequence[Mapping[str, Any]]) -> Mapping[str, list[str]]:
    """Return how the requests that were made differ from the expected one."""
    return {
        f"request {miss['request']['id']}": [
            f"{difference['location']}: expected {difference['expected']!r}, received {difference['received']!r}."
            for difference in miss["differences"]
        ]
        for miss in near_misses
    }


@dataclass(frozen=True, slots=True)
class AthenaSandbox:
    """An isolated state of a mock. `description`: the response that created it."""

    mock: AthenaMock
    description: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.description["name"])

    @property
    def base_url(self) -> str:
        """Base URL of the API that selects the sandbox."""
        return str(self.description["base_url"])

    @property
    def tokens(self) -> Mapping[str, str]:
        """Tokens that select the sandbox, by user: `demo`, `other`, `viewer`, `expired`."""
        return dict(self.description["tokens"])

    def send(self, method: str, path: str = "", body: Any = None) -> Any:
        """Send a request to the control API of the sandbox. Raises ControlRequestError."""
        return self.mock.send(method, f"/sandboxes/{self.name}{path}", body)

    def create_records(self, records: Mapping[str, Any]) -> Any:
        """Create related records, for example `{"Agent": [{"name": "Alpha"}]}`: all or none."""
        return self.send("POST", "/records", records)

    def add_rule(self, respond: Any = None, **parameters: Any) -> Any:
        """Force responses. `parameters`: `match`, `times`, `preset` and others of a rule.

        `respond`: a response, or a list of them; not needed with `preset`.
        """
        response = {} if respond is None else {"respond": respond}
        return self.send("POST", "/rules", {**response, **parameters})

    def list_rules(self) -> Any:
        return self.send("GET", "/rules")["rules"]

    def delete_rule(self, name: str | None = None) -> None:
        """Delete a rule, or all."""
        self.send("DELETE", "/rules" if name is None else f"/rules/{name}")

    def get_clock(self) -> Any:
        """Return `now`, `frozen` and `speed`."""
        return self.send("GET", "/clock")

    def set_clock(self, **changes: Any) -> Any:
        """Change `now`, `frozen` or `speed`."""
        return self.send("PATCH", "/clock", changes)

    def advance_clock(self, seconds: float) -> Any:
        """Advance the time, also if it is frozen."""
        return self.send("POST", "/clock/advance", {"seconds": seconds})

    def synchronize_clock(self) -> Any:
        """Set the time of the system, and let the clock run at its speed."""
        return self.send("POST", "/clock/synchronize")

    def find_requests(self, **conditions: Any) -> Any:
        """Return the recorded requests, newest first, with the deviations from the contract (`findings`)."""
        return self.send("POST", "/requests/find", conditions)["requests"]

    def verify_requests(self, **expectation: Any) -> Any:
        """Raise ControlRequestError unless requests were made: `count` of them, or at least one."""
        return self.send("POST", "/requests/verify", expectation)

    def export_har(self) -> Any:
        """Return the recorded requests as an HTTP Archive."""
        return self.send("GET", "/requests.har")

    def delete_requests(self) -> None:
        self.send("DELETE", "/requests")

    def list_changes(self, since: str = "") -> Any:
        """Return what differs from the creation of the sandbox, or from a snapshot."""
        return self.send("GET", f"/changes?since={since}")

    def save_snapshot(self, name: str) -> Any:
        return self.send("PUT", f"/snapshots/{name}")

    def restore_snapshot(self, name: str) -> Any:
        return self.send("POST", f"/snapshots/{name}/restore")

    def reset(self) -> Any:
        """Restore the initial records and the initial time, and delete the rules."""
        return self.send("POST", "/reset")

    def delete(self) -> None:
        self.send("DELETE")
