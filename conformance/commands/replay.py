"""`athena-conformance replay`: one failure of an earlier run, judged again from a fresh state, or as a script."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from conformance import reported, reproduction, script, sequence
from conformance.connection import contract_of, redaction_of, scope, session_of, signed_in
from conformance.errors import OutOfBudget, SuiteError, TargetLost, UsageError
from conformance.laws import LAWS
from conformance.laws.law import Law
from conformance.outcome import Outcome, Promise, Verdict
from conformance.output import say
from conformance.readiness import await_ready
from conformance.recording import Recorder
from conformance.reported import Reported, Told
from conformance.session import Session
from conformance.settings import Settings
from conformance.token import TokenCommand
from conformance.verdict import Code
from spec.contract import Contract

STEPS = 30  # requests that are listed


def command(settings: Settings, laws: Sequence[Law] | None = None) -> int:
    """Judge again; 1: reproduced, 0: not. `laws`: instead of all that there are. Raises UsageError, ContractError."""
    contract = contract_of(settings)
    said = reported.read(Path(settings.arguments[0]))
    failure = said.failure(settings.arguments[1])
    if failure.operation not in contract.operations:
        raise UsageError(f"{said.file}: found the operation {failure.operation[:80]!a}; allowed: one of the contract's")
    settings = replace(settings, base_url=settings.base_url or said.target, seed=said.seed)
    steps = None if failure.sequence is None else sequence.read(failure.sequence, contract)
    if settings.sh:
        if steps is None:
            found = f"{failure.short}: found no requests in the report (too many, or not recorded)"
            raise UsageError(f"{found}; allowed: a failure that has a sequence")
        say(script.of(steps, contract, failure, settings))
        return Code.KEPT
    return _replayed(settings, contract, said, failure, steps, LAWS if laws is None else laws)


def _replayed(
    settings: Settings,
    contract: Contract,
    said: Reported,
    failure: Told,
    steps: sequence.Sequence | None,
    laws: Sequence[Law],
) -> int:
    """Judge again, tell what was sent and found, take away what was made."""
    settings, command = signed_in(settings)
    _, notes = scope(replace(settings, operation=(failure.operation,), tag=(), only=()), contract)
    session, target = session_of(settings, contract, secrets.token_hex(4), command)
    recorder = Recorder.of(contract)
    left: list[tuple[str, object]] = []
    try:
        await_ready(session, settings.wait_ready)
        target.observe = recorder.note
        known = {law.id: recorder.watching(law) for law in laws}
        try:
            found = reproduction.judge(session, failure, steps, known)
        except OutOfBudget as error:
            found = reproduction.Reproduction(None, str(error))
        finally:
            left = _cleaned(session)  # also after Ctrl-C: what was made here is nobody else's to take away
        sent = _sent(recorder, contract, failure, found)
    except TargetLost as error:
        return _tell(settings, contract, command, [f"TARGET LOST (exit {Code.LOST:d}): {error}"], Code.LOST)
    finally:
        target.close()
    code = {True: Code.BROKEN, False: Code.KEPT, None: Code.INCOMPLETE}[found.reproduced]
    other = reported.differs(said, contract)
    told = _told(failure, sent, [*([other] if other else []), *notes], left)
    word = {True: "REPRODUCED", False: "NOT REPRODUCED", None: "NOT TO BE TOLD"}[found.reproduced]
    return _tell(settings, contract, command, [*told, f"{word} (exit {code:d}): {found.said}"], code)


def _tell(settings: Settings, contract: Contract, command: TokenCommand | None, told: Sequence[str], code: Code) -> int:
    redaction = redaction_of(settings, contract, command)
    say("".join(redaction.line(line) + "\n" for line in told))
    return code


def _told(failure: Told, sent: Sequence[str], notes: Sequence[str], left: list[tuple[str, object]]) -> Iterator[str]:
    yield " ".join(filter(None, [failure.operation, failure.parameter, failure.law, failure.short]))
    yield f"due: {failure.sentence}"
    yield f"then: {failure.said}"
    yield f"place: {failure.place}"
    yield from (f"note: {note}" for note in notes)
    yield from (f"{number}. {line}" for number, line in enumerate(sent, 1))
    yield from (f"left over on the target: {resource} {key}" for resource, key in left)


def _sent(recorder: Recorder, contract: Contract, failure: Told, found: reproduction.Reproduction) -> list[str]:
    """The requests that show it now; all of them where nothing is shown."""
    promise = Promise(
        failure.law, failure.operation, failure.sentence, failure.pointer, "", False, failure.parameter, failure.keyword
    )
    shown = Outcome(promise, Verdict.BROKEN, found.said, found.shown)
    steps = sequence.of(recorder, contract, "", shown) if found.reproduced else None
    asked = steps.steps if steps else recorder.sent
    lines = [f"{s.request.method.upper()} {s.request.target} answered {s.status}" for s in asked[:STEPS]]
    return lines + ([f"and {len(asked) - STEPS} more"] if len(asked) > STEPS else [])


def _cleaned(session: Session) -> list[tuple[str, object]]:
    try:
        return list(session.clean())
    except SuiteError:
        return [(made.resource, made.key) for made in session.ledger.left()]
