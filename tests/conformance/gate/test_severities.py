"""Severities of checks in the settings file."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from conformance.config.file import CheckSeverity
from conformance.errors import UsageError
from conformance.gate.policy import GatePolicy
from conformance.gate.severities import Severities
from conformance.gate.verdict import ExitCode
from conformance.results import CheckResult, Requirement, Status
from tests.conformance.support.http_target import respond_with, run_command, run_http_target, run_process

TODAY = date(2026, 3, 1)
BROKEN = respond_with(500, "application/json", b'{"message": "no"}')


def create(severity: str, expires: date | None = None) -> Severities:
    return Severities.create({"a-check": CheckSeverity(severity, "ticket 12", expires, "file")}, {"a-check"}, TODAY)


@pytest.mark.parametrize("provenance", ["documented", "inferred"])
@pytest.mark.parametrize(("severity", "blocks"), [("error", True), ("warn", False), ("off", False)])
def test_severity_decides_whether_failures_block(severity: str, blocks: bool, provenance: str) -> None:
    result = CheckResult(Requirement("a-check", "listA", "It holds.", "#", provenance, True), Status.FAILED)
    policy = GatePolicy(severities=create(severity))
    assert policy.requires(result) is blocks
    assert policy.never_blocks(result) is not blocks


@pytest.mark.parametrize(
    ("days", "severity", "note"),
    [
        (30, "warn", "severity of a-check: warn: ticket 12"),
        (7, "warn", "severity of a-check: warn until 2026-03-08: ticket 12"),
        (0, "", "the severity warn of a-check expired on 2026-03-01: ticket 12"),
    ],
)
def test_severity_applies_until_it_expires(days: int, severity: str, note: str) -> None:
    severities = create("warn", TODAY + timedelta(days=days))
    assert (severities.get("a-check"), severities.notes) == (severity, (note,))


def test_unknown_check_is_rejected_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"file: no such check, did you mean 'a-check'\? \(expected a-check\)"):
        Severities.create({"a-chek": CheckSeverity("off", "x", None, "file")}, {"a-check"}, TODAY)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('severity = "low"\nreason = "x"', "lists-succeed.severity: invalid value 'low' (expected error, warn, off)"),
        ('severity = "off"', "lists-succeed.reason: invalid value 'None' (expected a reason, as text)"),
        ('severity = "off"\nreason = "x"\nexpires = "soon"', "lists-succeed.expires: invalid value 'soon'"),
        ('severity = "off"\nreason = "x"\nuntil = 1', "unknown name 'until' (expected severity, reason"),
    ],
)
def test_invalid_section_is_a_usage_error(section: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"[checks.lists-succeed]\n{section}\n", encoding="utf-8")
    code, output = run_command("run", "--base-url", "http://127.0.0.1:1", "--config", str(file))
    assert code == ExitCode.USAGE
    assert message in output


@pytest.mark.parametrize(
    ("severity", "counts"),
    [("error", "1 failed (1 blocking"), ("warn", "1 failed (0 blocking"), ("off", "0 checks ran")],
)
@pytest.mark.parametrize("command", ["run", pytest.param("pytest", marks=pytest.mark.slow)])
def test_severity_of_a_run(severity: str, counts: str, command: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'[checks.lists-succeed]\nseverity = "{severity}"\nreason = "ticket 12"\n', encoding="utf-8")
    with run_http_target(BROKEN) as base:
        options = ("--base-url", base, "--config", str(file), "--operation", "listMessages")
        code, output = (run_process if command == "pytest" else run_command)(command, *options)
    assert f"severity of lists-succeed: {severity}: ticket 12" in output
    assert (code == ExitCode.FAILED) is (severity == "error"), output
    assert command == "pytest" or counts in output
