"""One failure of an earlier report, judged again in a fresh session.

A law is judged anew: it makes by itself what it needs. What any answer may show (a status, a schema, a fault of the
server) and what the engine found is asked again by the requests that the report holds, with the identifiers that the
target gives now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.cause import READ_ONLY, effects
from conformance.errors import CannotMake, UsageError
from conformance.exchange import Exchange, Request
from conformance.laws import answers
from conformance.laws.law import Case, Law
from conformance.outcome import Outcome, Verdict
from conformance.reported import Told
from conformance.rewriting import remarked, renamed
from conformance.run import judged
from conformance.sequence import Sequence, Step, value_at
from conformance.session import Session
from spec.contract import Operation
from spec.document import UNSAFE_METHODS

TIMES = 2  # a failure that depends on the state may need what the first judging leaves behind
NOTICED = frozenset(law.id for law in answers.LAWS)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What became of it. `reproduced`: None when it could not be told, `said` says why; else what was found now."""

    reproduced: bool | None
    said: str = ""
    shown: tuple[Exchange, ...] = ()


def judge(session: Session, failure: Told, steps: Sequence | None, laws: Mapping[str, Law]) -> Reproduction:
    """Judge a failure again. Raises UsageError when neither a law nor requests are known; TargetLost, OutOfBudget."""
    law = laws.get(failure.law)
    operation = session.contract.operations[failure.operation]
    if law is not None and (law.id not in NOTICED or steps is None):
        return _by_law(Case(law, session, operation), failure)
    if steps is None:
        raise UsageError(f"{failure.short}: found the law {failure.law!a:.80} and no requests; allowed: a law of ours")
    try:
        return _by_requests(session, operation, failure, steps)
    except CannotMake as why:
        return Reproduction(None, str(why))


def _by_law(case: Case, failure: Told) -> Reproduction:
    if not case.law.applies(case.session.contract, case.operation):
        return Reproduction(None, f"{case.law.id} is not asked of {case.operation.id} by this contract")
    if case.law.writes and case.session.read_only:
        return Reproduction(None, READ_ONLY.said)
    why = ""
    for _ in range(TIMES):
        outcomes = list(judged(case))
        about = [o for o in outcomes if o.promise.fingerprint == failure.fingerprint]
        for outcome in about:
            if outcome.verdict is Verdict.BROKEN:
                return Reproduction(True, outcome.said, outcome.shown)
        why = _unjudged(about or outcomes)
    return Reproduction(None, why) if why else Reproduction(False, "the promise is kept")


def _unjudged(outcomes: list[Outcome]) -> str:
    return next((o.said for o in outcomes if o.verdict is Verdict.NOT_JUDGED), "")


def _by_requests(session: Session, operation: Operation, failure: Told, steps: Sequence) -> Reproduction:
    """Ask again, step by step; the answers' own breaches decide, or else the status of what was shown."""
    shown: list[tuple[Step, Exchange]] = []
    names: dict[str, Any] = {}
    for number, step in enumerate(steps.steps):
        request = remarked(renamed(session.contract, step.request, names), steps.marker, session.bodies.marker)
        exchange = _sent(session, request, names)
        if step.shown:
            shown.append((step, exchange))
        elif (200 <= step.status < 300) and not exchange.response.ok:
            return Reproduction(None, f"{request.operation} answered {exchange.response.status}, {step.status} then")
        names |= _taken(steps, number, exchange)
    breach = _breach(session, operation, failure)
    if breach is not None:
        return breach
    if failure.law in NOTICED or _of_answers(operation, failure):
        return Reproduction(False, "the answers have no such breach", tuple(exchange for _, exchange in shown))
    step, exchange = shown[-1]
    status = exchange.response.status
    return Reproduction(status == step.status, f"answered {status}, {step.status} then", (exchange,))


def _sent(session: Session, request: Request, names: Mapping[str, Any]) -> Exchange:
    """The answer; nothing is written to a record that is not the run's own. Raises CannotMake."""
    operation = session.contract.operations[request.operation]
    if operation.effects and not session.effects and request.method in UNSAFE_METHODS:
        raise CannotMake(effects(operation))
    own = {str(made.key) for made in session.ledger.made}
    found = {str(name) for name in names.values()}
    foreign = [value for value in request.path.values() if str(value) in found - own]
    if request.method in UNSAFE_METHODS and foreign:
        raise CannotMake(f"{operation.id} would write to {foreign[0]}, which the replay did not make")
    return session.send(
        operation,
        path=request.path,
        query=request.query,
        body=request.body,
        raw=request.raw,
        as_=request.as_,
        headers=request.headers,
        method=request.method,
    )


def _taken(steps: Sequence, number: int, exchange: Exchange) -> dict[str, Any]:
    """The identifiers that later steps need of an answer. Raises CannotMake when it does not show them."""
    names = {}
    for name, source in steps.sources.items():
        if source.step == number:
            names[name] = value_at(exchange.response.json, source.path)
            if names[name] is None:
                at = ".".join(map(str, source.path))
                raise CannotMake(f"the answer of {exchange.request.operation} shows no identifier at {at}")
    return names


def _breach(session: Session, operation: Operation, failure: Told) -> Reproduction | None:
    """The same breach in one of the answers. The engine's own checks go by the place alone."""
    for (asked, name, *_), (notice, exchange) in session.noticed.items():
        law = next((law for law in answers.LAWS if law.id == name), None)
        if law is None or asked != operation.id:
            continue
        promise = Case(law, session, operation).promise(notice.pointer, notice.keyword, notice.parameter)
        same = promise.fingerprint == failure.fingerprint
        if same or (
            failure.law not in NOTICED and _of_answers(operation, failure) and notice.pointer == failure.pointer
        ):
            return Reproduction(True, notice.said, (exchange,))
    return None


def _of_answers(operation: Operation, failure: Told) -> bool:
    """Whether the place of a failure is what an answer holds, so that its status alone says nothing."""
    sent = (f"{operation.pointer}/parameters", f"{operation.pointer}/requestBody")
    statuses = (operation.pointer, f"{operation.pointer}/responses")  # which status, and nothing of its body
    return failure.pointer not in statuses and not failure.pointer.startswith(sent)
