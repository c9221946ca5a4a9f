"""From what the engine did to outcomes: each promise once, at its place, a broken one only after its replays."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from schemathesis.core.failures import Failure
from schemathesis.engine import Status as ScenarioStatus
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import AllowHeaderMismatch, UseAfterFree

from conformance.cause import SkipReason
from conformance.engine.adapter import NOT_AS_DUE, no_files, scenarios, schema_of
from conformance.engine.checks import CHECKS, TOLD, Check, Seen
from conformance.engine.depth import Depth
from conformance.engine.guard import Guard, HeldBack, exclusion
from conformance.engine.judged import Judged
from conformance.engine.places import Place, broken_at, ordinary
from conformance.engine.replay import Chain, again, chain_of
from conformance.engine.wire import Wire
from conformance.errors import BudgetExhausted, TargetUnreachable
from conformance.exchange import Exchange
from conformance.notice import inspect_response
from conformance.outcome import CheckResult, Requirement, Status
from conformance.session import Session
from spec.contract import Operation
from spec.provenance import INFERRED, get_provenance

THROTTLED = 429  # says nothing of the operation; the target was patient before
UNASKED = "no case of the engine came to it"


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise, the case that shows it, and how to make it anew. `size`: of its requests."""

    promise: Requirement
    check: Check
    said: str
    shown: tuple[Exchange, ...]
    chain: Chain
    size: int


@dataclass(slots=True)
class Findings:
    """What became of the promises so far.

    `judged`: (operation, check) that ran. `held`: operation -> why its first case was held back. `succeeded`:
    operations that did.
    """

    session: Session
    wire: Wire
    judged: set[tuple[str, str]] = field(default_factory=set)
    found: dict[str, Finding] = field(default_factory=dict)
    held: dict[str, SkipReason] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)

    def take(self, recorder: ScenarioRecorder) -> None:
        """Note what one scenario showed, and let go of it."""
        for case_id, node in recorder.cases.items():
            operation = self.wire.operation(node.value)
            if case_id in self.wire.held:
                self.held.setdefault(operation.id, self.wire.held[case_id])
            elif case_id in self.wire.exchanges and self.wire.exchanges[case_id].response.status != THROTTLED:
                seen = Seen(operation, node.value, self.wire.exchanges[case_id], recorder)
                if seen.plain and seen.exchange.response.ok:
                    self.succeeded.add(operation.id)
                self._told(seen)
                self._checked(seen)
        self.wire.forget(recorder.cases)

    def _told(self, seen: Seen) -> None:
        """What our own notices say of the answer: they give the place."""
        if not seen.plain:
            return
        for notice in inspect_response(self.session.schemas, seen.operation, seen.exchange):
            check = TOLD[notice.check]
            where, parameter = notice.pointer, notice.parameter
            if check.always:
                broken = None if seen.valid else broken_at(self.session, seen.operation, seen.exchange.request)
                parameter = broken.parameter if broken else ""
            place = Place(where, notice.keyword, parameter, notice.message)
            self._find(seen, check, place, None, (notice.check, notice.pointer, notice.keyword))

    def _checked(self, seen: Seen) -> None:
        """What Schemathesis's checks say of the case."""
        for node in seen.recorder.checks.get(seen.case.id, ()):
            check = CHECKS.get(node.name)
            if check is None or not check.applies(seen):
                continue
            self.judged.add((seen.operation.id, check.name))
            if node.status == ScenarioStatus.FAILURE and node.failure_info is not None:
                failure = node.failure_info.failure
                place = place_of_failure(self.session, seen, check, failure, _probes(self.wire, seen, failure))
                if place is not None:
                    self._find(seen, check, place, failure)

    def _find(
        self,
        seen: Seen,
        check: Check,
        place: Place,
        failure: Failure | None,
        notice: tuple[str, str, str | None] | None = None,
    ) -> None:
        known = get_provenance(self.session.contract.document, place.pointer, place.keyword)
        if not seen.valid and not check.told and known != INFERRED:
            known = self._refusal(seen.operation)  # that it is refused has to be known as well
        promise = Requirement(
            check.law, seen.operation.id, check.sentence, place.pointer, known, check.always, place.parameter
        )
        self.judged.add((seen.operation.id, check.name))
        chain = chain_of(self.wire, seen, failure, notice)
        shown = (*chain.exchanges, *_probes(self.wire, seen, failure))
        size = sum(len(one.request.target) + len(str(one.request.body or one.request.raw_body or "")) for one in shown)
        before = self.found.get(promise.fingerprint)
        if before is None or size < before.size:
            self.found[promise.fingerprint] = Finding(promise, check, place.said, shown, chain, size)

    def _refusal(self, operation: Operation) -> str:
        """How far it is known that the operation refuses what the contract does not admit."""
        refusals = [status for status in operation.responses if status in NOT_AS_DUE]
        if not refusals:
            return INFERRED
        return get_provenance(self.session.contract.document, operation.responses[max(refusals)] or operation.pointer)


