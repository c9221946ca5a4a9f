"""How good the gate is: of servers that each break one promise, how many it catches.

Each mutant first proves that it is one (`mutants.witness`); without a witness it is equivalent and not counted. Then
the laws judge it, those on its own operation first, and behind them the stock engine, until the first broken promise:
found. They go on until one that blocks by default, where the mutant's promise can block at all.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from conformance.engine import GATE, Depth, judge
from conformance.errors import SuiteError
from conformance.laws import CHECKS
from conformance.laws.law import Check
from conformance.mutants.inside import Inside, Mock, session
from conformance.mutants.mutant import Mutant, Witness
from conformance.mutants.witness import planted, witness
from conformance.outcome import Status
from conformance.run import build_cases, run_check
from conformance.session import Session
from spec.contract import Contract, Operation

SEED = 1
WIDE = frozenset(
    {
        "create",
        "update",
        "delete",
        "frame",
        "reading",
        "stale-read",
        "auth-after-logout",
        "count",
        "reference",
        "embedding",
    }
)


class Fate(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Score:
    """What became of a mutant. `blocked`: a promise that blocks by default was broken. `law`: what found it.

    `seconds`: to the first broken promise, or in all. `witness`: a curl of the request that shows it, and what was
    found there; "" when equivalent.
    """

    mutant: Mutant
    fate: Fate
    blocked: bool = False
    law: str = ""
    seconds: float = 0.0
    requests: int = 0
    said: str = ""
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class Judges:
    """Who judges: these laws, and the stock engine on the mutant's own operation, as deep as said; None: not at all."""

    laws: Sequence[Check] = CHECKS
    depth: Depth | None = GATE


def score(mutant: Mutant, mock: Mock, judges: Judges | None = None) -> Score:
    """What becomes of one mutant. `judges`: the gate's, by default."""
    try:
        proof = witness(mutant, mock)
        return Score(mutant, Fate.EQUIVALENT) if proof is None else _judged(mutant, mock, judges or Judges(), proof)
    except Exception as error:  # a mutant that fails by itself says nothing of the gate
        return Score(mutant, Fate.ERROR, said=f"{type(error).__name__}: {error}")


def _judged(mutant: Mutant, mock: Mock, judges: Judges, proof: Witness) -> Score:
    mock.begin_anew()
    asking = session(mock, planted(mutant, mock), SEED)
    started, law, said, took = time.perf_counter(), "", "", 0.0
    wanted = mutant.blocks(mock.contract)
    blocked = False
    try:
        tiers = near(mutant, mock.contract)
        engine = _by_engine(asking, judges.depth, tiers[0]) if judges.depth else ()
        for name, found, blocks in chain(_broken(asking, judges.laws, tiers), engine):
            if not law:
                law, said, took = name, found, time.perf_counter() - started
            blocked = blocked or blocks
            if blocked or not wanted:
                break
    finally:
        sent = _end(asking)
    fate = Fate.KILLED if law else Fate.SURVIVED
    return Score(mutant, fate, blocked, law, took or time.perf_counter() - started, sent, said, proof)


def _end(asking: Session) -> int:
    """End what a session holds; how many requests it sent."""
    target = asking.target
    if not isinstance(target, Inside):
        return 0
    target.close()
    return target.budget.sent


def near(mutant: Mutant, contract: Contract) -> list[list[Operation]]:
    """The operations whose laws judge a mutant: its own, then its resource's, then all where it reaches far."""
    own = contract.operations[mutant.operation]
    kin = [o for o in contract.operations.values() if o.resource == own.resource and o.id != own.id]
    rest = [o for o in contract.operations.values() if o.resource != own.resource and o.id != own.id]
    return [[own], kin, *([rest] if mutant.family in WIDE else [])]


def _broken(
    asking: Session, laws: Iterable[Check], tiers: Iterable[Sequence[Operation]]
) -> Iterator[tuple[str, str, bool]]:
    """(law, what was found, whether it blocks by default) of each broken promise, as it is found."""
    every = list(laws)
    for tier in tiers:
        for case in build_cases(asking, every, tier):
            noticed = len(asking.findings)
            try:
                for outcome in run_check(case):
                    if outcome.status is Status.FAILED:
                        yield outcome.requirement.check, outcome.message, outcome.requirement.is_blocking(strict=False)
            except SuiteError:
                raise
            except Exception:
                continue
            if len(asking.findings) > noticed:
                yield from _noticed(asking, every, tier)


def _by_engine(asking: Session, depth: Depth, operations: Sequence[Operation]) -> Iterator[tuple[str, str, bool]]:
    """The same of the stock engine."""
    for one in judge(asking, operations, seed=SEED, depth=depth, told=lambda outcome: None):
        if one.outcome.status is Status.FAILED and one.broken == one.times:
            yield one.outcome.requirement.check, one.outcome.message, one.outcome.requirement.is_blocking(strict=False)


def _noticed(asking: Session, laws: Iterable[Check], tier: Sequence[Operation]) -> Iterator[tuple[str, str, bool]]:
    """What answers showed by themselves, told by the laws on answers."""
    told = {notice.check for notice, _ in asking.findings.values()}
    about = {operation for operation, *_ in asking.findings}
    operations = [o for o in asking.contract.operations.values() if o.id in about]
    for case in build_cases(asking, [law for law in laws if law.id in told], operations):
        for outcome in run_check(case):
            if outcome.status is Status.FAILED:
                yield outcome.requirement.check, outcome.message, outcome.requirement.is_blocking(strict=False)
