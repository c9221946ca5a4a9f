"""Unstable targets: flaky, delayed, busy or unreachable targets cause no failed checks."""

from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import pytest

from conformance.checks.registry import CHECKS
from conformance.gate.verdict import ExitCode
from conformance.mutation.conforming_variants.timing import DelayedWrites
from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.faults import change_json, compose
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.runner import RunResult, run
from conformance.schemathesis_engine import Depth
from conformance.session.session import Session
from tests.conformance.support.check_runner import demo_mock
from tests.conformance.support.recorded import source
from tests.conformance.support.unstable_targets import (
    BusyClient,
    SimulatedTarget,
    create_session,
    fail_randomly,
    lose_connections,
    run_and_evaluate,
    vanish,
)

pytestmark = pytest.mark.slow  # complete runs against an in-process mock


def failures(result: RunResult) -> list[str]:
    """Return the fingerprint and message of each failed check."""
    return [f"{r.requirement.fingerprint}: {r.message}" for r in result.with_status(Status.FAILED)]


SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 9))]


@pytest.mark.parametrize("seed", SEEDS)
def test_five_percent_500_is_flaky_without_failures(seed: int) -> None:
    result, gate = run_and_evaluate(SimulatedTarget.create(fail_randomly(Random(seed))))
    assert failures(result) == []
    assert gate.exit_code is ExitCode.FLAKY
    assert "--flaky-limit 0.5" in gate.reasons[0]
    flaky = {o.requirement.check for o in gate.flaky}
    assert "no-server-error" in flaky
    assert {o.failure_kind for o in gate.flaky} == {FailureKind.FLAKY}


def test_schema_violation_of_one_response_fails() -> None:
    """The violation of a value that only earlier requests produce, as a timestamp of a record that was used."""
    changed: list[str] = []

    def change_once(request: InterceptedRequest, body: Any) -> Any:
        is_list = isinstance(body, dict) and "meta" in body and body.get("data")
        if changed or not is_list:
            return body
        changed.append(request.path)
        return {**body, "data": [{**row, "last_used_at": "2024-01-15 10:30:00"} for row in body["data"]]}

    result, gate = run_and_evaluate(SimulatedTarget.create(change_json(change_once)()))
    (failure,) = result.with_status(Status.FAILED)
    assert (failure.requirement.check, failure.failure_kind) == ("response-matches-schema", FailureKind.STATE_DEPENDENT)
    assert gate.exit_code is ExitCode.FAILED


def test_slow_target_passes() -> None:
    result, gate = run_and_evaluate(SimulatedTarget.create(seconds_per_request=1.0))
    assert failures(result) == []
    assert gate.exit_code is ExitCode.PASSED


def create_delayed_target(seconds: float) -> SimulatedTarget:
    """Create a target that shows each write some seconds after its response."""
    return SimulatedTarget.create(DelayedWrites(demo_mock().contract, demo_mock().clock, seconds))


def test_two_seconds_replication_delay_passes_with_warning() -> None:
    result, gate = run_and_evaluate(create_delayed_target(2.0))
    assert failures(result) == []
    assert gate.exit_code is ExitCode.PASSED, gate.reasons
    assert 2 <= result.observed_delay <= 5
    assert any("(--consistency-timeout)" in warning for warning in gate.warnings)


def test_thirty_seconds_replication_delay_fails() -> None:
    checks = [check for check in CHECKS if check.id == "model-create"]
    _, gate = run_and_evaluate(create_delayed_target(30.0), checks)
    assert gate.exit_code is ExitCode.FAILED
    assert "model-create" in {o.requirement.check for o in gate.blocking}


@pytest.mark.parametrize("seed", SEEDS)
def test_busy_target_causes_no_failures(seed: int) -> None:
    result, gate = run_and_evaluate(SimulatedTarget.create(BusyClient(Random(seed))))
    assert failures(result) == []
    assert gate.exit_code is not ExitCode.FAILED
    assert gate.exit_code is not ExitCode.FLAKY, gate.reasons


def test_lost_target_causes_no_failures_and_keeps_results() -> None:
    result, gate = run_and_evaluate(SimulatedTarget.create(vanish(120)))
    assert gate.exit_code is ExitCode.TARGET_UNREACHABLE
    assert failures(result) == []
    assert gate.passed
    assert any("not reached" in o.message for o in result.with_status(Status.SKIPPED))


@pytest.mark.parametrize("max_requests", [40, 109, 201, 316])
def test_target_lost_during_rerun_is_unreachable(max_requests: int) -> None:
    drop_last_row = change_json(lambda _, body: {**body, "data": body["data"][:-1]} if "meta" in body else body)
    result, gate = run_and_evaluate(SimulatedTarget.create(compose(drop_last_row(), vanish(max_requests))))
    assert gate.exit_code is ExitCode.TARGET_UNREACHABLE
    assert result.target_unreachable
    assert "no response to" in gate.reasons[0]


def test_internal_error_of_engine_aborts_run_and_keeps_results() -> None:
    def fail(session: Session) -> Iterator[tuple[CheckResult, tuple[int, int]]]:
        raise ZeroDivisionError("in the engine")
        yield

    session = create_session(SimulatedTarget.create())
    scope = [o for o in session.contract.operations.values() if o.id == "listPrompts"]
    result = run(session, CHECKS, scope, lambda result: None, sources=[fail])
    assert list(result.with_status(Status.PASSED))
    assert result.abort_reason == "internal error in a result source: ZeroDivisionError('in the engine')"


def test_engine_continues_after_missing_response() -> None:
    # a request and its retry, at regular intervals
    close_connections = lose_connections(
        lambda number: number % 40 in (20, 21), httpx.ReadError("connection reset by peer")
    )
    session = create_session(SimulatedTarget.create(close_connections))
    scope = [o for o in session.contract.operations.values() if o.id in ("listPrompts", "createPrompt")]
    result = run(session, [], scope, lambda result: None, sources=[source(scope, 1, Depth(("examples", "coverage")))])
    assert not result.abort_reason
    assert failures(result) == []
    assert len(session.client.retrier.unanswered) > 3
    assert len(list(result.with_status(Status.PASSED))) > 10