def judged(
    session: Session,
    operations: Sequence[Operation],
    *,
    seed: int,
    depth: Depth,
    told: Callable[[CheckResult], None],
) -> Iterator[Judged]:
    """See `conformance.engine.judge`."""
    asked, left_out = divided(session, operations)
    yield from _telling(told, (_not_judged(operation, why) for operation, why in left_out))
    if not asked:
        return
    guard = Guard(session, depth.expensive)
    wire = Wire(session, guard)
    findings = Findings(session, wire)
    before = set(session.findings)
    ended = _gathered(findings, asked, seed, depth)
    missed = f"not reached: {str(ended) or 'interrupted'}" if ended is not None else UNASKED
    yield from _telling(told, _kept(findings, asked, missed if "coverage" in depth.phases else ""))
    yield from _telling(told, _troubled(findings, asked))
    guard.tries *= 2
    for finding in findings.found.values():
        one = _unjudged(finding, "the run ended before it was judged again")
        if ended is None:
            try:
                one = _replayed(wire, finding, depth.replays)
            except (BudgetExhausted, TargetUnreachable, KeyboardInterrupt) as error:
                ended = error
        yield from _telling(told, [one])
    # what the engine's traffic showed was told here, with its replays
    for at in set(session.findings) - before:
        del session.findings[at]
    if ended is not None:
        raise ended


def _gathered(findings: Findings, asked: Sequence[Operation], seed: int, depth: Depth) -> BaseException | None:
    """Let the engine work; what ended it before its time."""
    try:
        with no_files():
            for recorder in scenarios(schema_of(findings.wire, asked, seed, depth)):
                findings.take(recorder)
    except (BudgetExhausted, TargetUnreachable, KeyboardInterrupt) as error:
        return error
    return None


def divided(
    session: Session, operations: Sequence[Operation]
) -> tuple[list[Operation], list[tuple[Operation, SkipReason]]]:
    """The operations that may be asked, and the others with why not."""
    asked: list[Operation] = []
    left_out: list[tuple[Operation, SkipReason]] = []
    for operation in operations:
        why = exclusion(session.contract, operation, read_only=session.read_only, effects=session.allow_effects)
        if why:
            left_out.append((operation, why))
        else:
            asked.append(operation)
    return asked, left_out


def _telling(told: Callable[[CheckResult], None], those: Iterable[Judged]) -> Iterator[Judged]:
    for one in those:
        told(one.outcome)
        yield one


def _kept(findings: Findings, asked: Sequence[Operation], missed: str) -> Iterator[Judged]:
    """Each check on each operation on which it ran and held.

    What was held back is not judged; nor is what no case came to, and why (`missed`); "": it was not due.
    """
    broken = {(one.promise.operation, one.check.name) for one in findings.found.values()}
    for operation in asked:
        names = [name for name in CHECKS if (operation.id, name) in findings.judged]
        for name in names:
            if (operation.id, name) not in broken:
                yield Judged(CheckResult(_promise(findings.session, operation, CHECKS[name]), Status.PASSED))
        if operation.id in findings.held and operation.id not in findings.succeeded:
            yield _not_judged(operation, findings.held[operation.id])
        elif missed and not names:
            yield _not_judged(operation, missed)


def _troubled(findings: Findings, asked: Sequence[Operation]) -> Iterator[Judged]:
    """What Schemathesis could not go on with."""
    for label, error in findings.wire.troubles:
        for operation in asked:
            if label == f"{operation.method.upper()} {operation.path}":
                yield _not_judged(operation, f"Schemathesis could not go on with it: {error!r:.300}", "cases")


def _promise(session: Session, operation: Operation, check: Check) -> Requirement:
    known = get_provenance(session.contract.document, operation.pointer)
    return Requirement(check.law, operation.id, check.sentence, operation.pointer, known, check.always)


