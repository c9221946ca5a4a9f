"""Targets that are right and hard to judge: slow, late, busy, stumbling, gone. Each stands before a mock in process.

Time is theirs: a pause of the run moves it, and so does each request. Nothing sleeps.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import httpx

from conformance.checks import CHECKS
from conformance.checks.support.check import Check
from conformance.gate.verdict import GatePolicy, GateResult, evaluate
from conformance.runner.runner import RunResult, run
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.retry import Retrier
from tests.asgi import call, completed
from tests.conformance.served import HOST, TOKENS
from tests.mock_server.athena import EPOCH, Api

WRITES = ("POST", "PUT", "PATCH", "DELETE")
PER_REQUEST = 0.05  # seconds


@dataclass(slots=True)
class Mock(httpx.BaseTransport):
    """A mock that a client reaches, and the time that both live in. `moment`: seconds since the mock's epoch."""

    api: Api
    moment: float = 0.0
    per_request: float = PER_REQUEST

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """What the mock answers, a moment later."""
        self.wait(self.per_request)
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the mock answers."""
        return sent(self.api, request, self.moment)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.moment += seconds


def sent(api: Api, request: httpx.Request, moment: float) -> httpx.Response:
    """What a mock answers to a request at a moment."""
    api.watch.at = EPOCH + timedelta(seconds=moment)
    headers = {name.decode().lower(): value for name, value in request.headers.raw}
    asked = call(api.app, request.method, request.url.raw_path, headers, request.read(), ("127.0.0.1", 50000))
    reply = completed(asked)
    return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


@dataclass(slots=True)
class Stumbling(Mock):
    """Answers 500 to some requests, whatever they are. `share`: of all."""

    chance: Random = field(default_factory=Random)
    share: float = 0.05

    def answer(self, request: httpx.Request) -> httpx.Response:
        """500 or what the mock answers."""
        if self.chance.random() < self.share:
            return httpx.Response(500, json={"message": "Server Error"})
        return sent(self.api, request, self.moment)


@dataclass(slots=True)
class Dying(Mock):
    """Is gone after so many requests."""

    left: int = 100

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the mock answers, as long as it is there."""
        self.left -= 1
        if self.left < 0:
            raise httpx.ConnectError("[Errno 111] Connection refused")
        return sent(self.api, request, self.moment)


@dataclass(slots=True)
class Late(Mock):
    """Reads are answered by a second mock, to which each write comes `late` seconds after it was answered."""

    replica: Api | None = None
    late: float = 2.0
    _due: deque[tuple[float, httpx.Request]] = field(default_factory=deque)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """A write from the mock, a read from the one that is behind."""
        assert self.replica is not None
        while self._due and self._due[0][0] + self.late <= self.moment:
            at, write = self._due.popleft()
            sent(self.replica, write, at)
        if request.method in WRITES:
            request.read()
            self._due.append((self.moment, request))
            return sent(self.api, request, self.moment)
        return sent(self.replica, request, self.moment)


@dataclass(slots=True)
class Busy(Mock):
    """Somebody else of the same tenant writes before each request: creates, changes and deletes, twenty times a second.

    `paths`: collections that take these bodies.
    """

    paths: Sequence[tuple[str, dict[str, Any]]] = ()
    chance: Random = field(default_factory=Random)
    _theirs: list[str] = field(default_factory=list)
    _count: int = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the mock answers, after the other one has written."""
        self._count += 1
        path, body = self.chance.choice(self.paths)
        mine = [one for one in self._theirs if one.startswith(path)]
        what = self.chance.choice(("POST", "PUT", "DELETE")) if len(mine) > 1 else "POST"
        named = {**body, "name": f"theirs {self._count}"} if "name" in body else {**body, "content": f"t{self._count}"}
        one = self.chance.choice(mine) if mine else ""
        if what == "POST":
            made = self._write("POST", path, named)
            self._theirs.append(f"{path}/{made.json()['data']['uuid']}")
        elif what == "PUT":
            self._write("PUT", one, named)
        else:
            self._write("DELETE", one, None)
            self._theirs.remove(one)
        return sent(self.api, request, self.moment)

    def _write(self, method: str, path: str, body: Any) -> httpx.Response:
        url = f"{HOST}{self.api.contract.base_path}{path}"
        wrote = sent(
            self.api, httpx.Request(method, url, json=body, headers={"Authorization": "Bearer demo-token"}), self.moment
        )
        assert wrote.status_code < 300, wrote.text
        return wrote


def session_on(mock: Mock, seed: int = 1, *, read_only: bool = False) -> Session:
    """A session whose pauses are the target's time."""
    contract = mock.api.contract
    clock = lambda: mock.moment  # noqa: E731 - the budget's clock is the target's too
    target = HttpTarget(HOST + contract.base_path, TOKENS, Budget(None, None, clock), transport=mock, sleep=mock.wait)
    bodies = PayloadFactory(contract, f"run{seed}", Random(seed))
    return Session(
        contract,
        mock.api.schemas,
        target,
        WriteLog("test"),
        bodies,
        read_only,
        consistency_timeout=5.0,
        sleep=mock.wait,
        retrier=Retrier(mock.wait),
    )


def judged(
    mock: Mock,
    *tags: str,
    seed: int = 1,
    laws: Sequence[Check] = CHECKS,
    demands: GatePolicy | None = None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> tuple[RunResult, GateResult]:
    """What a run over the operations of some tags comes to."""
    session = session_on(mock, seed)
    scope = [o for o in session.contract.operations.values() if (not tags or o.tag in tags) and wanted(o.id)]
    found = run(session, laws, scope, lambda outcome: None)
    return found, evaluate(found, session.contract, scope, session.call_counts, demands or GatePolicy(strict=True))
