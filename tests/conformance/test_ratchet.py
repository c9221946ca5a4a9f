"""What an accepted run kept: to break it blocks, whatever its grade, and not to judge it is said and counted."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.errors import UsageError
from conformance.gate.history import History
from conformance.gate.ratchet import Ratchet, ratchet_key
from conformance.gate.verdict import ExitCode, GatePolicy, GateResult, evaluate
from conformance.results import CheckResult, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.skip_reasons import SkipCategory
from tests.mock_server.athena import athena_contract

OPERATION = "listPrompts"


def outcome(
    name: str,
    verdict: Status,
    *,
    law: str = "law",
    said: str = "found 1",
    keyword: str = "",
    cause: SkipCategory = SkipCategory.TARGET,
) -> CheckResult:
    """An outcome of an inferred promise, which does not block by itself."""
    promise = Requirement(law, OPERATION, "It holds.", f"#/{name}", "inferred", False, "", keyword)
    return CheckResult(promise, verdict, said, skip_category=cause)


def verdict(
    ratchet: Ratchet, *outcomes: CheckResult, read_only: bool = False, operation: str = OPERATION
) -> GateResult:
    """What a run with these outcomes comes to."""
    contract = athena_contract()
    demands = GatePolicy(ratchet=ratchet, read_only=read_only)
    return evaluate(
        RunResult(list(outcomes)), contract, [contract.operations[operation]], {(operation, 200): 1}, demands
    )


def recorded(*outcomes: CheckResult) -> Ratchet:
    """What these outcomes leave behind."""
    return Ratchet().with_results(outcomes, athena_contract().operations)


KEPT, BROKEN, MISSED = Status.PASSED, Status.FAILED, Status.SKIPPED


def test_a_recorded_promise_blocks_when_it_breaks_and_others_of_its_grade_do_not() -> None:
    ratchet = recorded(outcome("a", KEPT))
    judgement = verdict(ratchet, outcome("a", BROKEN), outcome("b", BROKEN))
    assert judgement.exit_code is ExitCode.FAILED
    assert [o.requirement.pointer for o in judgement.blocking] == ["#/a"]
    assert [o.requirement.pointer for o in judgement.gaps] == ["#/b"]


def test_a_breach_inside_of_what_was_recorded_blocks() -> None:
    ratchet = recorded(outcome("whole", KEPT))
    assert verdict(ratchet, outcome("whole/part", BROKEN, keyword="type")).exit_code is ExitCode.FAILED


def test_a_law_that_still_keeps_what_was_recorded_has_gaps_elsewhere() -> None:
    ratchet = recorded(outcome("a", KEPT))
    assert verdict(ratchet, outcome("a", KEPT), outcome("b", BROKEN)).exit_code is ExitCode.PASSED


def test_a_recorded_promise_that_is_not_judged_is_said_and_counts_as_missed() -> None:
    judgement = verdict(recorded(outcome("a", KEPT), outcome("b", KEPT)), outcome("a", KEPT))
    assert (judgement.exit_code, judgement.blocking_total) == (ExitCode.INCOMPLETE, 1)
    assert any(remark.startswith("kept by an earlier run (--ratchet), not judged") for remark in judgement.warnings)
    assert "1 x kept by an earlier run, not judged now" in judgement.reasons[0]


def test_what_the_runs_mode_cannot_judge_is_not_missed() -> None:
    ratchet = recorded(outcome("a", KEPT), outcome("b", KEPT, law="other"))
    assert verdict(ratchet, outcome("a", KEPT), read_only=True).exit_code is ExitCode.PASSED
    missed = outcome("b", MISSED, law="other", said="the run is read-only", cause=SkipCategory.DISABLED_BY_OPTION)
    assert verdict(ratchet, outcome("a", KEPT), missed).blocking_total == 0


def test_what_is_out_of_scope_is_not_missed() -> None:
    kept = outcome("x", KEPT)
    assert verdict(recorded(outcome("a", KEPT)), kept, operation="listMessages").blocking_total == 0


def test_the_file_is_sorted_and_read_as_it_was_written(tmp_path: Path) -> None:
    ratchet = recorded(*(outcome(name, KEPT, keyword="type") for name in "cab"))
    ratchet.save(tmp_path / "r.yaml")
    assert Ratchet.load(tmp_path / "r.yaml") == ratchet
    assert yaml.safe_load((tmp_path / "r.yaml").read_text()) == {
        "version": 1,
        "kept": {OPERATION: {"law": ["#/a:type", "#/b:type", "#/c:type"]}},
    }


def test_to_update_keeps_what_is_there_and_drops_operations_that_are_gone() -> None:
    gone = ("noSuchOperation", "law", "#/a")
    ratchet = Ratchet(frozenset({gone, ratchet_key(outcome("a", KEPT).requirement)}))
    updated = ratchet.with_results([outcome("b", KEPT)], athena_contract().operations)
    assert updated == recorded(outcome("a", KEPT), outcome("b", KEPT))


@pytest.mark.parametrize(
    ("code", "is_written"), [(ExitCode.PASSED, True), (ExitCode.FAILED, False), (ExitCode.FLAKY, False)]
)
def test_only_an_accepted_run_is_recorded(tmp_path: Path, code: ExitCode, is_written: bool) -> None:
    history = History(ratchet_path=tmp_path / "r.yaml", update_ratchet=True)
    said = GateResult(code, (), 1, (), (), (), {}, 1, 1, {}, ())
    after = history.evaluate(RunResult([outcome("a", KEPT)]), athena_contract(), lambda known: said)
    assert (tmp_path / "r.yaml").exists() is is_written
    assert any("left as it is" in remark for remark in after.warnings) is not is_written


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"version": 1, "kept": []}, "kept: found list; allowed: a mapping of names"),
        ({"version": 1, "kept": {"a": ["b"]}}, "kept.a: found list"),
        ({"version": 1, "kept": {"a": {"b": "c"}}}, "kept.a.b: found no list of texts"),
        ({"version": "1", "kept": {}}, "found version '1'; allowed: 1"),
        ({"kept": {}}, "found no version"),
    ],
)
def test_what_the_file_may_not_say_is_refused(tmp_path: Path, document: Any, said: str) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError, match="--ratchet: ") as refused:
        Ratchet.load(tmp_path / "r.yaml")
    assert said in str(refused.value)
