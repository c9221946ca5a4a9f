"""Correct targets that are hard to test: slow, delayed, busy, flaky or unreachable, on top of an in-process mock.

The clock is simulated: pauses of the run and requests advance it. Nothing sleeps.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import httpx

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.gate.verdict import GatePolicy, GateResult, evaluate
from conformance.runner.runner import RunResult, run
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.retry import Retrier
from tests.asgi import call, run_coroutine
from tests.conformance.asgi_session import HOST, TOKENS
from tests.mock_server.athena import EPOCH, Api

WRITES = ("POST", "PUT", "PATCH", "DELETE")
SECONDS_PER_REQUEST = 0.05  # seconds


@dataclass(slots=True)
class Mock(httpx.BaseTransport):
    """Transport to a mock with a simulated clock. `moment`: seconds since the epoch of the mock."""

    api: Api
    moment: float = 0.0
    seconds_per_request: float = SECONDS_PER_REQUEST

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Advance the clock and return the response."""
        self.wait(self.seconds_per_request)
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the mock."""
        return send_to_mock(self.api, request, self.moment)

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.moment += seconds


def send_to_mock(api: Api, request: httpx.Request, moment: float) -> httpx.Response:
    """Send a request to a mock at a simulated time."""
    api.clock.now = EPOCH + timedelta(seconds=moment)
    headers = {name.decode().lower(): value for name, value in request.headers.raw}
    pending = call(api.app, request.method, request.url.raw_path, headers, request.read(), ("127.0.0.1", 50000))
    reply = run_coroutine(pending)
    return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


@dataclass(slots=True)
class Flaky(Mock):
    """Returns 500 for random requests. `share`: their share of all requests."""

    chance: Random = field(default_factory=Random)
    share: float = 0.05

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return 500 or the response of the mock."""
        if self.chance.random() < self.share:
            return httpx.Response(500, json={"message": "Server Error"})
        return send_to_mock(self.api, request, self.moment)


@dataclass(slots=True)
class Vanishing(Mock):
    """Becomes unreachable after `left` requests."""

    left: int = 100

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the mock while it is reachable."""
        self.left -= 1
        if self.left < 0:
            raise httpx.ConnectError("[Errno 111] Connection refused")
        return send_to_mock(self.api, request, self.moment)


@dataclass(slots=True)
class Delayed(Mock):
    """Serves reads from a replica that receives each write `delay` seconds after its response."""

    replica: Api | None = None
    delay: float = 2.0
    _pending_writes: deque[tuple[float, httpx.Request]] = field(default_factory=deque)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the mock to a write, of the replica to a read."""
        assert self.replica is not None
        while self._pending_writes and self._pending_writes[0][0] + self.delay <= self.moment:
            sent_at, write = self._pending_writes.popleft()
            send_to_mock(self.replica, write, sent_at)
        if request.method in WRITES:
            request.read()
            self._pending_writes.append((self.moment, request))
            return send_to_mock(self.api, request, self.moment)
        return send_to_mock(self.replica, request, self.moment)


@dataclass(slots=True)
class Busy(Mock):
    """Another client of the tenant writes before each request, twenty times per second.

    `paths`: paths of collections with the payloads to create.
    """

    paths: Sequence[tuple[str, dict[str, Any]]] = ()
    chance: Random = field(default_factory=Random)
    _records: list[str] = field(default_factory=list)
    _count: int = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Write as the other client, then return the response of the mock."""
        self._count += 1
        path, body = self.chance.choice(self.paths)
        candidates = [record for record in self._records if record.startswith(path)]
        method = self.chance.choice(("POST", "PUT", "DELETE")) if len(candidates) > 1 else "POST"
        changes = {"name": f"other client {self._count}"} if "name" in body else {"content": f"t{self._count}"}
        record = self.chance.choice(candidates) if candidates else ""
        if method == "POST":
            response = self._write("POST", path, {**body, **changes})
            self._records.append(f"{path}/{response.json()['data']['uuid']}")
        elif method == "PUT":
            self._write("PUT", record, {**body, **changes})
        else:
            self._write("DELETE", record, None)
            self._records.remove(record)
        return send_to_mock(self.api, request, self.moment)

    def _write(self, method: str, path: str, body: Any) -> httpx.Response:
        url = f"{HOST}{self.api.contract.base_path}{path}"
        request = httpx.Request(method, url, json=body, headers={"Authorization": "Bearer demo-token"})
        response = send_to_mock(self.api, request, self.moment)
        assert response.status_code < 300, response.text
        return response


def create_session(mock: Mock, seed: int = 1, *, read_only: bool = False) -> Session:
    """Create a session whose pauses advance the clock of the target."""
    contract = mock.api.contract
    clock = lambda: mock.moment  # noqa: E731 - the budget uses the simulated clock, too
    target = HttpTarget(HOST + contract.base_path, TOKENS, Budget(None, None, clock), transport=mock, sleep=mock.wait)
    payloads = PayloadFactory(contract, f"run{seed}", Random(seed))
    return Session.create(
        contract,
        mock.api.schemas,
        target,
        WriteLog("test"),
        payloads,
        RunOptions(read_only=read_only, consistency_timeout=5.0),
        sleep=mock.wait,
        retrier=Retrier(mock.wait),
    )


def run_and_evaluate(
    mock: Mock,
    *tags: str,
    seed: int = 1,
    checks: Sequence[Check] = CHECKS,
    policy: GatePolicy | None = None,
    is_selected: Callable[[str], bool] = lambda name: True,
) -> tuple[RunResult, GateResult]:
    """Run the checks on the operations of some tags and evaluate the gate."""
    session = create_session(mock, seed)
    scope = [o for o in session.contract.operations.values() if (not tags or o.tag in tags) and is_selected(o.id)]
    result = run(session, checks, scope, lambda result: None)
    return result, evaluate(
        result, session.contract, scope, session.responses.call_counts, policy or GatePolicy(strict=True)
    )
