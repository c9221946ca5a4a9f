"""`athena-conformance replay`: one failure of an earlier run, judged again from a fresh state, or as a script."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from conformance.checks import CHECKS
from conformance.checks.support.check import Check
from conformance.cli.stdout import write_stdout
from conformance.cli.wiring import build_redactor, open_session, resolve_contract, resolve_scope, resolve_token
from conformance.config.settings import Settings
from conformance.errors import BudgetExhausted, SuiteError, TargetUnreachable, UsageError
from conformance.gate.verdict import ExitCode
from conformance.past_runs import replay, report_reader, shell_script
from conformance.past_runs.report_reader import PastReport, ReportedFailure
from conformance.results import CheckResult, Requirement, Status
from conformance.session.preflight import wait_until_ready
from conformance.session.session import Session
from conformance.trace import sequence
from conformance.trace.recorder import Recorder
from conformance.transport.token_refresh import TokenCommand
from spec.loader import Contract

MAX_LISTED_REQUESTS = 30  # requests that are listed


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Judge again; 1: reproduced, 0: not. `checks`: instead of all that there are. Raises UsageError, ContractError."""
    contract = resolve_contract(settings)
    report = report_reader.read_report(Path(settings.arguments[0]))
    failure = report.failure(settings.arguments[1])
    if failure.operation not in contract.operations:
        raise UsageError(
            f"{report.file}: found the operation {failure.operation[:80]!a}; allowed: one of the contract's"
        )
    settings = replace(settings, base_url=settings.base_url or report.target, seed=report.seed)
    steps = None if failure.sequence is None else sequence.from_json(failure.sequence, contract)
    if settings.format == "sh":
        if steps is None:
            message = f"{failure.id}: found no requests in the report (too many, or not recorded)"
            raise UsageError(f"{message}; allowed: a failure that has a sequence")
        write_stdout(shell_script.build_script(steps, contract, failure, settings))
        return ExitCode.PASSED
    return _replay(settings, contract, report, failure, steps, CHECKS if checks is None else checks)


def _replay(
    settings: Settings,
    contract: Contract,
    report: PastReport,
    failure: ReportedFailure,
    steps: sequence.RequestSequence | None,
    checks: Sequence[Check],
) -> int:
    """Judge again, tell what was sent and found, take away what was made."""
    settings, token_command = resolve_token(settings)
    _, notes = resolve_scope(replace(settings, operation=(failure.operation,), tag=(), provenance=()), contract)
    session, target = open_session(settings, contract, secrets.token_hex(4), token_command)
    recorder = Recorder.from_contract(contract)
    remaining: list[tuple[str, object]] = []
    try:
        wait_until_ready(session, settings.wait_ready)
        target.observe = recorder.record
        checks_by_id = {check.id: recorder.track(check) for check in checks}
        try:
            replay_result = replay.replay(session, failure, steps, checks_by_id)
        except BudgetExhausted as error:
            replay_result = replay.ReplayResult(None, str(error))
        finally:
            remaining = _clean_up(session)  # also after Ctrl-C: what was made here is nobody else's to take away
        request_lines = _evidence_lines(recorder, contract, failure, replay_result)
    except TargetUnreachable as error:
        return _print_lines(
            settings,
            contract,
            token_command,
            [f"TARGET LOST (exit {ExitCode.TARGET_UNREACHABLE:d}): {error}"],
            ExitCode.TARGET_UNREACHABLE,
        )
    finally:
        target.close()
    exit_code = {True: ExitCode.FAILED, False: ExitCode.PASSED, None: ExitCode.INCOMPLETE}[replay_result.reproduced]
    difference = report_reader.contract_difference(report, contract)
    result_lines = _result_lines(failure, request_lines, [*([difference] if difference else []), *notes], remaining)
    label = {True: "REPRODUCED", False: "NOT REPRODUCED", None: "NOT TO BE TOLD"}[replay_result.reproduced]
    return _print_lines(
        settings,
        contract,
        token_command,
        [*result_lines, f"{label} (exit {exit_code:d}): {replay_result.message}"],
        exit_code,
    )


def _print_lines(
    settings: Settings,
    contract: Contract,
    token_command: TokenCommand | None,
    result_lines: Sequence[str],
    exit_code: ExitCode,
) -> int:
    redaction = build_redactor(settings, contract, token_command)
    write_stdout("".join(redaction.line(line) + "\n" for line in result_lines))
    return exit_code


def _result_lines(
    failure: ReportedFailure, request_lines: Sequence[str], notes: Sequence[str], remaining: list[tuple[str, object]]
) -> Iterator[str]:
    yield " ".join(filter(None, [failure.operation, failure.parameter, failure.check, failure.id]))
    yield f"due: {failure.requirement}"
    yield f"then: {failure.message}"
    yield f"place: {failure.location}"
    yield from (f"note: {note}" for note in notes)
    yield from (f"{number}. {line}" for number, line in enumerate(request_lines, 1))
    yield from (f"left over on the target: {resource} {key}" for resource, key in remaining)


def _evidence_lines(
    recorder: Recorder, contract: Contract, failure: ReportedFailure, replay_result: replay.ReplayResult
) -> list[str]:
    """The requests that show it now; all of them where nothing is shown."""
    requirement = Requirement(
        failure.check,
        failure.operation,
        failure.requirement,
        failure.pointer,
        "",
        False,
        failure.parameter,
        failure.keyword,
    )
    check_result = CheckResult(requirement, Status.FAILED, replay_result.message, replay_result.evidence)
    steps = sequence.from_recording(recorder, contract, "", check_result) if replay_result.reproduced else None
    listed_steps = steps.steps if steps else recorder.exchanges
    lines = [
        f"{step.request.method.upper()} {step.request.target} answered {step.status}"
        for step in listed_steps[:MAX_LISTED_REQUESTS]
    ]
    return lines + (
        [f"and {len(listed_steps) - MAX_LISTED_REQUESTS} more"] if len(listed_steps) > MAX_LISTED_REQUESTS else []
    )


def _clean_up(session: Session) -> list[tuple[str, object]]:
    try:
        return list(session.clean_up())
    except SuiteError:
        return [(record.resource, record.key) for record in session.write_log.remaining()]
