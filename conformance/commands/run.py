"""`athena-conformance run`: judges a backend, reports, and ends with the verdict's code."""

import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from conformance import engine, sequence
from conformance.cause import skipped
from conformance.connection import contract_of, ledger_file, redaction_of, scope, session_of, shown, signed_in
from conformance.errors import OutOfBudget, TargetLost, UsageError
from conformance.exchange import Exchange, Request, Response
from conformance.history import History
from conformance.laws import LAWS
from conformance.laws.law import Law
from conformance.outcome import Outcome, Verdict
from conformance.output import say
from conformance.profile import profile
from conformance.progress import Progress
from conformance.proposal import proposals
from conformance.readiness import await_ready, refused_token
from conformance.recording import Recorder
from conformance.report import Report, github, terminal
from conformance.report.files import FILES
from conformance.run import Run, Source, cases_of, not_begun, run
from conformance.session import Session
from conformance.settings import Settings
from conformance.target import HttpTarget
from conformance.token import TokenCommand
from conformance.verdict import Demands, Judgement, judge
from spec.contract import Contract, Operation
from spec.document import find_line_numbers


def command(settings: Settings, laws: Sequence[Law] | None = None) -> int:
    """Judge; the exit status. `laws`: instead of all that there are. Raises UsageError, ContractError."""
    settings, command = signed_in(settings)
    contract = contract_of(settings)
    history = History.of(settings, datetime.now(UTC).date())
    operations, notes = scope(settings, contract)
    _folder(settings.report_dir)
    if laws is not None:
        settings = replace(settings, no_engine=True)
    every = LAWS if laws is None else laws
    return publish(settings, _reported(settings, contract, operations, notes, every, command, history))


def publish(settings: Settings, report: Report) -> int:
    """Write every report that is asked for; the exit status. Raises UsageError."""
    folder = _folder(settings.report_dir)
    said = terminal.render(report)
    if settings.github:
        said = "".join(f"{github.neutral(line)}\n" for line in said.splitlines()) + github.render(report)
    say(said)
    if folder is not None:
        for name, render in FILES.items():
            _write(folder / name, render(report))
    return int(report.judgement.code)


def _reported(
    settings: Settings,
    contract: Contract,
    operations: Sequence[Operation],
    notes: Sequence[str],
    laws: Sequence[Law],
    command: TokenCommand | None,
    history: History,
) -> Report:
    """Run, judge, and gather what reports say."""
    run_id, started, clock = secrets.token_hex(4), datetime.now(UTC), time.monotonic()
    session, target = session_of(settings, contract, run_id, command)
    recorder = Recorder.of(contract)
    target.observe = recorder.note
    laws = [recorder.watching(law) for law in laws]
    try:
        found = _found(settings, session, target, laws, operations)
    finally:
        target.close()
    asked = [operation for operation in operations if operation.id not in session.skipped]
    judgement = history.judgement(found, contract, lambda known: _judged(settings, known, found, session, asked))
    name = shown(Path(contract.document.name))
    return Report(
        target.base,
        name,
        contract.document.digest,
        run_id,
        settings.seed,
        started.isoformat(timespec="seconds"),
        time.monotonic() - clock,
        target.budget.sent,
        settings.strict,
        session.read_only,
        settings.token_env,
        settings.other_token_env,
        tuple(notes),
        found,
        judgement,
        redaction_of(settings, contract, command),
        find_line_numbers(contract.document.content),
        session.seen,
        text=contract.document.content.decode("utf-8", "replace"),
        proposals=proposals(contract, session.schemas, name, found.outcomes),
        covered=session.coverage.covered(asked, judgement.unsucceeded) if session.coverage else None,
        sequences=_sequences(recorder, session, found),
        folder=str(settings.report_dir or ""),
        ledger=str(ledger_file(settings) or ""),
    )


def _sequences(recorder: Recorder, session: Session, found: Run) -> dict[str, sequence.Sequence]:
    """The requests that show each broken promise, where they could be told apart."""
    marker = session.bodies.marker
    shown = {o.promise.fingerprint: sequence.of(recorder, session.contract, marker, o) for o in _broken(found)}
    return {mark: steps for mark, steps in shown.items() if steps is not None}


def _broken(found: Run) -> list[Outcome]:
    return [*found.of(Verdict.BROKEN), *found.flaky]


def _judged(
    settings: Settings, history: History, found: Run, session: Session, operations: Sequence[Operation]
) -> Judgement:
    """The judgement over a run, by what is known of earlier ones."""
    demands = Demands(
        settings.strict,
        settings.min_reached,
        session.read_only,
        settings.allow_effects,
        settings.flaky_limit,
        history.baseline,
        history.ratchet,
    )
    return judge(found, session.contract, operations, session.seen, demands)


def _found(
    settings: Settings, session: Session, target: HttpTarget, laws: Sequence[Law], operations: Sequence[Operation]
) -> Run:
    """Look whether there is an API that takes the token, then judge."""
    try:
        answers = await_ready(session, settings.wait_ready) if operations else []
    except (TargetLost, OutOfBudget) as error:
        return not_begun(session, laws, operations, str(error), lost=isinstance(error, TargetLost))
    except KeyboardInterrupt:
        return not_begun(session, laws, operations, "interrupted")
    why = refused(settings, session, answers) if any(o.security for o in operations) else ""
    if why:
        return not_begun(session, laws, operations, why)
    asked = [operation for operation in operations if operation.id not in session.skipped]
    due = ((case.law.id, case.operation.id) for case in cases_of(session, laws, asked))
    progress = Progress(due, sys.stderr, target.budget.until)
    note = target.observe

    def observed(request: Request, response: Response) -> None:
        note(request, response)
        progress.asked()

    target.observe = observed
    try:
        sources = [] if settings.no_engine else [_engine(settings, asked, progress)]
        found = run(session, laws, asked, progress.told, before_cleaning=target.budget.lift, sources=sources)
    finally:
        progress.end()
    for case in cases_of(session, laws, [operation for operation in operations if operation not in asked]):
        found.outcomes.append(case.not_judged(case.promise(), skipped(session.skipped[case.operation.id])))
    return found


def _engine(settings: Settings, operations: Sequence[Operation], progress: Progress) -> Source:
    """The stock engine as a source of outcomes, as deep as the profile says."""
    depth: engine.Depth = getattr(engine, profile(settings.profile).depth)

    def judge(session: Session) -> Iterator[tuple[Outcome, tuple[int, int]]]:
        progress.through()
        for one in engine.judge(session, operations, seed=settings.seed, depth=depth, told=lambda outcome: None):
            yield one.outcome, (one.broken, one.times)

    return judge


def refused(settings: Settings, session: Session, answers: Sequence[Exchange]) -> str:
    """Why the tokens are of no use, "" when they are: what would be judged with them is not the backend."""
    guarded = [a for a in answers if session.contract.operations[a.request.operation].security]
    why = refused_token(guarded, settings.token_env)
    if why or not guarded or not settings.other_token:
        return why
    asked = session.contract.operations[guarded[0].request.operation]
    return refused_token([session.send(asked, as_="other")], settings.other_token_env)


def _folder(path: Path | None) -> Path | None:
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report-dir: found {path} ({error.strerror}); allowed: a folder to write to") from None
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--report-dir: found {path} ({error.strerror}); allowed: a folder to write to") from None
