"""Accepted failures: each by itself, until it expires, and never a cover for another one."""

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cli.main import main
from conformance.errors import UsageError
from conformance.gate.baseline import AcceptedFailure, Baseline
from conformance.gate.verdict import ExitCode, GatePolicy, GateResult, evaluate
from conformance.results import CheckResult, Requirement, Status
from conformance.runner.runner import RunResult
from tests.conformance.check_runner import LAWS, mock
from tests.conformance.check_runner import judge as judged
from tests.conformance.writing_faults import Answered, Asked, Next

TODAY = date(2026, 3, 1)
OPERATION = "retrievePrompt"
ASKED = ("no-server-error", "no-traceback", "status-is-documented", "content-type-is-json", "response-matches-schema")
FIRST = ("unknown-record-is-404", "unauthenticated-access-denied")  # they ask what the others judge
Fault = Callable[[Asked, Answered], Answered]


def shown(**changes: Any) -> Fault:
    """A success that shows other values; None takes the key away."""

    def fault(asked: Asked, answered: Answered) -> Answered:
        if answered.status != 200:
            return answered
        data = {**answered.body["data"], **changes}
        return answered.showing({"data": {name: value for name, value in data.items() if value is not None}})

    return fault


def when(holds: Callable[[Asked, Answered], bool], status: int, body: str = '{"message": "no"}') -> Fault:
    """Another status for some requests."""

    def fault(asked: Asked, answered: Answered) -> Answered:
        return Answered(status, answered.headers, body.encode()) if holds(asked, answered) else answered

    return fault


def stranger(asked: Asked, answered: Answered) -> bool:
    return "authorization" not in asked.headers


def unknown(asked: Asked, answered: Answered) -> bool:
    return answered.status == 404


def basic(asked: Asked, answered: Answered) -> bool:
    return asked.headers.get("authorization", "").startswith("Basic")


# Ways to break promises of one operation that can be broken at once.
FAULTS: dict[str, Fault] = {
    "a key lacks": shown(name=None),
    "another key lacks": shown(content=None),
    "a key too many": shown(planted_one=1),
    "another key too many": shown(planted_two=2),
    "a wrong type": shown(created_at=7),
    "another property's wrong type": shown(updated_at=7),
    "an undocumented status for strangers": when(stranger, 418),
    "a failure for what is not there": when(unknown, 500),
    "a traceback for a wrong scheme": when(basic, 401, '{"message": "no", "exception": "Traceback"}'),
}


