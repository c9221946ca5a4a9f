"""The ratchet: failures of recorded requirements block, and recorded requirements that did not run are reported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.errors import SkipCategory, UsageError
from conformance.gate.history import History
from conformance.gate.ratchet import Ratchet, ratchet_key
from conformance.gate.verdict import ExitCode, GatePolicy, GateResult
from conformance.results import CheckResult, Requirement, Status
from conformance.runner.runner import RunResult
from tests.mock_server.athena import athena_contract

OPERATION = "listPrompts"


def result(
    name: str,
    status: Status,
    *,
    check: str = "check",
    message: str = "got 1",
    keyword: str = "",
    category: SkipCategory = SkipCategory.TARGET,
) -> CheckResult:
    """A result of an inferred requirement, which is not blocking."""
    requirement = Requirement(check, OPERATION, "It holds.", f"#/{name}", "inferred", False, "", keyword)
    return CheckResult(requirement, status, message, skip_category=category)


def evaluate_results(
    ratchet: Ratchet, *results: CheckResult, read_only: bool = False, operation: str = OPERATION
) -> GateResult:
    """The gate result of a run with these results."""
    contract = athena_contract()
    policy = GatePolicy(ratchet=ratchet, read_only=read_only)
    return GateResult(
        RunResult(list(results)), contract, [contract.operations[operation]], {(operation, 200): 1}, policy
    )


def build_ratchet(*results: CheckResult) -> Ratchet:
    """The ratchet after these results."""
    return Ratchet().with_results(results, athena_contract().operations)


PASSED, FAILED, SKIPPED = Status.PASSED, Status.FAILED, Status.SKIPPED


def test_failure_of_a_recorded_requirement_blocks_and_others_of_its_provenance_do_not() -> None:
    ratchet = build_ratchet(result("a", PASSED))
    gate_result = evaluate_results(ratchet, result("a", FAILED), result("b", FAILED))
    assert gate_result.exit_code is ExitCode.FAILED
    assert [o.requirement.pointer for o in gate_result.blocking] == ["#/a"]
    assert [o.requirement.pointer for o in gate_result.gaps] == ["#/b"]


def test_failure_inside_a_recorded_location_blocks() -> None:
    ratchet = build_ratchet(result("parent", PASSED))
    assert evaluate_results(ratchet, result("parent/child", FAILED, keyword="type")).exit_code is ExitCode.FAILED


def test_failure_elsewhere_is_a_gap_if_the_recorded_requirement_passes() -> None:
    ratchet = build_ratchet(result("a", PASSED))
    assert evaluate_results(ratchet, result("a", PASSED), result("b", FAILED)).exit_code is ExitCode.PASSED


def test_recorded_requirement_that_did_not_run_is_reported_and_counted() -> None:
    gate_result = evaluate_results(build_ratchet(result("a", PASSED), result("b", PASSED)), result("a", PASSED))
    assert (gate_result.exit_code, gate_result.blocking_total) == (ExitCode.INCOMPLETE, 1)
    assert any(warning.startswith("passed in an earlier run (--ratchet), skipped") for warning in gate_result.warnings)
    assert "1 x passed in an earlier run, skipped in this run" in gate_result.reasons[0]


def test_requirement_excluded_by_the_options_is_not_counted() -> None:
    ratchet = build_ratchet(result("a", PASSED), result("b", PASSED, check="other"))
    assert evaluate_results(ratchet, result("a", PASSED), read_only=True).exit_code is ExitCode.PASSED
    skipped = result(
        "b", SKIPPED, check="other", message="the run is read-only", category=SkipCategory.DISABLED_BY_OPTION
    )
    assert evaluate_results(ratchet, result("a", PASSED), skipped).blocking_total == 0


def test_requirement_of_an_unselected_operation_is_not_counted() -> None:
    passed = result("x", PASSED)
    assert evaluate_results(build_ratchet(result("a", PASSED)), passed, operation="listMessages").blocking_total == 0


def test_file_is_sorted_and_read_back_unchanged(tmp_path: Path) -> None:
    ratchet = build_ratchet(*(result(name, PASSED, keyword="type") for name in "cab"))
    ratchet.save(tmp_path / "r.yaml")
    assert Ratchet.load(tmp_path / "r.yaml") == ratchet
    assert yaml.safe_load((tmp_path / "r.yaml").read_text()) == {
        "version": 1,
        "passed": {OPERATION: {"check": ["#/a:type", "#/b:type", "#/c:type"]}},
    }


def test_update_preserves_entries_and_drops_unknown_operations() -> None:
    unknown = ("noSuchOperation", "check", "#/a")
    ratchet = Ratchet(frozenset({unknown, ratchet_key(result("a", PASSED).requirement)}))
    updated = ratchet.with_results([result("b", PASSED)], athena_contract().operations)
    assert updated == build_ratchet(result("a", PASSED), result("b", PASSED))


@pytest.mark.parametrize(
    ("status", "transient_failures", "code", "is_written"),
    [(PASSED, 0, ExitCode.PASSED, True), (FAILED, 0, ExitCode.FAILED, False), (PASSED, 1, ExitCode.FLAKY, False)],
)
def test_only_a_passed_run_is_recorded(
    tmp_path: Path, status: Status, transient_failures: int, code: ExitCode, is_written: bool
) -> None:
    history = History(ratchet_output=tmp_path / "r.yaml")
    before = evaluate_results(build_ratchet(result("b", PASSED)), result("a", PASSED), result("b", status))
    run_result = replace(before.run_result, transient_failures=transient_failures)
    after = history.update(replace(before, run_result=run_result))
    assert after.exit_code is code
    assert (tmp_path / "r.yaml").exists() is is_written
    assert any("not updated" in warning for warning in after.warnings) is not is_written


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"version": 1, "passed": []}, "passed: invalid list (expected a mapping of names)"),
        ({"version": 1, "passed": {"a": ["b"]}}, "passed.a: invalid list"),
        ({"version": 1, "passed": {"a": {"b": "c"}}}, "passed.a.b: invalid value (expected locations)"),
        ({"version": "1", "passed": {}}, "invalid version '1' (expected 1)"),
        ({"passed": {}}, "missing key version"),
    ],
)
def test_invalid_file_is_rejected(tmp_path: Path, document: Any, message: str) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError, match="--ratchet: ") as caught:
        Ratchet.load(tmp_path / "r.yaml")
    assert message in str(caught.value)
