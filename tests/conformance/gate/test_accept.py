"""`accept`, `--update-baseline` on a first run, and `--compare`."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cli.main import main
from conformance.gate.baseline import AcceptedFailure, Baseline
from conformance.gate.verdict import ExitCode
from tests.conformance.support.http_target import GOOD, Handler, respond_with, run_command, run_http_target

BROKEN = respond_with(500, "application/json", b'{"message": "no"}')
TODAY = datetime.now(UTC).date()
LIST = ("--operation", "listMessages", "--strict", "--min-coverage", "0")


def run_suite(handle: Handler, folder: Path, *options: str) -> tuple[int, str, Mapping[str, Any]]:
    """Run one check on a list: exit code, output, JSON report."""
    with run_http_target(handle) as base:
        code, output = run_command("run", "--base-url", base, *LIST, "--report-dir", str(folder), *options)
    return code, output, json.loads((folder / "conformance.json").read_text(encoding="utf-8"))


def find_failure(report: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(result for result in report["results"] if result["status"] == "failed")


@pytest.mark.slow
def test_accepted_failure_does_not_block_until_it_expires(tmp_path: Path) -> None:
    code, _, report = run_suite(BROKEN, tmp_path)
    assert code == ExitCode.FAILED
    failure, baseline = find_failure(report), tmp_path / "baseline.yaml"
    expires = TODAY + timedelta(days=3)
    options = ("--reason", "ticket 12", "--expires", str(expires), "--owner", "Ada", "--baseline", str(baseline))
    assert main(["accept", str(tmp_path / "conformance.json"), failure["id"], *options], {}) == 0
    (entry,) = yaml.safe_load(baseline.read_text(encoding="utf-8"))["accepted"]
    assert (entry["fingerprint"], entry["reason"], entry["owner"]) == (failure["fingerprint"], "ticket 12", "Ada")
    _, output, report = run_suite(BROKEN, tmp_path, "--baseline", str(baseline))
    assert find_failure(report)["accepted"]
    assert report["counts"]["failed_blocking"] == 0
    assert f"accepted, blocks from {expires} on (Ada)" in output
    entry["expires"] = TODAY
    baseline.write_text(yaml.safe_dump({"version": 1, "accepted": [entry]}), encoding="utf-8")
    code, output, _ = run_suite(BROKEN, tmp_path, "--baseline", str(baseline), "--fail-on", "documented")
    assert code == ExitCode.FAILED
    assert f"accepted until {TODAY} (Ada), and still failing" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--reason", "a", "--owner", "b"), "--expires: no value"),
        (("--reason", "a", "--owner", "b", "--expires", "soon"), "a date like 2027-01-31"),
        (("--reason", "a", "--owner", "b", "--expires", "2020-01-01"), "a date after"),
        (("--expires", "2099-01-01", "--owner", "b"), "--reason: no value"),
    ],
)
def test_accept_without_a_valid_reason_owner_and_date_is_rejected(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "baseline.yaml"
    assert main(["accept", "report.json", "12345678", "--baseline", str(baseline), *options], {}) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not baseline.exists()


def test_only_entries_of_the_next_week_are_named() -> None:
    def entry(days: int) -> AcceptedFailure:
        return AcceptedFailure(f"f{days}", date(2026, 1, 1), "known", date(2026, 3, 1) + timedelta(days=days))

    entries = {entry(days).fingerprint: entry(days) for days in (8, 7, 1, 0, -1)}
    assert [e.fingerprint for e in Baseline(date(2026, 3, 1), entries).expiring_entries()] == ["f1", "f7"]


def test_first_run_prints_what_it_adds_to_the_baseline(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.yaml"
    code, output, report = run_suite(BROKEN, tmp_path, "--baseline", str(baseline), "--update-baseline")
    assert (report["counts"]["failed_blocking"], report["counts"]["accepted"]) == (0, 1)
    assert f"--baseline {baseline}: 1 accepted failure; 1 added, 0 renewed, 0 removed" in output
    assert f"added: {find_failure(report)['fingerprint']}" in output
    assert code == ExitCode.INCOMPLETE  # no call of the operation succeeded, which no baseline excuses


@pytest.mark.slow
def test_comparison_names_new_known_and_fixed_failures(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    _, _, good_report = run_suite(GOOD, old)
    _, output, first = run_suite(BROKEN, new, "--compare", str(old / "conformance.json"))
    failure = find_failure(first)
    assert f"compared with run {good_report['run']['id']}, {TODAY}: 1 new, 0 known, 0 fixed" in output
    assert f"new: listMessages lists-succeed ({failure['id']})" in output
    assert failure["since"] == f"run {first['run']['id']}, {TODAY}"
    again = tmp_path / "again"
    _, output, second = run_suite(BROKEN, again, "--compare", str(new / "conformance.json"))
    assert "0 new, 1 known, 0 fixed" in output
    assert find_failure(second)["since"] == failure["since"]
    for name in ("conformance.md", "conformance.html"):
        assert "0 new, 1 known, 0 fixed" in (again / name).read_text(encoding="utf-8")
    _, output, third = run_suite(GOOD, old, "--compare", str(again / "conformance.json"), "--github")
    assert "0 new, 0 known, 1 fixed" in output
    assert third["comparison"]["fixed"] == [f"listMessages lists-succeed ({failure['id']})"]


def test_invalid_report_of_compare_is_a_usage_error(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}", encoding="utf-8")
    with run_http_target(GOOD) as base:
        code, output = run_command("run", "--base-url", base, "--compare", str(file))
    assert code == ExitCode.USAGE
    assert "invalid report version" in output


def test_github_option_appends_the_job_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    _, output, _ = run_suite(BROKEN, tmp_path, "--github")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n**athena-conformance: FAILED (exit 1)")
    assert len([line for line in output.splitlines() if line.startswith("::")]) <= 10
