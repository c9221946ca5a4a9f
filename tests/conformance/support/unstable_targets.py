"""Correct targets that are hard to test: slow, delayed, busy, flaky or unreachable, on top of an in-process mock.

The clock is simulated: pauses of the run and requests advance it. Nothing sleeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

import httpx

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.gate.verdict import GatePolicy, GateResult
from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import build_response, respond_if
from conformance.results import FailOn
from conformance.runner.runner import RunResult, run
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.retry import Retrier
from tests.conformance.support.asgi_session import HOST, TOKENS, AsgiTransport
from tests.conformance.support.check_runner import demo_mock, inject_fault
from tests.mock_server.athena import EPOCH, Api

SECONDS_PER_REQUEST = 0.05


@dataclass(slots=True)
class SimulatedTarget(httpx.BaseTransport):
    """Transport to the Athena mock with a simulated clock, which each request advances."""

    transport: AsgiTransport
    api: Api
    seconds_per_request: float = SECONDS_PER_REQUEST

    @classmethod
    def create(cls, fault: Fault | None = None, seconds_per_request: float = SECONDS_PER_REQUEST) -> "SimulatedTarget":
        """Reset the mock and inject a fault."""
        app = inject_fault(lambda: fault) if fault is not None else inject_fault(None)
        return cls(AsgiTransport(app), demo_mock(), seconds_per_request)

    @property
    def moment(self) -> float:
        """Seconds since the epoch of the mock."""
        return (self.api.clock.now - EPOCH).total_seconds()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Advance the clock and return the response."""
        self.wait(self.seconds_per_request)
        return self.transport.handle_request(request)

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.api.clock.advance(seconds=seconds)


def fail_randomly(chance: Random, share: float = 0.05) -> Fault:
    """Return 500 for random requests. `share`: their share of all requests."""
    return respond_if(lambda _: chance.random() < share, build_response(500, {"message": "Server Error"}))()


def lose_connections(is_lost: Callable[[int], bool], error: httpx.TransportError) -> Fault:
    """Raise an error for some requests, by their number from 1."""
    numbers = count(1)

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if is_lost(next(numbers)):
            raise error
        return await call_next(request)

    return fault


def vanish(max_requests: int) -> Fault:
    """Be unreachable after some requests."""
    return lose_connections(lambda number: number > max_requests, httpx.ConnectError("[Errno 111] Connection refused"))


@dataclass(slots=True)
class BusyClient:
    """Another client of the tenant that creates, updates or deletes a prompt before each request."""

    chance: Random
    keys: list[str] = field(default_factory=list)
    write_count: int = 0

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Write as the other client, then call the application."""
        self.write_count += 1
        names = ("createPrompt", "updatePrompt", "deletePrompt") if len(self.keys) > 1 else ("createPrompt",)
        name = self.chance.choice(names)
        key = () if name == "createPrompt" else (self.chance.choice(self.keys),)
        write = request.follow_up(demo_mock().contract.operations[name], *key).with_token(TOKENS["self"])
        body = {"name": f"other client {self.write_count}", "content": "other client"}
        response = await call_next(write if name == "deletePrompt" else write.with_json(body))
        assert response.is_success, response.body
        if name == "createPrompt":
            self.keys.append(response.json["data"]["uuid"])
        elif name == "deletePrompt":
            self.keys.remove(*key)
        return await call_next(request)


def create_session(target: SimulatedTarget, seed: int = 1, *, read_only: bool = False) -> Session:
    """Create a session whose pauses advance the clock of the target."""
    contract, base = target.api.contract, HOST + target.api.contract.base_path
    budget = Budget(None, None, lambda: target.moment)
    client = HttpTarget(base, TOKENS, budget, transport=target, sleep=target.wait)
    payloads = PayloadFactory(contract, f"run{seed}", Random(seed))
    return Session.create(
        contract,
        target.api.schemas,
        client,
        WriteLog("test"),
        payloads,
        RunOptions(read_only=read_only, consistency_timeout=5.0),
        sleep=target.wait,
        retrier=Retrier(target.wait),
    )


def run_and_evaluate(target: SimulatedTarget, checks: Sequence[Check] = CHECKS) -> tuple[RunResult, GateResult]:
    """Run checks on the operations for prompts and evaluate the gate."""
    session = create_session(target)
    scope = [o for o in session.contract.operations.values() if o.tag == "Prompt"]
    result = run(session, checks, scope, lambda result: None)
    policy = GatePolicy(fail_on=FailOn.INFERRED)
    return result, GateResult(result, session.contract, scope, session.responses.call_counts, policy)
