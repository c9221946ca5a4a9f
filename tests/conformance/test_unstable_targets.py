"""Unstable targets: flaky, delayed, busy or unreachable targets cause no failed checks."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import httpx
import pytest

from conformance.checks.registry import CHECKS
from conformance.gate.verdict import ExitCode
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.runner import RunResult, run
from conformance.schemathesis_engine import Depth
from conformance.session.session import Session
from tests.conformance.recorded import source
from tests.conformance.unstable_targets import (
    Busy,
    Delayed,
    Flaky,
    Mock,
    Vanishing,
    create_session,
    run_and_evaluate,
    send_to_mock,
)
from tests.mock_server.athena import Api, athena_contract, athena_schemas

pytestmark = pytest.mark.slow  # complete runs against an in-process mock

PROMPT = ("/prompts", {"name": "", "content": "other client"})


@pytest.fixture(scope="module")
def module_apis() -> list[Api]:
    """Two mocks of the module."""
    return [Api.create(athena_contract(), athena_schemas(), "demo") for _ in range(2)]


@pytest.fixture
def apis(module_apis: list[Api]) -> list[Api]:
    """Two mocks with their initial dataset."""
    for api in module_apis:
        api.reset()
    return module_apis


def failures(result: RunResult) -> list[str]:
    """Return the fingerprint and message of each failed check."""
    return [f"{r.requirement.fingerprint}: {r.message}" for r in result.with_status(Status.FAILED)]


SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 9))]


@pytest.mark.parametrize("seed", SEEDS)
def test_five_percent_500_is_flaky_without_failures(apis: list[Api], seed: int) -> None:
    result, gate = run_and_evaluate(Flaky(apis[0], chance=Random(seed)), "Prompt")
    assert failures(result) == []
    assert gate.exit_code is ExitCode.FLAKY
    assert "--flaky-limit 0.5" in gate.reasons[0]
    flaky = {o.requirement.check for o in gate.flaky}
    assert "no-server-error" in flaky
    assert {o.failure_kind for o in gate.flaky} == {FailureKind.FLAKY}


def test_slow_target_passes(apis: list[Api]) -> None:
    result, gate = run_and_evaluate(Mock(apis[0], seconds_per_request=1.0), "Prompt")
    assert failures(result) == []
    assert gate.exit_code is ExitCode.PASSED


def test_two_seconds_replication_delay_passes_with_warning(apis: list[Api]) -> None:
    result, gate = run_and_evaluate(Delayed(apis[0], replica=apis[1]), "Prompt")
    assert failures(result) == []
    assert gate.exit_code is ExitCode.PASSED, gate.reasons
    assert 2 <= result.observed_delay <= 5
    assert any("(--consistency-timeout)" in warning for warning in gate.warnings)


def test_thirty_seconds_replication_delay_fails(apis: list[Api]) -> None:
    _, gate = run_and_evaluate(Delayed(apis[0], replica=apis[1], delay=30.0), "Prompt")
    assert gate.exit_code is ExitCode.FAILED
    assert "model-create" in {o.requirement.check for o in gate.blocking}


@pytest.mark.parametrize("seed", SEEDS)
def test_busy_target_causes_no_failures(apis: list[Api], seed: int) -> None:
    result, gate = run_and_evaluate(Busy(apis[0], paths=[PROMPT], chance=Random(seed)), "Prompt")
    assert failures(result) == []
    assert gate.exit_code is not ExitCode.FAILED
    assert gate.exit_code is not ExitCode.FLAKY, gate.reasons


def test_lost_target_causes_no_failures_and_keeps_results(apis: list[Api]) -> None:
    result, gate = run_and_evaluate(Vanishing(apis[0], left=120), "Prompt")
    assert gate.exit_code is ExitCode.TARGET_UNREACHABLE
    assert failures(result) == []
    assert gate.passed > 0
    assert any("not reached" in o.message for o in result.with_status(Status.SKIPPED))


@dataclass(slots=True)
class VanishingAndIncomplete(Vanishing):
    """Lists lack their last row, so that the target disappears during a rerun."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the mock without the last row of a list."""
        response = Vanishing.answer(self, request)
        if request.method == "GET" and request.url.path.endswith("/prompts") and response.status_code == 200:
            page = response.json()
            response = httpx.Response(200, json={**page, "data": page["data"][:-1]})
        return response


@pytest.mark.parametrize("left", [40, 109, 201, 316])
def test_target_lost_during_rerun_is_unreachable(apis: list[Api], left: int) -> None:
    result, gate = run_and_evaluate(VanishingAndIncomplete(apis[0], left=left), "Prompt")
    assert gate.exit_code is ExitCode.TARGET_UNREACHABLE
    assert result.target_unreachable
    assert "no response to" in gate.reasons[0]


def test_internal_error_of_engine_aborts_run_and_keeps_results(apis: list[Api]) -> None:
    def fail(session: Session) -> Iterator[tuple[CheckResult, tuple[int, int]]]:
        raise ZeroDivisionError("in the engine")
        yield

    session = create_session(Mock(apis[0]))
    scope = [o for o in session.contract.operations.values() if o.id == "listPrompts"]
    result = run(session, CHECKS, scope, lambda result: None, sources=[fail])
    assert list(result.with_status(Status.PASSED))
    assert result.abort_reason == "internal error in a result source: ZeroDivisionError('in the engine')"


@dataclass(slots=True)
class Silent(Mock):
    """Closes the connection for a request and its retry, at regular intervals."""

    number: int = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the response of the mock or close the connection."""
        self.number += 1
        if self.number % 40 in (20, 21):
            raise httpx.ReadError("connection reset by peer")
        return send_to_mock(self.api, request, self.moment)


def test_engine_continues_after_missing_response(apis: list[Api]) -> None:
    session = create_session(Silent(apis[0]))
    scope = [o for o in session.contract.operations.values() if o.id in ("listPrompts", "createPrompt")]
    result = run(session, [], scope, lambda result: None, sources=[source(scope, 1, Depth(("examples", "coverage")))])
    assert not result.abort_reason
    assert failures(result) == []
    assert len(session.client.retrier.unanswered) > 3
    assert len(list(result.with_status(Status.PASSED))) > 10
