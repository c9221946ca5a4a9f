"""`athena-conformance pytest [OPTIONS] -- [PYTEST OPTIONS]`: runs the checks as pytest items.

Schemathesis does not run: it reports its results per operation, at the end.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Case, Check
from conformance.cli import wiring
from conformance.cli.reports import ReportBuilder
from conformance.cli.run import find_token_problem
from conformance.cli.stdout import write_error, write_stdout
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
from spec.model import Contract, Operation

if TYPE_CHECKING:
    from conformance.cli.pytest_plugin import ConformancePlugin

NO_FUZZING_NOTE = "the items are checks only; `run` also generates requests with Schemathesis"
EXIT_CODES = {  # exit code of pytest -> ours
    0: ExitCode.PASSED,
    1: ExitCode.FAILED,
    2: ExitCode.INCOMPLETE,
    3: ExitCode.INCOMPLETE,
    4: ExitCode.USAGE,
    5: ExitCode.NO_CHECKS_RAN,
}


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Run pytest and return the exit code. Raises UsageError, ContractError."""
    try:
        import pytest
    except ImportError:
        raise UsageError("pytest is not installed (expected: pip install pytest)") from None
    settings, token_command = wiring.resolve_token(settings)
    contract = wiring.resolve_contract(settings)
    operations, notes = wiring.resolve_scope(settings, contract)
    run_id = secrets.token_hex(4)
    session, target = wiring.open_session(settings, contract, run_id, token_command)
    redaction = wiring.build_redactor(settings, contract, token_command)
    try:
        problem = _readiness_problem(settings, session, operations)
        if problem is not None:
            return write_error(redaction.line(problem[1]), problem[0])
        for note in (*notes, NO_FUZZING_NOTE):
            write_stdout(f"note: {note}\n")
        selected = [operation for operation in operations if operation.id not in session.skipped_operations]
        checks = CHECKS if checks is None else checks
        plugin = _build_plugin(settings, contract, session, target, run_id, redaction, selected, checks)
        arguments = [*_isolation_arguments(plugin.contract_path), *settings.arguments]
        pytest_code = pytest.main(arguments, plugins=[plugin])
        target.budget.lift()
        remaining = _clean_up(session)
        if remaining:
            write_stdout(f"records not deleted: {redaction.line(', '.join(remaining))}\n")
        if plugin.abort_reason:
            write_stdout(f"run aborted: {redaction.line(plugin.abort_reason)}\n")
        return _exit_code(plugin, int(pytest_code))
    finally:
        target.close()


def _exit_code(plugin: "ConformancePlugin", pytest_code: int) -> ExitCode:
    if plugin.target_unreachable:
        return ExitCode.TARGET_UNREACHABLE
    exit_code = EXIT_CODES.get(pytest_code, ExitCode.INCOMPLETE)
    return ExitCode.INCOMPLETE if plugin.abort_reason and exit_code is ExitCode.PASSED else exit_code


def _readiness_problem(
    settings: Settings, session: Session, operations: Sequence[Operation]
) -> tuple[ExitCode, str] | None:
    """Why no check can run, with the exit code."""
    try:
        exchanges = wait_until_ready(session, settings.wait_ready) if operations else []
        reason = find_token_problem(settings, session, operations, exchanges)
    except TargetUnreachable as error:
        return ExitCode.TARGET_UNREACHABLE, str(error)
    except BudgetExhausted as error:
        return ExitCode.INCOMPLETE, str(error)
    return (ExitCode.INCOMPLETE, reason) if reason else None


def _isolation_arguments(contract: Path) -> list[str]:
    """Arguments that make pytest ignore the settings, plugins and caches of the current folder."""
    config = [f"--config-file={os.devnull}", f"--rootdir={contract.parent}"]
    return [str(contract), *config, "--disable-plugin-autoload", "-p", "no:cacheprovider"]


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
    from conformance.cli.pytest_plugin import ConformancePlugin

    builder = ReportBuilder(settings, contract, run_id)
    policy = GatePolicy(settings.strict, settings.min_coverage, session.read_only, settings.allow_effects)

    def run_case(case: Case) -> RunResult:
        return run(session, [case.check], [case.operation], lambda result: None, clean_up=False)

    def describe_failure(run_result: RunResult, result: CheckResult) -> str:
        counts = session.call_counts
        gate_result = evaluate(run_result, contract, operations, counts, policy)
        report = builder.build(
            target.base, target.budget.sent, run_result, gate_result, redaction, counts, read_only=session.read_only
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
    """A failure as the terminal report shows it."""
    requirement = result.requirement
    failed, total = report.rerun_counts(result) or (1, 1)
    parameter = f" {requirement.parameter}" if requirement.parameter else ""
    provenance = f"[{requirement.provenance}; failed {failed} of {total} times]"
    lines = [
        f"{requirement.operation}{parameter} {requirement.check}  {provenance}",
        f"requirement: {requirement.summary}",
        f"message:     {report.message(result)}",
        f"location:    {report.location(requirement)}",
        report.curl_command(result),
    ]
    return "\n".join(filter(None, lines))


def _clean_up(session: Session) -> list[str]:
    """Delete the created records; the ones that remain."""
    try:
        remaining = session.clean_up()
    except (SuiteError, KeyboardInterrupt):
        remaining = [(record.resource, record.key) for record in session.write_log.remaining()]
    return [f"{resource} {key}" for resource, key in remaining]
