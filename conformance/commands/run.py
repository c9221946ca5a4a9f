"""`athena-conformance run`: judges a backend, reports, and ends with the verdict's code."""

import secrets
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from conformance import sequence
from conformance.connection import contract_of, scope, session_of, shown
from conformance.errors import OutOfBudget, TargetLost, UsageError
from conformance.exchange import Exchange
from conformance.laws import LAWS
from conformance.laws.law import Law
from conformance.outcome import Outcome, Verdict
from conformance.proposal import proposals
from conformance.readiness import await_ready, refused_token
from conformance.recording import Recorder
from conformance.redaction import Redaction
from conformance.report import Report, terminal
from conformance.report.files import FILES
from conformance.run import Run, not_begun, run
from conformance.session import Session
from conformance.settings import Settings
from conformance.target import HttpTarget
from conformance.verdict import Demands, judge
from spec.contract import Contract, Operation
from spec.document import lines


def command(settings: Settings, laws: Sequence[Law] | None = None) -> int:
    """Judge; the exit status. `laws`: instead of all that there are. Raises UsageError, ContractError."""
    contract = contract_of(settings)
    operations, notes = scope(settings, contract)
    _folder(settings.report_dir)
    return publish(settings, _reported(settings, contract, operations, notes, LAWS if laws is None else laws))


def publish(settings: Settings, report: Report) -> int:
    """Write every report that is asked for; the exit status. Raises UsageError."""
    folder = _folder(settings.report_dir)
    sys.stdout.write(terminal.render(report))
    sys.stdout.flush()
    if folder is not None:
        for name, render in FILES.items():
            _write(folder / name, render(report))
    return int(report.judgement.code)


def _reported(
    settings: Settings, contract: Contract, operations: Sequence[Operation], notes: Sequence[str], laws: Sequence[Law]
) -> Report:
    """Run, judge, and gather what reports say."""
    run_id, started, clock = secrets.token_hex(4), datetime.now(UTC), time.monotonic()
    session, target = session_of(settings, contract, run_id)
    recorder = Recorder.of(contract)
    target.observe = recorder.note
    laws = [recorder.watching(law) for law in laws]
    demands = Demands(settings.strict, settings.min_reached, session.read_only, settings.allow_effects)
    try:
        found = _found(settings, session, target, laws, operations)
    finally:
        target.close()
        session.ledger.close()
    given = [value for _, value in settings.header if len(value) >= 8]
    judgement, name = judge(found, contract, operations, session.seen, demands), shown(Path(contract.document.name))
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
        Redaction.of(contract, [settings.token, settings.other_token, *given]),
        lines(contract.document.text),
        session.seen,
        text=contract.document.text.decode("utf-8", "replace"),
        proposals=proposals(contract, session.schemas, name, found.outcomes),
        covered=session.coverage.covered(operations, judgement.unsucceeded) if session.coverage else None,
        sequences=_sequences(recorder, session, found),
    )


def _sequences(recorder: Recorder, session: Session, found: Run) -> dict[str, sequence.Sequence]:
    """The requests that show each broken promise, where they could be told apart."""
    marker = session.bodies.marker
    shown = {o.promise.fingerprint: sequence.of(recorder, session.contract, marker, o) for o in _broken(found)}
    return {mark: steps for mark, steps in shown.items() if steps is not None}


def _broken(found: Run) -> list[Outcome]:
    return [*found.of(Verdict.BROKEN), *found.flaky]


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
    refused = _refused(settings, session, answers) if any(o.security for o in operations) else ""
    if refused:
        return not_begun(session, laws, operations, refused)
    try:
        return run(session, laws, operations, _progress(), before_cleaning=target.budget.lift)
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


def _refused(settings: Settings, session: Session, answers: Sequence[Exchange]) -> str:
    """Why the tokens are of no use, "" when they are: what would be judged with them is not the backend."""
    guarded = [a for a in answers if session.contract.operations[a.request.operation].security]
    refused = refused_token(guarded, settings.token_env)
    if refused or not guarded or not settings.other_token:
        return refused
    asked = session.contract.operations[guarded[0].request.operation]
    return refused_token([session.send(asked, as_="other")], settings.other_token_env)


def _progress() -> Callable[[Outcome], None]:
    """Says on a terminal how far the run is."""
    told = dict.fromkeys(Verdict, 0)

    def progress(outcome: Outcome) -> None:
        told[outcome.verdict] += 1
        if sys.stderr.isatty():
            counts = ", ".join(f"{count} {verdict.value}" for verdict, count in told.items())
            sys.stderr.write(f"\r\x1b[K{counts}; now {outcome.promise.law} on {outcome.promise.operation}")
            sys.stderr.flush()

    return progress


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
