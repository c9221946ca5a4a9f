"""`athena-conformance replay`: reruns one failure of a report in a fresh state, or prints it as a shell script."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.cli import wiring
from conformance.cli.stdout import write_stdout
from conformance.config.settings import Settings
from conformance.errors import BudgetExhausted, TargetUnreachable, UsageError
from conformance.gate.verdict import ExitCode
from conformance.past_runs import replay, report_reader, shell_script
from conformance.past_runs.report_reader import PastReport, ReportedResult
from conformance.results import CheckResult, Requirement, Status
from conformance.session.preflight import wait_until_ready
from conformance.trace import sequence
from conformance.trace.recorder import Recorder
from spec.model import Contract

MAX_LISTED_REQUESTS = 30
LABELS = {True: "REPRODUCED", False: "NOT REPRODUCED", None: "INCONCLUSIVE"}
EXIT_CODES = {True: ExitCode.FAILED, False: ExitCode.PASSED, None: ExitCode.INCOMPLETE}


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Rerun the failure; 1 if it is reproduced, else 0. Raises UsageError, ContractError."""
    contract = wiring.resolve_contract(settings)
    report = report_reader.read_report(Path(settings.arguments[0]))
    failure = report.failure(settings.arguments[1])
    if failure.operation not in contract.operations:
        operation = f"{failure.operation[:80]!a}"
        raise UsageError(f"{report.file}: unknown operation {operation} (expected an operation of the contract)")
    settings = replace(settings, base_url=settings.base_url or report.target, seed=report.seed)
    steps = None if failure.sequence is None else sequence.from_json(failure.sequence, contract)
    if settings.format == "sh":
        if steps is None:
            message = f"{failure.id}: the report has no requests (too many, or not recorded)"
            raise UsageError(f"{message} (expected a failure with a sequence)")
        write_stdout(shell_script.build_script(steps, contract, failure, settings))
        return ExitCode.PASSED
    return _replay(settings, contract, report, failure, steps, CHECKS if checks is None else checks)


def _replay(
    settings: Settings,
    contract: Contract,
    report: PastReport,
    failure: ReportedResult,
    steps: sequence.RequestSequence | None,
    checks: Sequence[Check],
) -> int:
    """Rerun the failure, print the requests and the result, delete the created records."""
    settings, token_command = wiring.resolve_token(settings)
    _, notes = wiring.resolve_scope(replace(settings, operation=(failure.operation,), tag=(), provenance=()), contract)
    session, target = wiring.open_session(settings, contract, secrets.token_hex(4), token_command)
    recorder = Recorder.from_contract(contract)
    remaining: list[tuple[str, object]] = []

    def print_result(lines: Sequence[str], label: str, message: str, exit_code: ExitCode) -> int:
        redaction = wiring.build_redactor(settings, contract, token_command)
        lines = [*lines, f"{label} (exit {exit_code:d}): {message}"]
        write_stdout("".join(redaction.redact_line(line) + "\n" for line in lines))
        return exit_code

    try:
        wait_until_ready(session, settings.wait_ready)
        target.observe = recorder.record
        checks_by_id = {check.id: recorder.track(check) for check in checks}
        try:
            result = replay.replay(session, failure, steps, checks_by_id)
        except BudgetExhausted as error:
            result = replay.ReplayResult(None, str(error))
        finally:
            remaining = wiring.clean_up(session)  # also after Ctrl-C
        requests = _request_lines(recorder, contract, failure, result)
    except TargetUnreachable as error:
        return print_result([], "TARGET UNREACHABLE", str(error), ExitCode.TARGET_UNREACHABLE)
    finally:
        target.close()
    difference = report_reader.contract_difference(report, contract)
    lines = list(_result_lines(failure, requests, [*([difference] if difference else []), *notes], remaining))
    return print_result(lines, LABELS[result.reproduced], result.message, EXIT_CODES[result.reproduced])


def _result_lines(
    failure: ReportedResult, requests: Sequence[str], notes: Sequence[str], remaining: list[tuple[str, object]]
) -> Iterator[str]:
    yield " ".join(filter(None, [failure.operation, failure.parameter, failure.check, failure.id]))
    yield f"requirement: {failure.requirement}"
    yield f"message: {failure.message}"
    yield f"location: {failure.location}"
    yield from (f"note: {note}" for note in notes)
    yield from (f"{number}. {line}" for number, line in enumerate(requests, 1))
    yield from (f"record not deleted: {resource} {key}" for resource, key in remaining)


def _request_lines(
    recorder: Recorder, contract: Contract, failure: ReportedResult, result: replay.ReplayResult
) -> list[str]:
    """The requests that reproduce the failure; all requests if it is not reproduced."""
    head = (failure.check, failure.operation, failure.requirement, failure.pointer)
    requirement = Requirement(*head, provenance="", parameter=failure.parameter, keyword=failure.keyword)
    check_result = CheckResult(requirement, Status.FAILED, result.message, result.evidence)
    steps = sequence.from_recording(recorder, contract, "", check_result) if result.reproduced else None
    exchanges = steps.steps if steps else recorder.exchanges
    shown = exchanges[:MAX_LISTED_REQUESTS]
    lines = [f"{step.request.method.upper()} {step.request.target}: got {step.status}" for step in shown]
    rest = len(exchanges) - MAX_LISTED_REQUESTS
    return [*lines, f"and {rest} more"] if rest > 0 else lines
