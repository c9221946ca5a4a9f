"""`athena-conformance clean LEDGER`: takes away what a killed run left behind, and says what it could not.

It ends with 0 when nothing is left, with 5 when something is or may be, with 3 when the target is lost.
"""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from conformance.cli.stdout import write_stdout
from conformance.cli.wiring import missing_token_error, open_session, resolve_contract, resolve_token
from conformance.config.settings import Settings
from conformance.errors import TargetUnreachable, UsageError
from conformance.gate.verdict import ExitCode, pluralize
from conformance.session.cleanup import RunCleanup
from conformance.session.write_log import LoggedRun, WriteLog, read_write_log
from spec.loader import Contract


def command(settings: Settings, checks: object = None) -> int:
    """Clean; the exit status. Raises UsageError, ContractError."""
    path = Path(settings.arguments[0])
    runs = read_write_log(path)
    settings = replace(settings, base_url=settings.base_url or runs[0].target)
    _check_target(settings, path, runs)
    settings, _ = resolve_token(settings)
    if settings.token is None:
        raise missing_token_error(settings)
    contract = resolve_contract(settings)
    exit_codes = [_clean_up_run(settings, contract, path, logged_run) for logged_run in runs]
    return max(exit_codes, key=[ExitCode.PASSED, ExitCode.INCOMPLETE, ExitCode.TARGET_UNREACHABLE].index)


def _check_target(settings: Settings, path: Path, runs: list[LoggedRun]) -> None:
    for logged_run in runs:
        if _host_and_port(logged_run.target) != _host_and_port(settings.base_url):
            raise UsageError(
                f"{path}: found the ledger of a run on {_host_and_port(logged_run.target)!a}; allowed: one on "
                f"{_host_and_port(settings.base_url)}, which --base-url names"
            )
    if not settings.writes_allowed:
        raise UsageError(f"--allow-writes-to: found no {settings.host}; allowed: --allow-writes-to {settings.host}")


def _host_and_port(base_url: str) -> str:
    """Host and port of an address."""
    parts = urlsplit(base_url)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _clean_up_run(settings: Settings, contract: Contract, path: Path, logged_run: LoggedRun) -> ExitCode:
    """Take away what one run left, and say what became of it."""
    session, target = open_session(settings, contract, logged_run.run_id)
    try:
        session.write_log = WriteLog.resume(logged_run, path)
    except OSError as error:
        raise UsageError(f"LEDGER: found {path} ({error.strerror}); allowed: a file that can be written") from None
    cleanup = RunCleanup(session, logged_run)
    try:
        remaining = cleanup.clean_up()
    except TargetUnreachable as error:
        _write_line(
            f"run {logged_run.run_id}: {error}; {pluralize(len(session.write_log.created_records), 'record')} may be left"
        )
        return ExitCode.TARGET_UNREACHABLE
    finally:
        target.close()
    deleted_count = len(logged_run.remaining) + cleanup.discovered_count - len(session.write_log.created_records)
    discovered_note = (
        f", {cleanup.discovered_count} of them found by the marker {logged_run.marker}"
        if cleanup.discovered_count
        else ""
    )
    _write_line(
        f"run {logged_run.run_id}: {pluralize(deleted_count, 'record')} taken away{discovered_note}; {len(remaining) or 'nothing'} left"
    )
    for resource, key in remaining:
        _write_line(f"   left: {resource} {key}")
    for message in cleanup.unverified:
        _write_line(f"   {message}")
    return ExitCode.INCOMPLETE if remaining or cleanup.unverified else ExitCode.PASSED


def _write_line(line: str) -> None:
    write_stdout("".join(char if char.isprintable() else "?" for char in line) + "\n")
