"""Searches the locked packages for known vulnerabilities with pip-audit.

    python -m scripts.audit

Exits with 1 if a package has a known vulnerability, else with 0. Without access to the vulnerability data it prints one
line and exits with 0.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (".venv-tools/bin/pip-audit", "--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json")
LOCKS = (
    "requirements.lock",
    "locks/docs.lock",
    "locks/charts.lock",
    "locks/browser.lock",
    "locks/tools.lock",
    "locks/clients.lock",
)
TIMEOUT = 300  # seconds for one lock
MAX_REASON_CHARS = 200


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The result for one lock. `unaudited`: package -> reason. `error`: why there is no result; empty: none."""

    lock: str
    audited: int = 0
    vulnerabilities: tuple[str, ...] = ()
    unaudited: tuple[tuple[str, str], ...] = ()
    error: str = ""

    @property
    def lines(self) -> Iterator[str]:
        if self.error or not self.audited:
            yield f"skip  {self.lock}: no vulnerability data: {self.error or self._describe_unaudited()}"
            return
        names = ", ".join(name for name, _ in self.unaudited)
        missing = f", not audited: {names}" if names else ""
        status = "FAIL" if self.vulnerabilities else "ok  "
        yield f"{status}  {self.lock}: {len(self.vulnerabilities)} vulnerabilities in {self.audited} packages{missing}"
        yield from (f"      {vulnerability}" for vulnerability in self.vulnerabilities)

    def _describe_unaudited(self) -> str:
        (_, reason), *others = self.unaudited or (("", "the lock has no packages"),)
        return reason + (f" (and {len(others)} more packages)" if others else "")


def audit(lock: str, command: Sequence[str] = COMMAND, folder: Path = ROOT) -> AuditResult:
    """Audit one lock file. `command`: pip-audit with its options."""
    arguments = [*command, "--requirement", lock]
    try:
        result = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return AuditResult(lock, error=f"no response within {TIMEOUT} s")
    try:
        return parse_output(lock, json.loads(result.stdout))
    except json.JSONDecodeError:
        lines = result.stderr.strip().splitlines() or [f"pip-audit ended with exit code {result.returncode}"]
        return AuditResult(lock, error=lines[-1][:MAX_REASON_CHARS])


def parse_output(lock: str, document: Any) -> AuditResult:
    """Return the result for the JSON document of pip-audit."""
    dependencies = document["dependencies"]
    audited = [dependency for dependency in dependencies if "skip_reason" not in dependency]
    return AuditResult(
        lock,
        audited=len(audited),
        vulnerabilities=tuple(_describe(d, v) for d in audited for v in d.get("vulns", [])),
        unaudited=tuple((d["name"], d["skip_reason"]) for d in dependencies if "skip_reason" in d),
    )


def _describe(dependency: Any, vulnerability: Any) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions") or ()) or "no version yet"
    return f"{dependency['name']} {dependency['version']}: {vulnerability['id']}, fixed in {fixed}"


def main() -> int:
    results = [audit(lock) for lock in LOCKS]
    for result in results:
        for line in result.lines:
            sys.stdout.write(f"{line}\n")
    return 1 if any(result.vulnerabilities for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
