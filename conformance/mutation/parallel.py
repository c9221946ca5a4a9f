"""The scores of many mutants and variants, in parallel processes, and what they come to."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from conformance.checks import CHECKS
from conformance.mutation import derive_mutants
from conformance.mutation.conforming_variants import build_variants
from conformance.mutation.evaluate import Detectors, MutantStatus, evaluate_mutant
from conformance.mutation.fault_injection import FaultInjector, OperationRouter
from conformance.mutation.in_process_mock import TOKENS, InProcessMock, build_demo_image, create_session
from conformance.mutation.mutant import Mutant, Witness
from conformance.results import Status
from conformance.runner.runner import run
from spec.loader import Contract, load_contract

TOKEN_ENV = "ATHENA_TOKEN"
OTHER_TOKEN_ENV = "ATHENA_OTHER_TOKEN"


@dataclass(frozen=True, slots=True)
class MutantSummary:
    """What became of one mutant, in words alone, so that it can be sent from one process to another.

    `can_block`, `provenance_independent`: of the promise. `is_blocked`: whether one that blocks by default was broken. `check`: what found
    it, "" when nothing did. `seconds`: to the first broken promise. `curl`: the witness; `response_excerpt`: what it answered.
    """

    id: str
    family: str
    operation: str
    requirement: str
    status: MutantStatus
    can_block: bool
    provenance_independent: bool
    is_blocked: bool
    check: str
    message: str
    seconds: float
    requests: int
    curl: str
    response_excerpt: str


@dataclass(frozen=True, slots=True)
class VariantResult:
    """A conforming variant as the suite judged it. `false_positives`: false alarms, in words."""

    variant: str
    seed: int
    passed: int
    requests: int
    false_positives: tuple[str, ...]
    flaky: int


@dataclass(frozen=True, slots=True)
class MutationTotals:
    """Scores counted. `killed`, `blocked`: found at all, and by a promise that blocks by default."""

    killed: int = 0
    survived: int = 0
    equivalent: int = 0
    errors: int = 0
    can_block: int = 0
    blocked: int = 0
    provenance_independent: int = 0
    provenance_independent_blocked: int = 0
    median_seconds: float = 0.0

    @classmethod
    def from_summaries(cls, summaries: Iterable[MutantSummary]) -> "MutationTotals":
        """What some scores come to."""
        summary_list = list(summaries)
        status_counts = Counter(summary.status for summary in summary_list)
        evaluated = [
            summary for summary in summary_list if summary.status in (MutantStatus.KILLED, MutantStatus.SURVIVED)
        ]
        blockable, independent = (
            [summary for summary in evaluated if summary.can_block],
            [summary for summary in evaluated if summary.provenance_independent],
        )
        kill_seconds = [summary.seconds for summary in evaluated if summary.status is MutantStatus.KILLED]
        return cls(
            status_counts[MutantStatus.KILLED],
            status_counts[MutantStatus.SURVIVED],
            status_counts[MutantStatus.EQUIVALENT],
            status_counts[MutantStatus.ERROR],
            len(blockable),
            sum(summary.is_blocked for summary in blockable),
            len(independent),
            sum(summary.is_blocked for summary in independent),
            statistics.median(kill_seconds) if kill_seconds else 0.0,
        )

    @property
    def total(self) -> int:
        """Mutants that proved to be ones."""
        return self.killed + self.survived

    @property
    def mutation_score(self) -> float:
        """Of these, how many were found: 0 to 1."""
        return self.killed / self.total if self.total else 1.0


def group_totals(
    summaries: Iterable[MutantSummary], key: Callable[[MutantSummary], str]
) -> Mapping[str, MutationTotals]:
    """A tally for each value of `key`, in order."""
    groups: dict[str, list[MutantSummary]] = {}
    for summary in summaries:
        groups.setdefault(key(summary), []).append(summary)
    return {name: MutationTotals.from_summaries(groups[name]) for name in sorted(groups)}


# Choosing and judging ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MutantSelection:
    """Which mutants: of some families and operations (empty: all), a sample of them (None: all), drawn by `seed`."""

    families: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0

    def select(self, contract: Contract) -> list[int]:
        """Their numbers in the order of `derive`."""
        indices = [
            index
            for index, mutant in enumerate(derive_mutants(contract, TOKENS["self"]))
            if (not self.families or mutant.family in self.families)
            and (not self.operations or mutant.operation in self.operations)
        ]
        if self.sample is None or self.sample >= len(indices):
            return indices
        return sorted(Random(self.seed).sample(indices, self.sample))


@dataclass(slots=True)
class Worker:
    """What a process judges with: its own mock, and the mutants, derived anew."""

    mock: InProcessMock
    mutants: Sequence[Mutant]
    detectors: Detectors

    @classmethod
    def create(cls, contract: Contract, image_bytes: bytes, *, engine_only: bool = False) -> "Worker":
        """One on the image of a dataset."""
        detectors = Detectors(checks=()) if engine_only else Detectors()
        return cls(
            InProcessMock.from_image(contract, image_bytes), tuple(derive_mutants(contract, TOKENS["self"])), detectors
        )

    def evaluate_mutant(self, index: int) -> MutantSummary:
        """The score of one mutant."""
        mutant = self.mutants[index]
        result = evaluate_mutant(mutant, self.mock, self.detectors)
        return MutantSummary(
            mutant.id,
            mutant.family,
            mutant.operation,
            mutant.requirement,
            result.status,
            mutant.is_blocking(self.mock.contract),
            mutant.provenance_independent,
            result.is_blocked,
            result.check,
            result.message[:300],
            result.seconds,
            result.requests,
            _format_curl(result.witness, self.mock.contract),
            _format_response(result.witness),
        )

    def run_variant(self, index: int, seed: int) -> VariantResult:
        """The judgement over a conforming variant, by all laws on all operations."""
        mock = self.mock
        mock.reset()
        variant = tuple(build_variants())[index]
        app = FaultInjector(
            mock.app,
            OperationRouter.from_contract(mock.contract),
            frozenset(),
            variant.make_fault(mock.contract, mock.clock),
        )
        suite_session = create_session(mock, app, seed)
        run_result = run(suite_session, CHECKS, mock.contract.operations.values(), lambda check_result: None)
        false_positives = [
            f"{result.requirement.fingerprint}: {result.message[:300]}"
            for result in run_result.with_status(Status.FAILED)
        ]
        passed = sum(1 for _ in run_result.with_status(Status.PASSED))
        return VariantResult(
            variant.name,
            seed,
            passed,
            sum(suite_session.call_counts.values()),
            tuple(false_positives),
            len(run_result.flaky),
        )


def _format_curl(witness: Witness | None, contract: Contract) -> str:
    base = f"http://127.0.0.1:8000{contract.base_path}"
    return "" if witness is None else witness.mutant_exchange.curl(base, TOKEN_ENV, OTHER_TOKEN_ENV)


def _format_response(witness: Witness | None) -> str:
    if witness is None:
        return ""
    return f"{witness.mutant_exchange.response.status} {witness.mutant_exchange.response.content[:300].decode('utf-8', 'replace')}"


# In parallel ---------------------------------------------------------------------------------------------------------

CHUNK_SIZE = 40  # mutants that a process judges before it says what it found


def _evaluate_chunk(
    path: Path, image_bytes: bytes, indices: Sequence[int], engine_only: bool
) -> list[MutantSummary | VariantResult]:
    worker = Worker.create(load_contract(path), image_bytes, engine_only=engine_only)
    return [worker.evaluate_mutant(index) for index in indices]


def _evaluate_variant(path: Path, image_bytes: bytes, index: int, seed: int) -> list[MutantSummary | VariantResult]:
    return [Worker.create(load_contract(path), image_bytes).run_variant(index, seed)]


def evaluate_all(
    path: Path,
    mutant_indices: Sequence[int],
    variant_runs: Sequence[tuple[int, int]],
    workers: int,
    *,
    engine_only: bool = False,
) -> Iterator[MutantSummary | VariantResult]:
    """The scores of these mutants of the contract at `path`, and the judgements over variants, as they come.

    `variant_runs`: (number of the variant, seed). `engine_only`: by the stock engine alone.
    """
    image_bytes = build_demo_image(load_contract(path))
    chunks = [
        mutant_indices[offset::stride]
        for stride in [max(1, -(-len(mutant_indices) // CHUNK_SIZE))]
        for offset in range(stride)
    ]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        futures: list[Future[list[MutantSummary | VariantResult]]] = []
        try:
            futures += [
                pool.submit(_evaluate_chunk, path, image_bytes, chunk, engine_only) for chunk in chunks if chunk
            ]
            futures += [
                pool.submit(_evaluate_variant, path, image_bytes, variant_index, seed)
                for variant_index, seed in variant_runs
            ]
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)
