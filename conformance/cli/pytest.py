"""`athena-conformance items [options] -- [pytest's own]`: the suite as pytest items (`-k`, `-x`, `--junitxml` ...).

Each law on each operation is an item; the options are those of `run`, and what stands behind ``--`` is pytest's. The
engine is not asked: it judges all that it asked at once, in its end.
"""

import os
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.checks import CHECKS
from conformance.checks.support.check import Case, Check
from conformance.cli.run import find_token_problem
from conformance.cli.stdout import write_stdout
from conformance.cli.wiring import (
    build_redactor,
    display_path,
    open_session,
    resolve_contract,
    resolve_scope,
    resolve_token,
)
from conformance.config.settings import Settings
from conformance.errors import BudgetExhausted, SuiteError, TargetUnreachable, UsageError
from conformance.gate.verdict import ExitCode, GatePolicy, evaluate
from conformance.reporting import Report
from conformance.results import CheckResult
from conformance.runner.runner import RunResult, build_cases, run
from conformance.session.preflight import wait_until_ready
from conformance.session.session import Session
from conformance.transport.client import HttpTarget
from conformance.transport.redaction import Redactor
from spec.document import find_line_numbers
from spec.loader import Contract, Operation

if TYPE_CHECKING:
    from conformance.cli.pytest_plugin import ConformancePlugin

NO_ENGINE_NOTE = (
    "items are the laws alone; the stock engine, which asks by operations and not by promises, is asked by `run`"
)
# What pytest ends with -> what we do; a failing item is 1 in both.
EXIT_CODES = {
    0: ExitCode.PASSED,
    1: ExitCode.FAILED,
    2: ExitCode.INCOMPLETE,
    3: ExitCode.INCOMPLETE,
    4: ExitCode.USAGE,
    5: ExitCode.NO_CHECKS_RAN,
}


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Run pytest; the exit status. Raises UsageError, ContractError."""
    try:
        import pytest
    except ImportError:
        raise UsageError("items: found no pytest; allowed: with pytest installed (pip install pytest)") from None
    settings, token_command = resolve_token(settings)
    contract = resolve_contract(settings)
    operations, notes = resolve_scope(settings, contract)
    run_id = secrets.token_hex(4)
    session, target = open_session(settings, contract, run_id, token_command)
    redaction = build_redactor(settings, contract, token_command)
    try:
        problem = _readiness_problem(settings, session, operations)
        if problem is not None:
            sys.stderr.write(f"athena-conformance: {redaction.line(problem[1])}\n")
            return problem[0]
        for note in (*notes, NO_ENGINE_NOTE):
            write_stdout(f"note: {note}\n")
        selected = [operation for operation in operations if operation.id not in session.skipped_operations]
        plugin = _build_plugin(
            settings, contract, session, target, run_id, redaction, selected, CHECKS if checks is None else checks
        )
        pytest_code = pytest.main([*_isolation_arguments(plugin.contract_path), *settings.arguments], plugins=[plugin])
        target.budget.lift()
        remaining = _clean_up(session)
        if remaining:
            write_stdout(f"left over on the target: {redaction.line(', '.join(remaining))}\n")
        if plugin.abort_reason:
            write_stdout(f"the run ended before its time: {redaction.line(plugin.abort_reason)}\n")
        return _exit_code(plugin, int(pytest_code))
    finally:
        target.close()


def _exit_code(plugin: "ConformancePlugin", pytest_code: int) -> ExitCode:
    """The exit status, by what pytest ended with and how the suite did."""
    if plugin.target_unreachable:
        return ExitCode.TARGET_UNREACHABLE
    exit_code = EXIT_CODES.get(pytest_code, ExitCode.INCOMPLETE)
    return ExitCode.INCOMPLETE if plugin.abort_reason and exit_code is ExitCode.PASSED else exit_code


def _readiness_problem(
    settings: Settings, session: Session, operations: Sequence[Operation]
) -> tuple[ExitCode, str] | None:
    """Why nothing can be judged, and the code for it."""
    try:
        exchanges = wait_until_ready(session, settings.wait_ready) if operations else []
    except TargetUnreachable as error:
        return ExitCode.TARGET_UNREACHABLE, str(error)
    except BudgetExhausted as error:
        return ExitCode.INCOMPLETE, str(error)
    reason = (
        find_token_problem(settings, session, exchanges) if any(operation.security for operation in operations) else ""
    )
    return (ExitCode.INCOMPLETE, reason) if reason else None


def _isolation_arguments(contract: Path) -> list[str]:
    """Arguments by which pytest looks at the contract alone: no settings, plugins and caches of the current folder."""
    return [
        str(contract),
        f"--config-file={os.devnull}",
        f"--rootdir={contract.parent}",
        "--disable-plugin-autoload",
        *("-p", "no:cacheprovider"),
    ]


def _build_plugin(
    settings: Settings,
    contract: Contract,
    session: Session,
    target: HttpTarget,
    run_id: str,
    redaction: Redactor,
    operations: Sequence[Operation],
    checks: Sequence[Check],
) -> "ConformancePlugin":
    """The items, and how they are judged and told."""
    from conformance.cli.pytest_plugin import ConformancePlugin

    started, start_time = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    policy = GatePolicy(settings.strict, settings.min_coverage, session.read_only, settings.allow_effects)
    line_numbers = find_line_numbers(contract.document.content)

    def run_case(case: Case) -> RunResult:
        return run(session, [case.check], [case.operation], lambda result: None, clean_up=False)

    def describe_failure(run_result: RunResult, result: CheckResult) -> str:
        report = Report(
            target=target.base,
            contract=display_path(Path(contract.document.name)),
            contract_digest=contract.document.digest,
            run_id=run_id,
            seed=settings.seed,
            started_at=started,
            seconds=time.monotonic() - start_time,
            requests=target.budget.sent,
            strict=settings.strict,
            read_only=session.read_only,
            token_env=settings.token_env,
            other_token_env=settings.other_token_env,
            notes=(),
            run=run_result,
            gate_result=evaluate(run_result, contract, operations, session.call_counts, policy),
            redaction=redaction,
            line_numbers=line_numbers,
            response_counts=session.call_counts,
        )
        return _format_failure(report, result)

    return ConformancePlugin(
        Path(contract.document.name).resolve(),
        list(build_cases(session, checks, operations)),
        run_case,
        describe_failure,
        lambda result: result.requirement.is_blocking(strict=settings.strict),
    )


def _format_failure(report: Report, result: CheckResult) -> str:
    """A broken promise as a report tells it."""
    requirement = result.requirement
    failed, total = report.rerun_counts(result) or (1, 1)
    parameter_text = f" {requirement.parameter}" if requirement.parameter else ""
    headline = f"{requirement.operation}{parameter_text} {requirement.check}  [{requirement.provenance}; {failed} of {total} times]"
    parts = [
        headline,
        f"due:   {requirement.summary}",
        f"found: {report.message(result)}",
        f"place: {report.location(requirement)}",
    ]
    return "\n".join([*parts, *filter(None, [report.curl_command(result)])])


def _clean_up(session: Session) -> list[str]:
    """Take away what was made; what is left over."""
    try:
        remaining = session.clean_up()
    except (SuiteError, KeyboardInterrupt):
        remaining = [(record.resource, record.key) for record in session.write_log.remaining()]
    return [f"{resource} {key}" for resource, key in remaining]
