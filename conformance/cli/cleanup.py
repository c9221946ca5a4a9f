"""`athena-conformance cleanup WRITE_LOG`: deletes the records that a killed run left on the target."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from conformance.cli.stdout import make_printable, write_stdout
from conformance.cli.wiring import (
    missing_token_error,
    open_session,
    resolve_contract,
    resolve_token,
)
from conformance.config.settings import Settings
from conformance.errors import TargetUnreachable, UsageError
from conformance.gate.verdict import ExitCode, pluralize
from conformance.session.cleanup import RunCleanup
from conformance.session.credentials import resolve_credentials
from conformance.session.write_log import LoggedRun, WriteLog, read_write_log
from spec.model import Contract


def command(settings: Settings, checks: object = None) -> int:
    """Delete the records and return the exit code. Raises UsageError, ContractError."""
    path = Path(settings.arguments[0])
    runs = read_write_log(path)
    settings = replace(settings, base_url=settings.base_url or runs[0].target)
    _check_target(settings, path, runs)
    settings, _ = resolve_token(settings)
    contract = resolve_contract(settings)
    _, credentials = resolve_credentials(settings, contract)
    if settings.token is None and any(credentials.needs_token(name) for name in contract.operations):
        raise missing_token_error(settings)
    exit_codes = [_clean_up_run(settings, contract, path, logged_run) for logged_run in runs]
    return max(exit_codes, key=[ExitCode.PASSED, ExitCode.INCOMPLETE, ExitCode.TARGET_UNREACHABLE].index)


def _check_target(settings: Settings, path: Path, runs: list[LoggedRun]) -> None:
    expected = _host_and_port(settings.base_url)
    for logged_run in runs:
        logged = _host_and_port(logged_run.target)
        if logged != expected:
            raise UsageError(f"{path}: write log of a run on {logged!a} (expected {expected}, see --base-url)")
    if not settings.writes_allowed:
        host = settings.host
        raise UsageError(f"--allow-writes-to: no writes to {host} (expected --allow-writes-to {host})")


def _host_and_port(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _clean_up_run(settings: Settings, contract: Contract, path: Path, logged_run: LoggedRun) -> ExitCode:
    try:
        write_log = WriteLog.resume(logged_run, path)
    except OSError as error:
        raise UsageError(f"WRITE_LOG: cannot write {path}: {error.strerror} (expected a writable file)") from None
    session, target = open_session(settings, contract, logged_run.run_id, write_log=write_log)
    cleanup = RunCleanup(session, logged_run)
    try:
        remaining = cleanup.clean_up()
    except TargetUnreachable as error:
        count = pluralize(len(session.write_log.created_records), "record")
        write_stdout(make_printable(f"run {logged_run.run_id}: {error}; {count} may be left") + "\n")
        return ExitCode.TARGET_UNREACHABLE
    finally:
        target.close()
    discovered = cleanup.discovered_count
    deleted_count = len(logged_run.remaining) + discovered - len(session.write_log.created_records)
    note = f", {discovered} of them found by the marker {logged_run.marker}" if discovered else ""
    summary = f"{pluralize(deleted_count, 'record')} deleted{note}; {len(remaining) or 'nothing'} left"
    lines = [f"run {logged_run.run_id}: {summary}", *(f"   left: {resource} {key}" for resource, key in remaining)]
    lines += [f"   {r.resource} {r.key} may belong to the run: {why}" for r, why in cleanup.unproven.items()]
    lines += [f"   {message}" for message in cleanup.unverified]
    write_stdout("".join(f"{make_printable(line)}\n" for line in lines))
    return ExitCode.INCOMPLETE if remaining or cleanup.unverified else ExitCode.PASSED