def _not_judged(operation: Operation, why: SkipReason | str, parameter: str = "") -> Judged:
    check = CHECKS["positive_data_acceptance"]
    place = f"{operation.pointer}/responses"
    promise = Requirement(check.law, operation.id, check.sentence, place, INFERRED, parameter=parameter)
    return Judged(CheckResult.skip(promise, why), times=0)


def _unjudged(finding: Finding, why: str) -> Judged:
    said = f"broken once, and {why}: {finding.said}"
    return Judged(CheckResult(finding.promise, Status.SKIPPED, said, finding.shown), 1, 1)


def _replayed(wire: Wire, finding: Finding, times: int) -> Judged:
    try:
        broken = 1 + sum(again(wire, finding.chain, finding.check) for _ in range(times))
    except HeldBack as error:
        return _unjudged(finding, f"not to be made anew ({error})")
    return Judged(CheckResult(finding.promise, Status.FAILED, finding.said, finding.shown), broken, 1 + times)


def _probes(wire: Wire, seen: Seen, failure: Failure | None) -> tuple[Exchange, ...]:
    """What a check itself asked, when the breach shows there."""
    other = failure.case_id if failure is not None else None
    if other is None or other == seen.case.id or other not in wire.exchanges:
        return ()
    return (wire.exchanges[other],)


def place_of_failure(
    session: Session, seen: Seen, check: Check, failure: Failure, probes: tuple[Exchange, ...]
) -> Place | None:
    """Where a failure stands; None where our reading of the contract, or a usual server, knows no breach."""
    operation, status = seen.operation, seen.exchange.response.status
    said = " ".join(failure.message.split())[:300] or failure.title
    responses = f"{operation.pointer}/responses"
    if check.told:
        # our notices tell it, all but what they do not look at: another method than the contract's
        plain = seen.plain or check.name != "not_a_server_error"
        return None if plain else Place(operation.pointer, None, seen.case.method, f"{said} ({status})")
    if check.name == "negative_data_rejection":
        broken = broken_at(session, operation, seen.exchange.request)
        if broken is None:
            return None
        return replace(broken, said=f"{broken.said}; answered {status}, due: a refusal")
    if check.name == "positive_data_acceptance":
        fits = ordinary(seen.exchange.request) and broken_at(session, operation, seen.exchange.request) is None
        return Place(responses, "*", str(status), f"what the contract admits was answered {status}") if fits else None
    if _usual(session, seen, check, failure, probes):
        return None
    if check.name == "unsupported_method":
        return Place(responses, "*", seen.case.method, said)
    if check.name == "allow_header_conformance":
        return Place(responses, "*", "Allow", said)
    return Place(operation.pointer, None, failure.free.split()[0] if isinstance(failure, UseAfterFree) else "", said)


def _usual(session: Session, seen: Seen, check: Check, failure: Failure, probes: tuple[Exchange, ...]) -> bool:
    """Whether a usual server does so, and breaks nothing that the contract says."""
    if isinstance(failure, AllowHeaderMismatch):
        return not failure.missing_methods  # routers join what all templates that fit the path allow
    if check.name == "unsupported_method":
        return _routed(session, seen)
    if check.name == "missing_required_header":
        return not seen.exchange.response.ok  # refused for another reason first
    # refused in another way than with 401: laws judge how
    return check.name == "ignored_auth" and (not _succeeds(probes) or (not probes and _known(session, seen)))


def _known(session: Session, seen: Seen) -> bool:
    """Whether the run's own bearer, which opens the operation by itself, went with a case.

    One alternative that is met is enough: a header of another scheme, made up by the engine, takes nothing away. The
    documented requests send it blank beside the bearer.
    """
    schemes = session.contract.security_schemes
    alone = [alternative[0] for alternative in seen.operation.security if len(alternative) == 1]
    return seen.exchange.request.actor == "self" and any(schemes[name].get("scheme") == "bearer" for name in alone)


def _succeeds(probes: tuple[Exchange, ...]) -> bool:
    return not probes or probes[-1].response.ok


def _routed(session: Session, seen: Seen) -> bool:
    """Whether another template of the contract takes the same path with that method."""
    path = seen.operation.path.split("/")
    return any(
        other.method == seen.case.method.lower()
        and len(parts := other.path.split("/")) == len(path)
        and all("{" in (a + b) or a == b for a, b in zip(parts, path, strict=True))
        for other in session.contract.operations.values()
    )
