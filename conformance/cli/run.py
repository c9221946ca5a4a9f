"""`athena-conformance run`: checks a backend, writes the reports, and returns the exit code of the gate."""

import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from conformance import schemathesis_engine
from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.checks.unused_extensions import GENERATED, find_unused_extensions, format_unused_extensions
from conformance.cli import wiring
from conformance.cli.reports import ReportBuilder, create_folder, publish
from conformance.config.settings import Settings
from conformance.contract_edits.proposals import build_proposals
from conformance.errors import BudgetExhausted, SkipCheck, TargetUnreachable, missing_credential, user_skipped
from conformance.gate.history import History
from conformance.gate.severities import Severities
from conformance.gate.verdict import GatePolicy, GateResult
from conformance.past_runs.comparison import compare_with_report
from conformance.past_runs.report_reader import read_report
from conformance.reporting import Report
from conformance.results import CheckResult, Status
from conformance.runner.progress import Progress
from conformance.runner.runner import ResultSource, RunResult, aborted_run, build_cases, run
from conformance.session.preflight import credentials_problem, other_token_problem, wait_until_ready
from conformance.session.session import Session
from conformance.trace import sequence
from conformance.trace.recorder import Recorder
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.messages import Request, Response
from conformance.transport.token_refresh import TokenCommand
from spec.model import Contract, Operation


def command(settings: Settings, checks: Sequence[Check] | None = None) -> int:
    """Run the checks and return the exit code. `checks`: all by default. Raises UsageError, ContractError."""
    settings, token_command = wiring.resolve_token(settings)
    contract = wiring.resolve_contract(settings)
    history = History.from_settings(settings, datetime.now(UTC).date())
    if settings.compare is not None:
        read_report(settings.compare)  # a file that is not a report ends the command before any request
    operations, notes = wiring.resolve_scope(settings, contract)
    if settings.report_dir is not None:
        create_folder(settings.report_dir)
    if checks is not None:
        settings = replace(settings, no_fuzzing=True)
    checks = CHECKS if checks is None else checks
    unused = (extension for extension in find_unused_extensions(contract) if extension.reason != GENERATED)
    notes += format_unused_extensions(unused)
    severities = wiring.resolve_severities(settings, checks)
    return publish(
        settings, _build_report(settings, contract, operations, notes, checks, severities, token_command, history)
    )


def _build_report(
    settings: Settings,
    contract: Contract,
    operations: Sequence[Operation],
    notes: Sequence[str],
    checks: Sequence[Check],
    severities: Severities,
    token_command: TokenCommand | None,
    history: History,
) -> Report:
    builder = ReportBuilder(settings, contract)
    session, target = wiring.open_session(settings, contract, builder.run_id, token_command)
    recorder = Recorder.from_contract(contract)
    target.observe = recorder.record
    tracked = [recorder.track(check) for check in checks if not severities.is_off(check.id)]
    with closing(target):
        run_result = _run_checks(settings, session, target, tracked, operations)
    selected = [operation for operation in operations if operation.id not in settings.skip]
    policy = GatePolicy.from_settings(settings, read_only=session.options.read_only)
    policy = replace(policy, baseline=history.baseline, ratchet=history.ratchet, severities=severities)
    gate_result = GateResult(run_result, contract, selected, session.responses.call_counts, policy)
    gate_result = replace(gate_result, writing_checks=frozenset(check.id for check in checks if check.writes))
    gate_result = history.update(gate_result)
    name = wiring.display_path(Path(contract.document.name))
    never_successful, coverage = gate_result.operations_never_successful, session.responses.coverage
    return builder.build(
        target.base,
        target.budget.sent,
        gate_result,
        wiring.build_redactor(settings, contract, token_command),
        notes=(*notes, *severities.notes, *target.throttling.describe()),
        contract_text=contract.document.content.decode("utf-8", "replace"),
        proposals=build_proposals(contract, session.schemas, name, run_result.results),
        coverage=coverage.build_report(selected, never_successful) if coverage else None,
        sequences=_record_sequences(recorder, session, run_result, sequence.from_recording),
        evidence_sequences=_record_sequences(recorder, session, run_result, sequence.from_evidence),
        report_dir=str(settings.report_dir or ""),
        write_log=str(wiring.write_log_path(settings) or ""),
        comparison=compare_with_report(settings.compare, gate_result) if settings.compare else None,
    )


