"""From what became of each promise to one exit code, and the sentences that say why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from conformance.laws.acting import acts, grants_of
from conformance.outcome import Outcome, Verdict
from conformance.run import Run
from conformance.session import SKIPPED, WRITES
from spec.contract import COLLECTION_ACTIONS, ITEM_ACTIONS, Contract, Operation

GENERIC = frozenset((*COLLECTION_ACTIONS.values(), *ITEM_ACTIONS.values()))
# How an outcome begins that is not judged because of the run's own settings, or because the contract gives no way to.
CHOSEN = ("the run is read-only", SKIPPED)
NO_WAY = ("the contract has no operation", "the contract has no ")
EFFECTS = "--allow-effects"


class Code(IntEnum):
    """What the command ends with. 6 (unstable) is kept free for a later stage."""

    KEPT = 0
    BROKEN = 1
    USAGE = 2
    LOST = 3
    NOTHING = 4
    INCOMPLETE = 5


@dataclass(frozen=True, slots=True)
class Demands:
    """What a run has to come up to. `min_reached`: per cent. `effects`: whether operations with effects may be used."""

    strict: bool = False
    min_reached: float = 90.0
    read_only: bool = False
    effects: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The end of a run.

    `reasons`: sentences for people, the weightiest first. `blocking`, `gaps`: broken promises that are red, and those
    that rest on inferred places only. `causes`: why promises were not judged -> how many. `reached` of `due`: blocking
    promises that were judged, of those that could be. `unsucceeded`: operations that never succeeded -> why.
    `unasked`: named actions that no law of this stage asks for a success.
    """

    code: Code
    reasons: tuple[str, ...]
    kept: int
    blocking: tuple[Outcome, ...]
    gaps: tuple[Outcome, ...]
    flaky: tuple[Outcome, ...]
    causes: Mapping[str, int]
    reached: int
    due: int
    unsucceeded: Mapping[str, str]
    unasked: tuple[str, ...]

    @property
    def judged(self) -> int:
        """How many promises were judged."""
        return self.kept + len(self.blocking) + len(self.gaps) + len(self.flaky)


def judge(
    found: Run,
    contract: Contract,
    scope: Sequence[Operation],
    seen: Mapping[tuple[str, int], int],
    demands: Demands,
) -> Judgement:
    """The judgement over a run. `scope`: the operations asked for; `seen`: (operationId, status) -> how often."""
    broken = list(found.of(Verdict.BROKEN))
    blocking = tuple(o for o in broken if o.promise.blocks(strict=demands.strict))
    gaps = tuple(o for o in broken if not o.promise.blocks(strict=demands.strict))
    kept = list(found.of(Verdict.KEPT))
    missed = [o for o in found.of(Verdict.NOT_JUDGED) if not excused(o)]
    reached = sum(o.promise.blocks(strict=demands.strict) for o in (*kept, *broken, *found.flaky))
    failed = {} if found.lost else dict(_unsucceeded(found, contract, scope, seen, demands))
    tally = _Tally(
        found,
        judged=len(kept) + len(broken) + len(found.flaky),
        blocking=len(blocking),
        missed=len(missed),
        reached=reached,
        due=reached + sum(o.promise.blocks(strict=demands.strict) for o in missed),
        failed=len(failed),
        least=demands.min_reached,
    )
    return Judgement(
        tally.code,
        tuple(tally.reasons()),
        len(kept),
        blocking,
        gaps,
        tuple(found.flaky),
        Counter(_cause(o) for o in found.of(Verdict.NOT_JUDGED)),
        reached,
        tally.due,
        failed,
        tuple(o.id for o in scope if o.action not in GENERIC and not _succeeded(o, seen)),
    )


@dataclass(frozen=True, slots=True)
class _Tally:
    """The numbers that decide. `missed`: promises not judged without an excuse. `least`: per cent."""

    found: Run
    judged: int
    blocking: int
    missed: int
    reached: int
    due: int
    failed: int
    least: float

    @property
    def share(self) -> float:
        """Per cent of the blocking promises that were judged."""
        return 100 * self.reached / self.due if self.due else 100.0

    @property
    def code(self) -> Code:
        """The exit code; the first that fits counts."""
        if self.found.lost:
            return Code.LOST
        if self.blocking:
            return Code.BROKEN
        if not self.judged and not self.missed:
            return Code.INCOMPLETE if self.found.ended else Code.NOTHING
        if self.failed or self.share < self.least or not self.judged:
            return Code.INCOMPLETE
        return Code.KEPT

    def reasons(self) -> Iterator[str]:
        """Sentences for people."""
        if self.found.lost:
            yield f"the target was lost: {self.found.ended}"
            return
        if self.blocking:
            yield f"{counted(self.blocking, 'broken promise')} that block" + ("s" if self.blocking == 1 else "")
        if self.code is Code.NOTHING:
            yield "nothing was tested: no law applies to what was asked for"
        if self.found.ended:
            yield f"the run ended before its time: {self.found.ended}"
        if self.share < self.least:
            yield (
                f"{self.reached} of {self.due} blocking promises were judged "
                f"({self.share:.0f} %, --min-reached {self.least:g}; "
                "--allow-effects and another tenant's token judge more)"
            )
        if self.failed:
            yield f"{counted(self.failed, 'operation')} never succeeded"
        if not self.judged and self.missed and not self.found.ended:
            yield "no promise could be judged"


def excused(outcome: Outcome) -> bool:
    """Whether it was not judged because of the run's own settings, or because the contract gives no way to."""
    return outcome.said.startswith((*CHOSEN, *NO_WAY)) or outcome.said.endswith(EFFECTS)


def counted(number: int, noun: str) -> str:
    """``1 promise``, ``2 promises``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def within_reach(contract: Contract, operation: Operation, demands: Demands) -> bool:
    """Whether this stage can make an operation succeed without touching what is not the run's own."""
    if operation.resource is None or (demands.read_only and operation.method in WRITES):
        return False
    if operation.effects and not demands.effects:
        return False
    if operation.action not in GENERIC:
        if not acts(contract, operation) or grants_of(contract, operation) is not None:
            return False  # a figure, or what needs another tenant's token
        return not operation.path_parameters or _creatable(contract, operation.resource, demands)
    return operation.action not in ("update", "delete") or _creatable(contract, operation.resource, demands)


def _creatable(contract: Contract, resource: str, demands: Demands) -> bool:
    """Whether the contract has a POST on the collection itself, free of effects that are not allowed."""
    return any(
        o.method == "post" and o.resource == resource and o.path.count("/") == 1 and (demands.effects or not o.effects)
        for o in contract.operations.values()
    )


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
            if not why.startswith(SKIPPED):
                yield operation.id, why


def _why(found: Run, operation: Operation, seen: Mapping[tuple[str, int], int]) -> str:
    """What the laws could not have, or else what the operation answered."""
    said = Counter(o.said for o in found.of(Verdict.NOT_JUDGED) if o.promise.operation == operation.id and o.said)
    statuses = {status: times for (name, status), times in seen.items() if name == operation.id}
    answered = ", ".join(f"{status} ({times} times)" for status, times in sorted(statuses.items()))
    if said:
        return said.most_common(1)[0][0]
    return f"it answered {answered}" if answered else "no law asked it: " + (found.ended or "nothing to ask it with")


def _cause(outcome: Outcome) -> str:
    """Why it was not judged, without what differs from one to the next of the same kind."""
    return outcome.said if len(outcome.said) <= 160 else f"{outcome.said[:160]}..."
