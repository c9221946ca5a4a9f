"""Targets that are hard to judge: what is flaky, late, disturbed or gone is never called broken."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import httpx
import pytest

from conformance.checks import CHECKS
from conformance.gate.verdict import ExitCode
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.runner import RunResult, run
from conformance.schemathesis_engine import Depth
from conformance.session.session import Session
from tests.conformance.recorded import source
from tests.conformance.unsteady import Busy, Dying, Late, Mock, Stumbling, judged, sent, session_on
from tests.mock_server.athena import Api, athena_contract, athena_schemas

pytestmark = pytest.mark.slow  # each case is a run of its own, over a served mock or the engine's cases

PROMPT = ("/prompts", {"name": "", "content": "theirs"})


@pytest.fixture(scope="module")
def built() -> list[Api]:
    """Two mocks, built once."""
    return [Api.of(athena_contract(), athena_schemas(), "demo") for _ in range(2)]


@pytest.fixture
def apis(built: list[Api]) -> list[Api]:
    """Two mocks as their dataset has them."""
    for api in built:
        api.begin_anew()
    return built


def told(found: RunResult) -> list[str]:
    """What is called broken."""
    return [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]


SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 9))]


@pytest.mark.parametrize("seed", SEEDS)
def test_five_per_cent_of_500_are_unstable_and_nothing_is_broken(apis: list[Api], seed: int) -> None:
    found, judgement = judged(Stumbling(apis[0], chance=Random(seed)), "Prompt")
    assert told(found) == []
    assert judgement.exit_code is ExitCode.FLAKY
    assert "--flaky-limit 0.5" in judgement.reasons[0]
    flaky = {o.requirement.check for o in judgement.flaky}
    assert "no-server-error" in flaky
    assert {o.failure_kind for o in judgement.flaky} == {FailureKind.FLAKY}


def test_one_second_an_answer_is_no_fault(apis: list[Api]) -> None:
    found, judgement = judged(Mock(apis[0], per_request=1.0), "Prompt")
    assert told(found) == []
    assert judgement.exit_code is ExitCode.PASSED


def test_writes_that_are_seen_two_seconds_late_are_no_fault_and_told(apis: list[Api]) -> None:
    found, judgement = judged(Late(apis[0], replica=apis[1]), "Prompt")
    assert told(found) == []
    assert judgement.exit_code is ExitCode.PASSED, judgement.reasons
    assert 2 <= found.observed_delay <= 5
    assert any("(--consistency-timeout)" in remark for remark in judgement.warnings)


def test_writes_that_are_seen_thirty_seconds_late_are_broken(apis: list[Api]) -> None:
    _, judgement = judged(Late(apis[0], replica=apis[1], late=30.0), "Prompt")
    assert judgement.exit_code is ExitCode.FAILED
    assert "create-is-stored" in {o.requirement.check for o in judgement.blocking}


@pytest.mark.parametrize("seed", SEEDS)
def test_somebody_else_who_writes_twenty_times_a_second_breaks_nothing(apis: list[Api], seed: int) -> None:
    found, judgement = judged(Busy(apis[0], paths=[PROMPT], chance=Random(seed)), "Prompt")
    assert told(found) == []
    assert judgement.exit_code is not ExitCode.FAILED
    assert judgement.exit_code is not ExitCode.FLAKY, judgement.reasons


def test_a_target_that_is_lost_in_mid_run_breaks_nothing_and_keeps_what_was_judged(apis: list[Api]) -> None:
    found, judgement = judged(Dying(apis[0], left=120), "Prompt")
    assert judgement.exit_code is ExitCode.TARGET_UNREACHABLE
    assert told(found) == []
    assert judgement.passed > 0
    assert any("not reached" in o.message for o in found.with_status(Status.SKIPPED))


@dataclass(slots=True)
class DyingAndWrong(Dying):
    """Its lists lose their last row, so that it is judged again when it dies."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the mock answers, a row short."""
        answered = Dying.answer(self, request)
        if request.method == "GET" and request.url.path.endswith("/prompts") and answered.status_code == 200:
            page = answered.json()
            answered = httpx.Response(200, json={**page, "data": page["data"][:-1]})
        return answered


@pytest.mark.parametrize("left", [40, 109, 201, 316])
def test_a_target_that_is_lost_while_something_is_judged_again_is_lost(apis: list[Api], left: int) -> None:
    found, judgement = judged(DyingAndWrong(apis[0], left=left), "Prompt")
    assert judgement.exit_code is ExitCode.TARGET_UNREACHABLE
    assert found.target_unreachable
    assert "did not answer" in judgement.reasons[0]


def test_an_engine_that_fails_by_itself_ends_the_run_with_what_the_laws_judged(apis: list[Api]) -> None:
    def failing(session: Session) -> Iterator[tuple[CheckResult, tuple[int, int]]]:
        raise ZeroDivisionError("in the engine")
        yield

    session = session_on(Mock(apis[0]))
    scope = [o for o in session.contract.operations.values() if o.id == "listPrompts"]
    found = run(session, CHECKS, scope, lambda outcome: None, sources=[failing])
    assert list(found.with_status(Status.PASSED))
    assert (
        found.abort_reason
        == "what judges beside the laws failed, a fault of the suite: ZeroDivisionError('in the engine')"
    )


@dataclass(slots=True)
class Silent(Mock):
    """Hangs up twice in a row, now and then: a request, and its repetition."""

    number: int = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the mock answers, or nothing."""
        self.number += 1
        if self.number % 40 in (20, 21):
            raise httpx.ReadError("connection reset by peer")
        return sent(self.api, request, self.moment)


def test_the_engine_goes_on_where_a_request_is_not_answered(apis: list[Api]) -> None:
    session = session_on(Silent(apis[0]))
    scope = [o for o in session.contract.operations.values() if o.id in ("listPrompts", "createPrompt")]
    found = run(session, [], scope, lambda outcome: None, sources=[source(scope, 1, Depth(("examples", "coverage")))])
    assert not found.abort_reason
    assert told(found) == []
    assert len(session.retrier.unanswered) > 3
    assert len(list(found.with_status(Status.PASSED))) > 10