def of(*names: str) -> Callable[..., Any]:
    """The operation with these faults."""

    async def fault(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
        answered: Answered = await ask(asked)
        if asked.method == "GET" and asked.path.startswith("/prompts/"):
            for name in names:
                answered = FAULTS[name](asked, answered)
        return answered

    return fault


def ran(*names: str) -> RunResult:
    """What becomes of the operation with these faults."""
    return judged([LAWS[name] for name in (*FIRST, *ASKED)], OPERATION, of(*names))


@cache
def marks(name: str) -> frozenset[str]:
    """The promises that one fault breaks."""
    return frozenset(o.requirement.fingerprint for o in ran(name).with_status(Status.FAILED))


def verdict(found: RunResult, accepted: Baseline) -> GateResult:
    """What a run comes to under --strict."""
    contract = mock().contract
    demands = GatePolicy(strict=True, baseline=accepted, min_coverage=0)
    return evaluate(found, contract, [contract.operations[OPERATION]], {(OPERATION, 200): 1000}, demands)


def accepting(*fingerprints: str, expires: date | None = None) -> Baseline:
    """A baseline of these."""
    return Baseline(TODAY, {mark: AcceptedFailure(mark, TODAY, "known", expires) for mark in fingerprints})


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_breaks_promises_of_its_own_and_is_accepted_by_them(name: str) -> None:
    assert marks(name)
    others = frozenset().union(*(marks(other) for other in FAULTS if other != name))
    assert marks(name) - others
    judgement = verdict(ran(name), accepting(*marks(name)))
    assert (judgement.exit_code, len(judgement.accepted)) == (ExitCode.PASSED, len(marks(name)))


@pytest.mark.parametrize(("accepted", "new"), list(permutations(FAULTS, 2)))
def test_an_accepted_failure_never_hides_a_new_one_on_the_same_operation(accepted: str, new: str) -> None:
    judgement = verdict(ran(accepted, new), accepting(*marks(accepted)))
    assert judgement.exit_code is ExitCode.FAILED
    assert marks(new) & {o.requirement.fingerprint for o in judgement.blocking}


def test_an_expired_acceptance_blocks_again_and_says_so() -> None:
    found = ran("a key lacks")
    assert (
        verdict(found, accepting(*marks("a key lacks"), expires=TODAY + timedelta(days=1))).exit_code is ExitCode.PASSED
    )
    judgement = verdict(found, accepting(*marks("a key lacks"), expires=TODAY))
    assert judgement.exit_code is ExitCode.FAILED
    assert any("accepted until 2026-03-01, and broken still" in remark for remark in judgement.warnings)


def outcome(name: str, verdict: Status) -> CheckResult:
    """An outcome of a promise."""
    promise = Requirement("law", "operation", "It holds.", f"#/{name}", "documented")
    return CheckResult(promise, verdict, "found 1" if verdict is Status.FAILED else "")


def test_what_is_kept_again_is_told_as_stale() -> None:
    kept = outcome("a", Status.PASSED)
    judgement = verdict(RunResult([kept]), accepting(kept.requirement.fingerprint))
    assert any(remark.startswith("accepted, and kept now") for remark in judgement.warnings)


def test_to_update_accepts_what_is_broken_and_forgets_what_is_kept(tmp_path: Path) -> None:
    broken, again, mended = outcome("a", Status.FAILED), outcome("b", Status.FAILED), outcome("c", Status.PASSED)
    before = accepting(again.requirement.fingerprint, mended.requirement.fingerprint)
    updated = before.with_results([broken, again], [mended])
    updated.save(tmp_path / "baseline.yaml")
    read = Baseline.load(tmp_path / "baseline.yaml", TODAY)
    assert read == updated
    assert set(read.entries) == {broken.requirement.fingerprint, again.requirement.fingerprint}
    assert read.entries[again.requirement.fingerprint].reason == "known"
    assert read.entries[broken.requirement.fingerprint].observed == "found 1"


def test_any_entry_can_be_taken_out_of_the_file_by_itself(tmp_path: Path) -> None:
    marks = [outcome(name, Status.FAILED).requirement.fingerprint for name in "abc"]
    path = tmp_path / "baseline.yaml"
    accepting(*marks).save(path)
    heading, first, *rest = path.read_text().split("- fingerprint:")
    path.write_text("- fingerprint:".join([heading, *rest]))
    assert len(Baseline.load(path, TODAY).entries) == len(marks) - 1, first


def test_json_is_read_too(tmp_path: Path) -> None:
    entry = {"fingerprint": "a", "date": "2026-03-01", "reason": "known", "expires": "2026-04-01"}
    (tmp_path / "b.json").write_text(json.dumps({"version": 1, "accepted": [entry]}))
    assert Baseline.load(tmp_path / "b.json", TODAY).entries["a"].expires == date(2026, 4, 1)


GOOD = {"fingerprint": "a", "date": "2026-03-01", "reason": "known"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "found list; allowed: a mapping of version, accepted"),
        ({"version": 2, "accepted": []}, "found version 2; allowed: 1"),
        ({"version": 1, "accepted": {}}, "accepted: found dict; allowed: a list"),
        ({"version": 1, "accepted": [], "more": 1}, "found 'more'; allowed: version, accepted"),
        ({"version": 1, "accepted": [{**GOOD, "why": 1}]}, "accepted.0: found 'why'; allowed: fingerprint, date"),
        ({"version": 1, "accepted": [{"date": "2026-03-01"}]}, "accepted.0: found no fingerprint"),
        ({"version": 1, "accepted": [{**GOOD, "date": "soon"}]}, "date: found 'soon'; allowed: a day like 2026-03-01"),
        ({"version": 1, "accepted": [{**GOOD, "expires": 7}]}, "expires: found '7'; allowed: a day"),
        ({"version": 1, "accepted": [{**GOOD, "reason": " "}]}, "reason: found ' '; allowed: a text"),
        ({"version": 1, "accepted": [GOOD, GOOD]}, "accepted.1: found a fingerprint for the second time"),
    ],
)
def test_what_the_file_may_not_say_is_refused_with_what_it_may(tmp_path: Path, document: Any, said: str) -> None:
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError, match="--baseline: ") as refused:
        Baseline.load(tmp_path / "b.yaml", TODAY)
    assert said in str(refused.value)


def usage(capsys: pytest.CaptureFixture[str], *arguments: str) -> Iterator[str]:
    """What a wrong command line is told."""
    environment = {"ATHENA_TOKEN": "a-token"}
    assert main(["run", "--base-url", "http://127.0.0.1:1", *arguments], environment) == ExitCode.USAGE
    yield capsys.readouterr().err


@pytest.mark.parametrize("name", ["baseline", "ratchet"])
def test_a_file_that_is_not_there_is_refused_before_anything_is_sent(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.yaml"
    assert f"--update-{name}, which makes it" in next(usage(capsys, f"--{name}", str(missing)))
    assert f"--update-{name}: found no --{name}" in next(usage(capsys, f"--update-{name}"))
    nowhere = tmp_path / "no" / "b.yaml"
    assert "cannot be written to" in next(usage(capsys, f"--{name}", str(nowhere), f"--update-{name}"))
    missing.write_text("{")
    assert "no YAML" in next(usage(capsys, f"--{name}", str(missing)))
