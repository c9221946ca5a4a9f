"""The scores of many mutants and variants, in parallel processes, and what they come to."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from conformance.laws import CHECKS
from conformance.mutants import derive
from conformance.mutants.inside import TOKENS, Mock, demo, session
from conformance.mutants.mutant import Mutant, Witness
from conformance.mutants.planted import Paths, Planted
from conformance.mutants.variants import variants
from conformance.outcome import Status
from conformance.run import run
from conformance.score import Fate, Judges, score
from spec.contract import Contract, load_contract

TOKEN_ENV = "ATHENA_TOKEN"
OTHER_ENV = "ATHENA_OTHER_TOKEN"


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of one mutant, in words alone, so that it can be sent from one process to another.

    `can_block`, `always`: of the promise. `blocked`: whether one that blocks by default was broken. `law`: what found
    it, "" when nothing did. `seconds`: to the first broken promise. `curl`: the witness; `shown`: what it answered.
    """

    id: str
    family: str
    operation: str
    sentence: str
    fate: Fate
    can_block: bool
    always: bool
    blocked: bool
    law: str
    said: str
    seconds: float
    requests: int
    curl: str
    shown: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """A conforming variant as the suite judged it. `broken`: false alarms, in words."""

    variant: str
    seed: int
    kept: int
    requests: int
    broken: tuple[str, ...]
    flaky: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Scores counted. `killed`, `blocked`: found at all, and by a promise that blocks by default."""

    killed: int = 0
    survived: int = 0
    equivalent: int = 0
    errors: int = 0
    can_block: int = 0
    blocked: int = 0
    always: int = 0
    always_blocked: int = 0
    median: float = 0.0

    @classmethod
    def of(cls, scores: Iterable[Scored]) -> "Tally":
        """What some scores come to."""
        listed = list(scores)
        fates = Counter(s.fate for s in listed)
        counted = [s for s in listed if s.fate in (Fate.KILLED, Fate.SURVIVED)]
        able, always = [s for s in counted if s.can_block], [s for s in counted if s.always]
        times = [s.seconds for s in counted if s.fate is Fate.KILLED]
        return cls(
            fates[Fate.KILLED],
            fates[Fate.SURVIVED],
            fates[Fate.EQUIVALENT],
            fates[Fate.ERROR],
            len(able),
            sum(s.blocked for s in able),
            len(always),
            sum(s.blocked for s in always),
            statistics.median(times) if times else 0.0,
        )

    @property
    def counted(self) -> int:
        """Mutants that proved to be ones."""
        return self.killed + self.survived

    @property
    def share(self) -> float:
        """Of these, how many were found: 0 to 1."""
        return self.killed / self.counted if self.counted else 1.0


def by(scores: Iterable[Scored], key: Callable[[Scored], str]) -> Mapping[str, Tally]:
    """A tally for each value of `key`, in order."""
    groups: dict[str, list[Scored]] = {}
    for one in scores:
        groups.setdefault(key(one), []).append(one)
    return {name: Tally.of(groups[name]) for name in sorted(groups)}


# Choosing and judging ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mutants: of some families and operations (empty: all), a sample of them (None: all), drawn by `seed`."""

    families: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0

    def of(self, contract: Contract) -> list[int]:
        """Their numbers in the order of `derive`."""
        chosen = [
            number
            for number, mutant in enumerate(derive(contract, TOKENS["self"]))
            if (not self.families or mutant.family in self.families)
            and (not self.operations or mutant.operation in self.operations)
        ]
        if self.sample is None or self.sample >= len(chosen):
            return chosen
        return sorted(Random(self.seed).sample(chosen, self.sample))


@dataclass(slots=True)
class Bench:
    """What a process judges with: its own mock, and the mutants, derived anew."""

    mock: Mock
    mutants: Sequence[Mutant]
    judges: Judges

    @classmethod
    def of(cls, contract: Contract, content: bytes, *, engine_only: bool = False) -> "Bench":
        """One on the image of a dataset."""
        judges = Judges(laws=()) if engine_only else Judges()
        return cls(Mock.of(contract, content), tuple(derive(contract, TOKENS["self"])), judges)

    def score(self, number: int) -> Scored:
        """The score of one mutant."""
        mutant = self.mutants[number]
        found = score(mutant, self.mock, self.judges)
        return Scored(
            mutant.id,
            mutant.family,
            mutant.operation,
            mutant.sentence,
            found.fate,
            mutant.blocks(self.mock.contract),
            mutant.always,
            found.blocked,
            found.law,
            found.said[:300],
            found.seconds,
            found.requests,
            _curl(found.witness, self.mock.contract),
            _shown(found.witness),
        )

    def alarm(self, number: int, seed: int) -> Alarm:
        """The judgement over a conforming variant, by all laws on all operations."""
        mock = self.mock
        mock.begin_anew()
        variant = tuple(variants())[number]
        app = Planted(mock.app, Paths.of(mock.contract), frozenset(), variant.plant(mock.contract, mock.watch))
        asking = session(mock, app, seed)
        found = run(asking, CHECKS, mock.contract.operations.values(), lambda outcome: None)
        broken = [f"{o.requirement.fingerprint}: {o.message[:300]}" for o in found.with_status(Status.FAILED)]
        kept = sum(1 for _ in found.with_status(Status.PASSED))
        return Alarm(variant.name, seed, kept, sum(asking.call_counts.values()), tuple(broken), len(found.flaky))


def _curl(witness: Witness | None, contract: Contract) -> str:
    base = f"http://127.0.0.1:8000{contract.base_path}"
    return "" if witness is None else witness.shown.curl(base, TOKEN_ENV, OTHER_ENV)


def _shown(witness: Witness | None) -> str:
    if witness is None:
        return ""
    return f"{witness.shown.response.status} {witness.shown.response.content[:300].decode('utf-8', 'replace')}"


# In parallel ---------------------------------------------------------------------------------------------------------

CHUNK = 40  # mutants that a process judges before it says what it found


def _scored(path: Path, content: bytes, numbers: Sequence[int], engine_only: bool) -> list[Scored | Alarm]:
    bench = Bench.of(load_contract(path), content, engine_only=engine_only)
    return [bench.score(number) for number in numbers]


def _alarmed(path: Path, content: bytes, number: int, seed: int) -> list[Scored | Alarm]:
    return [Bench.of(load_contract(path), content).alarm(number, seed)]


def examine(
    path: Path, numbers: Sequence[int], sound: Sequence[tuple[int, int]], workers: int, *, engine_only: bool = False
) -> Iterator[Scored | Alarm]:
    """The scores of these mutants of the contract at `path`, and the judgements over variants, as they come.

    `sound`: (number of the variant, seed). `engine_only`: by the stock engine alone.
    """
    content = demo(load_contract(path))
    chunks = [numbers[at::stride] for stride in [max(1, -(-len(numbers) // CHUNK))] for at in range(stride)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting: list[Future[list[Scored | Alarm]]] = []
        try:
            waiting += [pool.submit(_scored, path, content, chunk, engine_only) for chunk in chunks if chunk]
            waiting += [pool.submit(_alarmed, path, content, number, seed) for number, seed in sound]
            for done in as_completed(waiting):
                yield from done.result()
        finally:
            pool.shutdown(cancel_futures=True)
