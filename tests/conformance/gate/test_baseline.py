"""The baseline: accepted failures do not block until they expire, and hide no other failure."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cli.main import main
from conformance.errors import UsageError
from conformance.gate import yaml_files
from conformance.gate.baseline import AcceptedFailure, Baseline
from conformance.gate.history import History
from conformance.gate.verdict import ExitCode, GatePolicy, GateResult
from conformance.mutation.fault_injection import InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import ExchangeChange, change_response
from conformance.results import CheckResult, FailOn, Requirement, Status
from conformance.runner.runner import RunResult
from tests.conformance.support.check_runner import CHECKS_BY_ID, demo_mock, run_checks

TODAY = date(2026, 3, 1)
OPERATION = "retrievePrompt"
CHECK_IDS = (
    "no-server-error",
    "no-traceback",
    "status-is-documented",
    "content-type-is-json",
    "response-matches-schema",
)
REQUESTING = ("unknown-record-is-404", "unauthenticated-access-denied")  # send the requests that the others check


def change_data(**changes: Any) -> ExchangeChange:
    """Change values of a successful response; None removes the key."""

    def change(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        if response.status != 200:
            return response
        data = {**response.json["data"], **changes}
        return response.with_json({"data": {name: value for name, value in data.items() if value is not None}})

    return change


def change_if(
    condition: Callable[[InterceptedRequest, InterceptedResponse], bool], status: int, **body: str
) -> ExchangeChange:
    """Another response to the requests that match."""
    return lambda q, r: replace(r, status=status).with_json({"message": "no", **body}) if condition(q, r) else r


def is_anonymous(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return "authorization" not in request.headers


def is_unknown(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 404


def is_basic(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return request.headers.get("authorization", "").startswith("Basic")


# Faults of one operation that can be combined.
FAULTS: dict[str, ExchangeChange] = {
    "missing key": change_data(name=None),
    "other missing key": change_data(content=None),
    "additional key": change_data(planted_one=1),
    "other additional key": change_data(planted_two=2),
    "wrong type": change_data(created_at=7),
    "wrong type of another property": change_data(updated_at=7),
    "undocumented status without a token": change_if(is_anonymous, 418),
    "server error for an unknown record": change_if(is_unknown, 500),
    "traceback for a wrong scheme": change_if(is_basic, 401, exception="Traceback"),
}


def run_with_faults(*names: str) -> RunResult:
    """Run the checks on the operation with these faults."""

    def change(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        for name in names if request.operation.id == OPERATION and request.method == "GET" else ():
            response = FAULTS[name](request, response)
        return response

    return run_checks([CHECKS_BY_ID[name] for name in (*REQUESTING, *CHECK_IDS)], OPERATION, change_response(change))


@cache
def find_fingerprints(name: str) -> frozenset[str]:
    """Fingerprints of the requirements that one fault violates."""
    return frozenset(o.requirement.fingerprint for o in run_with_faults(name).with_status(Status.FAILED))


def evaluate_gate(run_result: RunResult, accepted: Baseline) -> GateResult:
    """The gate result with --strict."""
    contract = demo_mock().contract
    policy = GatePolicy(fail_on=FailOn.INFERRED, baseline=accepted, min_coverage=0)
    return GateResult(run_result, contract, [contract.operations[OPERATION]], {(OPERATION, 200): 1000}, policy)


def create_baseline(*fingerprints: str, expires: date | None = None) -> Baseline:
    """A baseline of these fingerprints."""
    return Baseline(
        TODAY, {fingerprint: AcceptedFailure(fingerprint, TODAY, "known", expires) for fingerprint in fingerprints}
    )


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_accepted_by_its_fingerprints(name: str) -> None:
    assert find_fingerprints(name)
    others = frozenset().union(*(find_fingerprints(other) for other in FAULTS if other != name))
    assert find_fingerprints(name) - others
    gate_result = evaluate_gate(run_with_faults(name), create_baseline(*find_fingerprints(name)))
    assert (gate_result.exit_code, len(gate_result.accepted)) == (ExitCode.PASSED, len(find_fingerprints(name)))


PAIRS = list(permutations(FAULTS, 2))
QUICK = 8


@pytest.mark.parametrize(
    ("accepted", "new"), [*PAIRS[:QUICK], *(pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS[QUICK:])]
)
def test_accepted_failure_hides_no_other_failure_of_the_operation(accepted: str, new: str) -> None:
    gate_result = evaluate_gate(run_with_faults(accepted, new), create_baseline(*find_fingerprints(accepted)))
    assert gate_result.exit_code is ExitCode.FAILED
    assert find_fingerprints(new) & {o.requirement.fingerprint for o in gate_result.blocking}


def test_expired_entry_blocks_again_with_a_warning() -> None:
    run_result = run_with_faults("missing key")
    assert (
        evaluate_gate(
            run_result, create_baseline(*find_fingerprints("missing key"), expires=TODAY + timedelta(days=1))
        ).exit_code
        is ExitCode.PASSED
    )
    gate_result = evaluate_gate(run_result, create_baseline(*find_fingerprints("missing key"), expires=TODAY))
    assert gate_result.exit_code is ExitCode.FAILED
    assert any("accepted until 2026-03-01, and still failing" in warning for warning in gate_result.warnings)


def create_result(name: str, status: Status) -> CheckResult:
    """A result of a requirement."""
    requirement = Requirement("check", "operation", "It holds.", f"#/{name}", "documented")
    return CheckResult(requirement, status, "got 1" if status is Status.FAILED else "")


def test_entry_whose_requirement_passes_is_reported_as_stale() -> None:
    passed = create_result("a", Status.PASSED)
    gate_result = evaluate_gate(RunResult([passed]), create_baseline(passed.requirement.fingerprint))
    assert any(warning.startswith("accepted, but passes now") for warning in gate_result.warnings)


def test_update_adds_failures_and_removes_what_passed(tmp_path: Path) -> None:
    new, known, fixed = (
        create_result("a", Status.FAILED),
        create_result("b", Status.FAILED),
        create_result("c", Status.PASSED),
    )
    before = create_baseline(known.requirement.fingerprint, fixed.requirement.fingerprint)
    updated = before.with_results([new, known], [fixed])
    updated.save(tmp_path / "baseline.yaml")
    read = Baseline.load(tmp_path / "baseline.yaml", TODAY)
    assert read == updated
    assert set(read.entries) == {new.requirement.fingerprint, known.requirement.fingerprint}
    assert read.entries[known.requirement.fingerprint].reason == "known"
    assert read.entries[new.requirement.fingerprint].message == "got 1"


def test_entries_of_the_file_can_be_removed_one_by_one(tmp_path: Path) -> None:
    fingerprints = [create_result(name, Status.FAILED).requirement.fingerprint for name in "abc"]
    path = tmp_path / "baseline.yaml"
    create_baseline(*fingerprints).save(path)
    heading, first, *rest = path.read_text().split("- fingerprint:")
    path.write_text("- fingerprint:".join([heading, *rest]))
    assert len(Baseline.load(path, TODAY).entries) == len(fingerprints) - 1, first


def test_json_file_is_accepted(tmp_path: Path) -> None:
    entry = {"fingerprint": "a", "date": "2026-03-01", "reason": "known", "expires": "2026-04-01"}
    (tmp_path / "b.json").write_text(json.dumps({"version": 1, "accepted": [entry]}))
    assert Baseline.load(tmp_path / "b.json", TODAY).entries["a"].expires == date(2026, 4, 1)


GOOD = {"fingerprint": "a", "date": "2026-03-01", "reason": "known"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "invalid list (expected a mapping of version, accepted)"),
        ({"version": 2, "accepted": []}, "invalid version 2 (expected 1)"),
        ({"version": 1, "accepted": {}}, "accepted: invalid dict (expected a list)"),
        ({"version": 1, "accepted": [], "more": 1}, "unknown key 'more' (expected version, accepted)"),
        ({"version": 1, "accepted": [{**GOOD, "why": 1}]}, "accepted.0: unknown key 'why' (expected fingerprint, date"),
        ({"version": 1, "accepted": [{"date": "2026-03-01"}]}, "accepted.0: missing key fingerprint"),
        (
            {"version": 1, "accepted": [{**GOOD, "date": "soon"}]},
            "date: invalid value 'soon' (expected a date like 2026-03-01)",
        ),
        ({"version": 1, "accepted": [{**GOOD, "expires": 7}]}, "expires: invalid value '7' (expected a date"),
        ({"version": 1, "accepted": [{**GOOD, "reason": " "}]}, "reason: invalid value ' ' (expected text)"),
        ({"version": 1, "accepted": [GOOD, GOOD]}, "accepted.1: duplicate fingerprint"),
    ],
)
def test_invalid_file_is_rejected(tmp_path: Path, document: Any, message: str) -> None:
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError, match="--baseline: ") as caught:
        Baseline.load(tmp_path / "b.yaml", TODAY)
    assert message in str(caught.value)


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> Iterator[str]:
    """The message about an invalid command line."""
    environment = {"ATHENA_TOKEN": "a-token"}
    assert main(["run", "--base-url", "http://127.0.0.1:1", *arguments], environment) == ExitCode.USAGE
    yield capsys.readouterr().err


@pytest.mark.parametrize("name", ["baseline", "ratchet"])
def test_missing_file_is_rejected_before_the_first_request(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.yaml"
    assert f"--update-{name}, which creates it" in next(usage_error(capsys, f"--{name}", str(missing)))
    assert f"--update-{name}: no file (expected --{name} FILE too)" in next(usage_error(capsys, f"--update-{name}"))
    nowhere = tmp_path / "no" / "b.yaml"
    assert "(expected a writable folder)" in next(usage_error(capsys, f"--{name}", str(nowhere), f"--update-{name}"))
    missing.write_text("{")
    assert "invalid YAML" in next(usage_error(capsys, f"--{name}", str(missing)))


# Files


def test_file_is_replaced_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "ratchet.yaml", tmp_path / "link.yaml"
    yaml_files.write("--ratchet", path, "heading", "passed", ["a"])
    path.chmod(0o640)
    link.symlink_to(path)
    complete = path.read_text()
    written = Path.write_bytes

    def write_half(file: Path, content: bytes) -> int:
        written(file, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(UsageError, match=r"--ratchet: cannot write .*: No space left on device"):
        yaml_files.write("--ratchet", path, "heading", "passed", ["a", "b"])
    monkeypatch.undo()
    assert path.read_text() == complete
    assert sorted(tmp_path.iterdir()) == [link, path]
    yaml_files.write("--ratchet", link, "heading", "passed", ["b"])
    assert yaml_files.read("--ratchet", path, "passed") == ["b"]
    assert (link.is_symlink(), path.stat().st_mode & 0o777) == (True, 0o640)


def test_reader_of_a_file_never_sees_a_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "baseline.yaml"
    yaml_files.write("--baseline", path, "heading", "failures", ["old"])
    seen: list[Any] = []
    replace_file = Path.replace

    def read_and_replace(temporary: Path, target: Path) -> Path:
        seen.append(yaml_files.read("--baseline", path, "failures"))
        assert temporary.parent == path.parent
        return replace_file(temporary, target)

    monkeypatch.setattr(Path, "replace", read_and_replace)
    yaml_files.write("--baseline", path, "heading", "failures", ["new"])
    assert (seen, yaml_files.read("--baseline", path, "failures")) == ([["old"]], ["new"])


def test_first_run_that_updates_the_baseline_passes(tmp_path: Path) -> None:
    file, empty = tmp_path / "baseline.yaml", Baseline(TODAY)
    gate_result = evaluate_gate(run_with_faults("missing key"), empty)
    assert gate_result.exit_code is ExitCode.FAILED
    updated = History(empty, baseline_output=file).update(gate_result)
    assert updated.exit_code is ExitCode.PASSED
    added = find_fingerprints("missing key")
    assert updated.history_notes[0].endswith(f"; {len(added)} added, 0 renewed, 0 removed")
    assert all(any(note.startswith(f"added: {name}: ") for note in updated.history_notes) for name in added)


def test_expired_entry_blocks_a_contract_gap() -> None:
    run_result = run_with_faults("missing key")
    policy = GatePolicy(baseline=create_baseline(*find_fingerprints("missing key"), expires=TODAY), min_coverage=0)
    gate_result = replace(evaluate_gate(run_result, Baseline(TODAY)), policy=policy)
    assert {o.requirement.fingerprint for o in gate_result.blocking} >= find_fingerprints("missing key")
