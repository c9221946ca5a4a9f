"""Prints a report and writes the report files."""

from pathlib import Path

from conformance.cli.stdout import write_stdout
from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.reporting import Report, github, terminal
from conformance.reporting.files import REPORT_WRITERS


def publish(settings: Settings, report: Report) -> int:
    """Print the report, write the files of --report-dir, and return the exit code. Raises UsageError."""
    text = terminal.render(report)
    if settings.github:
        text = "".join(f"{github.neutralize_command(line)}\n" for line in text.splitlines()) + github.render(report)
    folder = None if settings.report_dir is None else create_folder(settings.report_dir)
    write_stdout(text)
    if folder is not None:
        for name, render in REPORT_WRITERS.items():
            write_file(folder / name, render(report))
    return int(report.gate_result.exit_code)


def create_folder(path: Path) -> Path:
    """Create the folder of --report-dir. Raises UsageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report-dir: cannot create {path}: {error.strerror} (expected a writable folder)") from None
    return path


def write_file(path: Path, text: str) -> None:
    """Write a file in the folder of --report-dir. Raises UsageError."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--report-dir: cannot write {path}: {error.strerror} (expected a writable folder)") from None
