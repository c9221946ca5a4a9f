"""Builds reports, prints them and writes the report files."""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance.cli.stdout import write_error, write_stdout
from conformance.cli.wiring import display_path
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.files import write_text
from conformance.gate.verdict import ExitCode, GateResult
from conformance.reporting import REPORT_WRITERS, Report, github, markdown, terminal
from conformance.session.credentials import resolve_credentials
from conformance.transport.redaction import Redactor
from spec.line_numbers import find_line_numbers
from spec.model import Contract

JOB_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


class ReportBuilder:
    """Builds the reports of one run, which starts when the builder is created."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        self.settings, self.contract, self.run_id = settings, contract, secrets.token_hex(4)
        self.started_at, self.start_time = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        self.line_numbers = find_line_numbers(contract.document.content)

    def build(
        self,
        target: str,
        requests: int,
        gate_result: GateResult,
        redaction: Redactor,
        *,
        notes: Sequence[str] = (),
        **details: Any,
    ) -> Report:
        """Build a report. `details`: further fields of it."""
        headers, credentials = resolve_credentials(self.settings, self.contract)
        return Report(
            target=target,
            contract=display_path(Path(self.contract.document.name)),
            run_id=self.run_id,
            seed=self.settings.seed,
            started_at=self.started_at,
            seconds=time.monotonic() - self.start_time,
            requests=requests,
            token_env=self.settings.token_env,
            other_token_env=self.settings.other_token_env,
            member_token_env=self.settings.member_token_env,
            notes=tuple(notes),
            repository_path=find_repository_path(Path(self.contract.document.name)),
            header_names=tuple(name for name, _ in headers),
            credentials=credentials,
            has_login_token=self.settings.token is None or ":" in self.settings.token,
            gate_result=gate_result,
            redaction=redaction,
            line_numbers=self.line_numbers,
            **details,
        )


def publish(settings: Settings, report: Report) -> int:
    """Write the files of --report-dir, print the report, and return the exit code.

    If a file cannot be written, the report is printed with that error and its exit code.
    """
    try:
        _write_files(settings, report)
    except UsageError as error:
        report = replace(report, publishing_error=str(error))
        write_error(str(error), ExitCode.USAGE)
    text = terminal.render(report)
    if settings.github:
        _append_job_summary(report)
        text = "".join(f"{github.neutralize_command(line)}\n" for line in text.splitlines()) + github.render(report)
    write_stdout(text)
    return int(report.exit_code)


def _append_job_summary(report: Report) -> None:
    """Append the Markdown report to the summary of the GitHub job, if the command runs in one."""
    path = os.environ.get(JOB_SUMMARY_VARIABLE)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(markdown.render(report))
    except OSError as error:
        write_error(f"${JOB_SUMMARY_VARIABLE}: cannot write {path}: {error.strerror}", 0)


def _write_files(settings: Settings, report: Report) -> None:
    """Write the files of --report-dir. Raises UsageError."""
    if settings.report_dir is None:
        return
    folder = create_folder(settings.report_dir)
    for name, render in REPORT_WRITERS.items():
        write_text("--report-dir", folder / name, render(report))


def find_repository_path(path: Path) -> str:
    """The path of a file from the root of its Git repository; "" outside of one."""
    resolved = path.resolve()
    root = next((folder for folder in resolved.parents if (folder / ".git").exists()), None)
    return "" if root is None else resolved.relative_to(root).as_posix()


def create_folder(path: Path) -> Path:
    """Create the folder of --report-dir. Raises UsageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report-dir: cannot create {path}: {error.strerror} (expected a writable folder)") from None
    return path