def _record_sequences(
    recorder: Recorder,
    session: Session,
    run_result: RunResult,
    build: Callable[[Recorder, Contract, str, CheckResult], sequence.RequestSequence | None],
) -> dict[str, sequence.RequestSequence]:
    """Fingerprint of a failure -> the requests that reproduce it, where the recording has all of them."""
    contract, marker = session.contract, session.payloads.marker
    return {
        failure.requirement.fingerprint: steps
        for failure in (*run_result.with_status(Status.FAILED), *run_result.flaky)
        if (steps := build(recorder, contract, marker, failure)) is not None
    }


def _run_checks(
    settings: Settings, session: Session, target: HttpTarget, checks: Sequence[Check], operations: Sequence[Operation]
) -> RunResult:
    """Wait for the target, test the tokens, then run checks and Schemathesis."""
    try:
        problem = find_target_problem(settings, session, operations)
    except (TargetUnreachable, BudgetExhausted, SkipCheck, KeyboardInterrupt) as error:
        is_unreachable, problem = isinstance(error, TargetUnreachable), str(error) or "interrupted"
        return aborted_run(session, checks, operations, problem, target_unreachable=is_unreachable)
    if problem:
        return aborted_run(session, checks, operations, problem)
    selected = [operation for operation in operations if operation.id not in session.options.skipped_operations]
    case_keys = {(case.check.id, case.operation.id) for case in build_cases(session, checks, selected)}
    progress = Progress(case_keys, sys.stderr or io.StringIO(), target.budget.deadline)
    record_exchange = target.observe

    def observe(request: Request, response: Response) -> None:
        record_exchange(request, response)
        progress.record_request()

    target.observe = observe
    sources = [] if settings.no_fuzzing else [_engine_source(settings, selected, progress, target.budget)]
    try:
        start_cleanup = target.budget.start_cleanup
        run_result = run(
            session, checks, selected, progress.record_result, before_cleanup=start_cleanup, sources=sources
        )
    finally:
        progress.clear()
    for case in build_cases(session, checks, [operation for operation in operations if operation not in selected]):
        message = session.options.skipped_operations[case.operation.id]
        create_reason = user_skipped if case.operation.id in settings.skip else missing_credential
        reason = create_reason(message)
        run_result.results.append(case.skip(case.build_requirement(), reason))
    return run_result


def _engine_source(
    settings: Settings, operations: Sequence[Operation], progress: Progress, budget: Budget
) -> ResultSource:
    """Schemathesis as a source of results, with the depth of the profile and the deadline of the run."""
    seconds_left = None if budget.deadline is None else lambda: budget.limit(math.inf)

    def run_engine(session: Session) -> Iterator[schemathesis_engine.EngineResult]:
        progress.finish_cases()
        depth = schemathesis_engine.DEPTHS[settings.profile]
        return schemathesis_engine.run_engine(
            session, operations, seed=settings.seed, depth=depth, seconds_left=seconds_left
        )

    return run_engine


def find_target_problem(settings: Settings, session: Session, operations: Sequence[Operation]) -> str:
    """Wait for the target and test the tokens; why one is unusable, or "". Raises what `wait_until_ready` raises."""
    exchanges = wait_until_ready(session, settings.wait_ready) if operations else []
    if not any(operation.security for operation in operations):
        return ""
    secured = [exchange for exchange in exchanges if session.contract.operations[exchange.request.operation].security]
    probed = [session.contract.operations[exchange.request.operation] for exchange in secured]
    credentials = session.client.credentials
    description = credentials.describe(probed[0].id, settings.token_env) if probed else ""
    problem = credentials_problem(secured, description)
    probed = [operation for operation in probed if credentials.needs_token(operation.id)]
    if problem or not probed or not settings.other_token:
        return problem
    return other_token_problem(session, probed, settings.other_token_env)
