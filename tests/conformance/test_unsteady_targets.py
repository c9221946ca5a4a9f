"""Targets that are hard to judge: what is flaky, late, disturbed or gone is never called broken."""

from random import Random

import pytest

from conformance.outcome import Kind, Verdict
from conformance.run import Run
from conformance.verdict import Code
from tests.conformance.unsteady import Busy, Dying, Late, Mock, Stumbling, judged
from tests.mock_server.athena import Api, athena_contract, athena_schemas

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


def told(found: Run) -> list[str]:
    """What is called broken."""
    return [f"{o.promise.fingerprint}: {o.said}" for o in found.of(Verdict.BROKEN)]


SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 9))]


@pytest.mark.parametrize("seed", SEEDS)
def test_five_per_cent_of_500_are_unstable_and_nothing_is_broken(apis: list[Api], seed: int) -> None:
    found, judgement = judged(Stumbling(apis[0], chance=Random(seed)), "Prompt")
    assert told(found) == []
    assert judgement.code is Code.UNSTABLE
    assert "--flaky-limit 0.5" in judgement.reasons[0]
    flaky = {o.promise.law for o in judgement.flaky}
    assert "no-server-error" in flaky
    assert {o.kind for o in judgement.flaky} == {Kind.FLAKY}


def test_one_second_an_answer_is_no_fault(apis: list[Api]) -> None:
    found, judgement = judged(Mock(apis[0], per_request=1.0), "Prompt")
    assert told(found) == []
    assert judgement.code is Code.KEPT


def test_writes_that_are_seen_two_seconds_late_are_no_fault_and_told(apis: list[Api]) -> None:
    found, judgement = judged(Late(apis[0], replica=apis[1]), "Prompt")
    assert told(found) == []
    assert judgement.code is Code.KEPT, judgement.reasons
    assert 2 <= found.lag <= 5
    assert any("late (--settle)" in remark for remark in judgement.remarks)


def test_writes_that_are_seen_thirty_seconds_late_are_broken(apis: list[Api]) -> None:
    _, judgement = judged(Late(apis[0], replica=apis[1], late=30.0), "Prompt")
    assert judgement.code is Code.BROKEN
    assert "create-is-stored" in {o.promise.law for o in judgement.blocking}


@pytest.mark.parametrize("seed", SEEDS)
def test_somebody_else_who_writes_twenty_times_a_second_breaks_nothing(apis: list[Api], seed: int) -> None:
    found, judgement = judged(Busy(apis[0], paths=[PROMPT], chance=Random(seed)), "Prompt")
    assert told(found) == []
    assert judgement.code is not Code.BROKEN
    assert judgement.code is not Code.UNSTABLE, judgement.reasons


def test_a_target_that_is_lost_in_mid_run_breaks_nothing_and_keeps_what_was_judged(apis: list[Api]) -> None:
    found, judgement = judged(Dying(apis[0], left=120), "Prompt")
    assert judgement.code is Code.LOST
    assert told(found) == []
    assert judgement.kept > 0
    assert any("not reached" in o.said for o in found.of(Verdict.NOT_JUDGED))
