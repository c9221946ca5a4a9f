"""Tests of `make audit`: what it reports of pip-audit's results, and that it is skipped without vulnerability data."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts import audit as audit_script
from scripts.audit import LOCKS, AuditResult, audit, parse_output
from tests.mock_process import ROOT

VULNERABLE = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}, {"id": "CVE-2"}]}
SOUND = {"name": "b", "version": "1", "vulns": []}
UNAUDITED = {"name": "c", "skip_reason": "c was not found"}


def parse(*dependencies: Any) -> AuditResult:
    return parse_output("x.lock", {"dependencies": list(dependencies)})


def fake_command(program: str) -> Sequence[str]:
    """A pip-audit that runs a Python program."""
    return (sys.executable, "-c", program)


def test_vulnerability_is_reported_with_the_version_that_fixes_it() -> None:
    assert list(parse(VULNERABLE, SOUND).lines) == [
        "FAIL  x.lock: 2 vulnerabilities in 2 packages",
        "      a 1: CVE-1, fixed in 2",
        "      a 1: CVE-2, fixed in no version yet",
    ]


def test_package_without_data_is_named() -> None:
    assert list(parse(SOUND, UNAUDITED).lines) == ["ok    x.lock: 0 vulnerabilities in 1 packages, not audited: c"]


def test_audit_without_data_of_any_package_is_skipped() -> None:
    lines = list(parse(UNAUDITED, UNAUDITED).lines)
    assert lines == ["skip  x.lock: no vulnerability data: c was not found (and 1 more packages)"]


def test_audit_that_cannot_connect_is_skipped_with_its_last_line(tmp_path: Path) -> None:
    result = audit("x.lock", fake_command("import sys; sys.exit('Traceback\\nConnectionError: no route')"), tmp_path)
    assert list(result.lines) == ["skip  x.lock: no vulnerability data: ConnectionError: no route"]


def test_output_of_the_command_is_read_with_its_lock(tmp_path: Path) -> None:
    program = (
        f"import json, sys; print(json.dumps({{'dependencies': [{SOUND!r}]}})); sys.exit(sys.argv[-1] != 'x.lock')"
    )
    assert audit("x.lock", fake_command(program), tmp_path) == AuditResult("x.lock", audited=1)


@pytest.mark.parametrize(("dependency", "code"), [(VULNERABLE, 1), (SOUND, 0), (UNAUDITED, 0)])
def test_only_a_vulnerability_fails(
    dependency: Any, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.dumps({"dependencies": [dependency]})
    monkeypatch.setattr(audit_script, "audit", lambda lock: parse_output(lock, json.loads(document)))
    assert audit_script.main() == code
    output = capsys.readouterr().out
    assert [lock for lock in LOCKS if lock not in output] == []


def test_every_lock_of_development_is_audited() -> None:
    """`requirements.lock` has the packages of the locks that are made from `pyproject.toml`."""
    parts = {"locks/run.lock", "locks/conformance.lock", "locks/bootstrap.lock"}
    locks = {path.relative_to(ROOT).as_posix() for path in (ROOT / "locks").glob("*.lock")}
    assert set(LOCKS) == (locks - parts) | {"requirements.lock"}
