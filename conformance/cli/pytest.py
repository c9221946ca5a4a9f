"""`athena-conformance pytest [OPTIONS] -- [PYTEST OPTIONS]`: runs the checks as pytest items.

Schemathesis does not run: it reports its results per operation, at the end.
"""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.cli import wiring
from conformance.cli.reports import ReportBuilder
from conformance.cli.run import find_target_problem
from conformance.cli.stdout import write_error, write_stdout
from conformance.config.settings import Settings
from conformance.errors import BudgetExhausted, SkipCheck, TargetUnreachable
from conformance.gate.history import History
from conformance.gate.severities import Severities
from conformance.gate.verdict import ExitCode, GatePolicy, GateResult
from conformance.reporting.names import describe_failure, display_name
from conformance.results import CheckResult
from conformance.runner.runner import RunResult, build_cases
from conformance.session.session import Session
from conformance.transport.client import HttpTarget
from conformance.transport.redaction import Redactor
from spec.model import Operation

NO_FUZZING_NOTE = "the items are checks only; `run` also generates requests with Schemathesis"
# Exit code of pytest -> ours, if not INCOMPLETE.
EXIT_CODES = {0: ExitCode.PASSED, 1: ExitCode.FAILED, 4: ExitCode.USAGE, 5: ExitCode.NO_CHECKS_RAN}


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Run pytest and return the exit code. Raises UsageError, ContractError."""
    settings, token_command = wiring.resolve_token(settings)
    contract = wiring.resolve_contract(settings)
    operations, notes = wiring.resolve_scope(settings, contract)
    severities = wiring.resolve_severities(settings, CHECKS if checks is None else checks)
    enabled = [check for check in (CHECKS if checks is None else checks) if not severities.is_off(check.id)]
    builder = ReportBuilder(settings, contract)
    session, target = wiring.open_session(settings, contract, builder.run_id, token_command)
    redaction = wiring.build_redactor(settings, contract, token_command)
    with closing(target):
        try:
            problem = find_target_problem(settings, session, operations)
        except TargetUnreachable as error:
            return write_error(redaction.redact_line(str(error)), ExitCode.TARGET_UNREACHABLE)
        except (BudgetExhausted, SkipCheck) as error:
            problem = str(error)
        if problem:
            return write_error(redaction.redact_line(problem), ExitCode.INCOMPLETE)
        for note in (*notes, *severities.notes, NO_FUZZING_NOTE):
            write_stdout(f"note: {note}\n")
        selected = [operation for operation in operations if operation.id not in session.options.skipped_operations]
        return _run_pytest(builder, session, target, redaction, selected, severities, enabled)


def _run_pytest(
    builder: ReportBuilder,
    session: Session,
    target: HttpTarget,
    redaction: Redactor,
    operations: Sequence[Operation],
    severities: Severities,
    checks: Sequence[Check],
) -> ExitCode:
    import pytest

    from conformance.cli.pytest_plugin import ConformancePlugin

    settings, contract = builder.settings, builder.contract
    policy = GatePolicy.from_settings(settings, read_only=session.options.read_only)

    history = History.from_settings(settings, datetime.now(UTC).date())
    policy = replace(policy, baseline=history.baseline, ratchet=history.ratchet, severities=severities)

    def format_failure(run_result: RunResult, result: CheckResult) -> str:
        gate_result = GateResult(run_result, contract, operations, session.responses.call_counts, policy)
        report = builder.build(target.base, target.budget.sent, gate_result, redaction)
        message = f"message: {report.message(result)}"
        return "\n".join([display_name(result.requirement), message, *describe_failure(report, result)])

    path = Path(contract.document.name).resolve()
    cases = list(build_cases(session, checks, operations))
    plugin = ConformancePlugin(path, cases, format_failure, policy)
    # pytest ignores the settings, plugins and caches of the current folder.
    config = [f"--config-file={os.devnull}", f"--rootdir={path.parent}"]
    isolation = [*config, "--disable-plugin-autoload", "-p", "no:cacheprovider"]
    pytest_code = int(pytest.main([str(path), *isolation, *settings.arguments], plugins=[plugin]))
    target.budget.start_cleanup()
    remaining = wiring.clean_up(session)
    if remaining:
        names = ", ".join(f"{resource} {key}" for resource, key in remaining)
        write_stdout(f"records not deleted: {redaction.redact_line(names)}\n")
    if plugin.abort_reason:
        write_stdout(f"run aborted: {redaction.redact_line(plugin.abort_reason)}\n")
    if plugin.target_unreachable:
        return ExitCode.TARGET_UNREACHABLE
    exit_code = EXIT_CODES.get(pytest_code, ExitCode.INCOMPLETE)
    if exit_code is not ExitCode.PASSED:
        return exit_code
    run_result = replace(plugin.run_result, abort_reason=plugin.abort_reason, records_not_deleted=remaining)
    scope = list({case.operation.id: case.operation for case in cases}.values())
    gate_result = GateResult(run_result, contract, scope, session.responses.call_counts, policy)
    gate_result = replace(gate_result, writing_checks=frozenset(check.id for check in checks if check.writes))
    if plugin.executed < len(cases) and not plugin.abort_reason:  # the options of pytest selected some items
        is_incomplete = gate_result.internal_errors or gate_result.records_left
        return ExitCode.INCOMPLETE if is_incomplete else ExitCode.PASSED
    for reason in gate_result.reasons if gate_result.exit_code is not ExitCode.PASSED else ():
        write_stdout(f"{redaction.redact_line(reason)}\n")
    return gate_result.exit_code
