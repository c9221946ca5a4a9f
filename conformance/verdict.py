"""From what became of each promise to one exit code, and the sentences that say why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from conformance.baseline import Baseline
from conformance.cause import Cause, Reason
from conformance.laws.acting import acts, grants_of
from conformance.outcome import Outcome, Verdict
from conformance.ratchet import Mark, Ratchet, mark_of
from conformance.run import Run
from spec.contract import Contract, Operation

EXCUSED = (Cause.SKIPPED, Cause.CHOSEN, Cause.NO_WAY)
NOT_NOW = "kept by an earlier run, not judged now"
CAUSES = 3  # causes that a sentence names
LONGEST = 160  # of a cause: what differs from one to the next of the same kind stands at its end


class Code(IntEnum):
    """What the command ends with; of those that fit, the first in the order 3, 1, 6, 4, 5, 0."""

    KEPT = 0
    BROKEN = 1
    USAGE = 2
    LOST = 3
    NOTHING = 4
    INCOMPLETE = 5
    UNSTABLE = 6


@dataclass(frozen=True, slots=True)
class Demands:
    """What a run has to come up to. `min_reached`: per cent of the promises that block. `effects`: whether operations
    with effects may be used. `flaky_limit`: failures that went away by themselves, per cent of the requests.
    `baseline`: failures that are accepted. `ratchet`: what was kept before."""

    strict: bool = False
    min_reached: float = 90.0
    read_only: bool = False
    effects: bool = False
    flaky_limit: float = 0.5
    baseline: Baseline | None = None
    ratchet: Ratchet = field(default_factory=Ratchet)

    def accepts(self, outcome: Outcome) -> bool:
        """Whether a failure is accepted."""
        return self.baseline is not None and self.baseline.accepts(outcome)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The end of a run.

    `reasons`: sentences for people, the weightiest first. `blocking`, `gaps`: broken promises that are red, and those
    that rest on inferred places only. `causes`: why promises were not judged -> how many. `reached` of `due`: blocking
    promises that were judged, of those that could be. `unsucceeded`: operations that never succeeded -> why.
    `unasked`: named actions that never succeeded, as no law could ask them for a success. `accepted`: broken promises
    that the baseline accepts. `remarks`: sentences that change no code: what is late, stale, expired, recorded and not
    judged.
    """

    code: Code
    reasons: tuple[str, ...]
    kept: int
    blocking: tuple[Outcome, ...]
    gaps: tuple[Outcome, ...]
    flaky: tuple[Outcome, ...]
    causes: Mapping[Reason, int]
    reached: int
    due: int
    unsucceeded: Mapping[str, str]
    unasked: tuple[str, ...]
    accepted: tuple[Outcome, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def ordered_causes(self) -> list[tuple[Reason, int]]:
        """Why promises were not judged -> how many, the most first."""
        return sorted(self.causes.items(), key=lambda item: (-item[1], item[0].said))

    @property
    def judged(self) -> int:
        """How many promises were judged."""
        return self.kept + len(self.blocking) + len(self.gaps) + len(self.flaky) + len(self.accepted)


def judge(
    found: Run,
    contract: Contract,
    scope: Sequence[Operation],
    seen: Mapping[tuple[str, int], int],
    demands: Demands,
) -> Judgement:
    """The judgement over a run. `scope`: the operations asked for; `seen`: (operationId, status) -> how often."""
    sorted_out = _Sorted.of(found, demands, scope)
    begun = not found.lost and (bool(sorted_out.all_judged) or not found.ended)
    failed = dict(_unsucceeded(found, contract, scope, seen, demands)) if begun else {}
    missed = [o for o in found.of(Verdict.NOT_JUDGED) if not excused(o, contract, demands)]
    blocking_missed = [o for o in missed if o.promise.blocks(strict=demands.strict)]
    told = {mark_of(o.promise) for o in blocking_missed}
    recorded = [m for m in _within(sorted_out.unjudged, found, contract, demands) if m not in told]
    reached = sum(o.promise.blocks(strict=demands.strict) for o in sorted_out.all_judged)
    unasked = tuple(o.id for o in scope if begun and not o.is_generic and not _succeeded(o, seen))
    tally = _Tally(
        found,
        judged=len(sorted_out.all_judged),
        blocking=len(sorted_out.blocking),
        missed=Counter([*(_reason(o).said for o in blocking_missed), *(NOT_NOW for _ in recorded)]),
        reached=reached,
        due=reached + len(blocking_missed) + len(recorded),
        failed=len(failed),
        idle=bool(unasked) and len(unasked) == len(scope) and not demands.read_only,
        requests=sum(seen.values()),
        demands=demands,
    )
    return Judgement(
        tally.code,
        tuple(tally.reasons()),
        len(sorted_out.kept),
        sorted_out.blocking,
        sorted_out.gaps,
        tuple(found.flaky),
        Counter(_reason(o) for o in found.of(Verdict.NOT_JUDGED)),
        reached,
        tally.due,
        failed,
        unasked,
        sorted_out.accepted,
        tuple(_remarks(found, sorted_out, demands)),
    )


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A run's outcomes by what they mean. `unjudged`: recorded promises that were not judged this time."""

    kept: tuple[Outcome, ...]
    blocking: tuple[Outcome, ...]
    gaps: tuple[Outcome, ...]
    accepted: tuple[Outcome, ...]
    flaky: tuple[Outcome, ...]
    unjudged: tuple[Mark, ...]

    @classmethod
    def of(cls, found: Run, demands: Demands, scope: Sequence[Operation]) -> "_Sorted":
        kept, broken, flaky = tuple(found.of(Verdict.KEPT)), tuple(found.of(Verdict.BROKEN)), tuple(found.flaky)
        judged = {mark_of(o.promise) for o in (*kept, *broken, *flaky)}
        failing = {mark_of(o.promise) for o in (*broken, *flaky)}
        accepted = tuple(o for o in broken if demands.accepts(o))
        red = [o for o in broken if o.promise.blocks(strict=demands.strict) or demands.ratchet.breaks(o, judged)]
        blocking = tuple(o for o in red if not demands.accepts(o))
        gaps = tuple(o for o in broken if o not in red and not demands.accepts(o))
        unjudged = demands.ratchet.missed(judged, failing, {o.id for o in scope})
        return cls(kept, blocking, gaps, accepted, flaky, tuple(unjudged))

    @property
    def all_judged(self) -> tuple[Outcome, ...]:
        """Whatever was judged."""
        return (*self.kept, *self.blocking, *self.gaps, *self.accepted, *self.flaky)


@dataclass(frozen=True, slots=True)
class _Tally:
    """The numbers that decide. `missed`: why promises that block were not judged, without an excuse -> how many.

    `idle`: all that was asked for are named actions, and none ever succeeded.
    """

    found: Run
    judged: int
    blocking: int
    missed: Mapping[str, int]
    reached: int
    due: int
    failed: int
    idle: bool
    requests: int
    demands: Demands

    @property
    def share(self) -> float:
        """Per cent of the blocking promises that were judged."""
        return 100 * self.reached / self.due if self.due else 100.0

    @property
    def lacking(self) -> bool:
        """Whether too few of them were."""
        return self.share < self.demands.min_reached

    @property
    def unstable(self) -> bool:
        """Whether too much failed that did not fail again."""
        return self.found.unsteady * 100 > self.demands.flaky_limit * self.requests

    @property
    def code(self) -> Code:
        """The exit code; the first that fits counts."""
        for code, fits in (
            (Code.LOST, self.found.lost),
            (Code.BROKEN, self.blocking > 0),
            (Code.UNSTABLE, self.unstable),
            (Code.NOTHING, not self.judged and not self.missed and not self.found.ended),
            (Code.INCOMPLETE, self.failed > 0 or self.idle or self.lacking or not self.judged),
        ):
            if fits:
                return code
        return Code.KEPT

    def reasons(self) -> Iterator[str]:
        """Sentences for people."""
        if self.found.lost:
            yield f"the target was lost: {self.found.ended}"
            return
        if self.blocking:
            yield f"{counted(self.blocking, 'broken promise')} that block" + ("s" if self.blocking == 1 else "")
        yield from self._instability() if self.unstable else ()
        if self.code is Code.NOTHING:
            yield "nothing was tested: no law applies to what was asked for"
        if self.found.ended:
            yield f"the run ended before its time: {self.found.ended}"
        yield from self._lacks() if self.judged or not self.found.ended else ()

    def _lacks(self) -> Iterator[str]:
        if self.lacking:
            least = f"{self.share:.0f} %, --min-reached {self.demands.min_reached:g}"
            yield f"{self.reached} of {self.due} blocking promises were judged ({least}){self._why()}"
        if self.failed:
            yield f"{counted(self.failed, 'operation')} never succeeded"
        if self.idle:
            yield "nothing that was asked for ever succeeded: actions with effects outside need --allow-effects"
        if not self.judged and self.missed and not self.found.ended:
            yield "no promise could be judged"

    def _instability(self) -> Iterator[str]:
        share = 100 * self.found.unsteady / max(1, self.requests)
        failures = f"{counted(self.found.unsteady, 'failure')} in {counted(self.requests, 'request')}"
        yield f"{failures} went away when asked again ({share:.1f} %, --flaky-limit {self.demands.flaky_limit:g})"

    def _why(self) -> str:
        ordered = sorted(self.missed.items(), key=lambda item: (-item[1], item[0]))
        said = ", ".join(f"{times} x {cause}" for cause, times in ordered[:CAUSES])
        return f"; not judged: {said}" + (" and others" if len(ordered) > CAUSES else "") if said else ""


def _remarks(found: Run, sorted_out: _Sorted, demands: Demands) -> Iterator[str]:
    """What a reader should know and what changes no code by itself."""
    if found.lag:
        yield f"writes were seen up to {found.lag:g} s late (--settle)"
    if found.unsteady:
        yield f"{counted(found.unsteady, 'failure')} went away when asked again"
    if demands.baseline is not None:
        for entry in demands.baseline.expired((*sorted_out.blocking, *sorted_out.gaps)):
            yield f"accepted until {entry.expires}, and broken still: {entry.fingerprint}"
        for entry in demands.baseline.stale(sorted_out.kept):
            yield f"accepted, and kept now: remove it from the baseline: {entry.fingerprint}"
    for operation, law, place in sorted_out.unjudged[:CAUSES]:
        yield f"kept by an earlier run (--ratchet), not judged this time: {operation} {law} at {place}"
    if len(sorted_out.unjudged) > CAUSES:
        yield f"and {len(sorted_out.unjudged) - CAUSES} more that an earlier run kept were not judged"


def _within(marks: Sequence[Mark], found: Run, contract: Contract, demands: Demands) -> Iterator[Mark]:
    """Those recorded promises that could have been judged in this run's mode."""
    ran = {mark_of(o.promise)[:2] for o in found.outcomes}
    over = {mark_of(o.promise)[:2] for o in found.of(Verdict.NOT_JUDGED) if excused(o, contract, demands)}
    yield from (m for m in marks if m[:2] not in over and (m[:2] in ran or not demands.read_only))


def excused(outcome: Outcome, contract: Contract, demands: Demands) -> bool:
    """Whether it was not judged because of the run's own settings, or because nobody could judge it."""
    if outcome.cause in EXCUSED:
        return True
    operation = contract.operations.get(outcome.promise.operation)
    writes = operation is not None and operation.is_write
    return demands.read_only and (writes or outcome.cause is Cause.RECORDS)


def counted(number: int, noun: str) -> str:
    """``1 promise``, ``2 promises``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def within_reach(contract: Contract, operation: Operation, demands: Demands) -> bool:
    """Whether a run can make an operation succeed without touching what is not the run's own."""
    if operation.resource is None or (demands.read_only and operation.is_write):
        return False
    if operation.effects and not demands.effects:
        return False
    if not operation.is_generic:
        if not acts(contract, operation) or grants_of(contract, operation) is not None:
            return False  # a figure, or what needs another tenant's token
        return not operation.path_parameter_names or _creatable(contract, operation.resource, demands)
    return operation.action not in ("update", "delete") or _creatable(contract, operation.resource, demands)


def _creatable(contract: Contract, resource: str, demands: Demands) -> bool:
    """Whether an operation creates a resource by itself, free of effects that are not allowed."""
    makers = (o for o in contract.operations.values() if contract.find_created_resource(o) == resource)
    return any(demands.effects or not o.effects for o in makers)


def _succeeded(operation: Operation, seen: Mapping[tuple[str, int], int]) -> bool:
    return any(name == operation.id and 200 <= status < 300 for name, status in seen)


def _unsucceeded(
    found: Run,
    contract: Contract,
    scope: Sequence[Operation],
    seen: Mapping[tuple[str, int], int],
    demands: Demands,
) -> Iterator[tuple[str, str]]:
    for operation in scope:
        if within_reach(contract, operation, demands) and not _succeeded(operation, seen):
            why = _why(found, operation, seen)
            if why.cause is not Cause.SKIPPED:
                yield operation.id, why.said


def _why(found: Run, operation: Operation, seen: Mapping[tuple[str, int], int]) -> Reason:
    """What the laws could not have, or else what the operation answered."""
    missed = (o for o in found.of(Verdict.NOT_JUDGED) if o.promise.operation == operation.id and o.said)
    said = Counter(Reason(o.said, o.cause) for o in missed)
    statuses = {status: times for (name, status), times in seen.items() if name == operation.id}
    answered = ", ".join(f"{status} ({times} times)" for status, times in sorted(statuses.items()))
    if said:
        return said.most_common(1)[0][0]
    unasked = "no law asked it: " + (found.ended or "nothing to ask it with")
    return Reason(f"it answered {answered}" if answered else unasked)


def _reason(outcome: Outcome) -> Reason:
    """Why it was not judged, without what differs from one to the next of the same kind."""
    said = outcome.said if len(outcome.said) <= LONGEST else f"{outcome.said[:LONGEST]}..."
    return Reason(said, outcome.cause)
