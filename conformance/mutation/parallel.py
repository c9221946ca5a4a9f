"""Evaluation of mutants and conforming variants in parallel processes, and its totals."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from conformance.checks.registry import CHECKS
from conformance.mutation import derive_mutants
from conformance.mutation.conforming_variants import build_variants
from conformance.mutation.evaluate import Detectors, MutantStatus, evaluate_mutant
from conformance.mutation.fault_injection import FaultInjector, OperationRouter
from conformance.mutation.in_process_mock import TOKENS, InProcessMock, build_demo_image, create_session
from conformance.mutation.mutant import Mutant, Witness
from conformance.results import Status
from conformance.runner.runner import run
from spec.loader import load_contract
from spec.model import Contract

TOKEN_ENV = "ATHENA_TOKEN"
OTHER_TOKEN_ENV = "ATHENA_OTHER_TOKEN"


@dataclass(frozen=True, slots=True)
class MutantSummary:
    """The evaluation of one mutant in a form that can be pickled.

    `can_block`, `provenance_independent`: of the requirement. `is_blocked`: whether a check failed that blocks by
    default. `check`: the first failed check, or "". `seconds`: until then. `curl`, `response_excerpt`: the witness.
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
    """A run on a conforming variant. `false_positives`: the failed checks with their messages."""

    variant: str
    seed: int
    passed: int
    requests: int
    false_positives: tuple[str, ...]
    flaky: int


@dataclass(frozen=True, slots=True)
class MutationTotals:
    """Counts of mutants. `blocked`: killed by a check that blocks by default, of those that can block."""

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
        """Count the results of mutants."""
        summaries = list(summaries)
        status_counts = Counter(summary.status for summary in summaries)
        counted = [item for item in summaries if item.status in (MutantStatus.KILLED, MutantStatus.SURVIVED)]
        blockable = [item for item in counted if item.can_block]
        independent = [item for item in counted if item.provenance_independent]
        kill_seconds = [item.seconds for item in counted if item.status is MutantStatus.KILLED]
        return cls(
            status_counts[MutantStatus.KILLED],
            status_counts[MutantStatus.SURVIVED],
            status_counts[MutantStatus.EQUIVALENT],
            status_counts[MutantStatus.ERROR],
            len(blockable),
            sum(item.is_blocked for item in blockable),
            len(independent),
            sum(item.is_blocked for item in independent),
            statistics.median(kill_seconds) if kill_seconds else 0.0,
        )

    @property
    def total(self) -> int:
        """The mutants that count: all but equivalent ones and errors."""
        return self.killed + self.survived

    @property
    def mutation_score(self) -> float:
        """Killed mutants divided by the total: 0 to 1."""
        return self.killed / self.total if self.total else 1.0


def group_totals(
    summaries: Iterable[MutantSummary], key: Callable[[MutantSummary], str]
) -> Mapping[str, MutationTotals]:
    """Compute the totals for each value of `key`, sorted."""
    groups: dict[str, list[MutantSummary]] = {}
    for summary in summaries:
        groups.setdefault(key(summary), []).append(summary)
    return {name: MutationTotals.from_summaries(groups[name]) for name in sorted(groups)}


@dataclass(frozen=True, slots=True)
class MutantSelection:
    """Selects mutants by family and operation (empty: all), and a sample of them (None: all) by `seed`."""

    families: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0

    def select(self, contract: Contract) -> list[int]:
        """Return the indices of the selected mutants in the order of `derive_mutants`."""
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
    """The state of a worker process: a mock, and the mutants."""

    mock: InProcessMock
    mutants: Sequence[Mutant]
    detectors: Detectors

    @classmethod
    def create(cls, contract: Contract, image_bytes: bytes, *, engine_only: bool = False) -> "Worker":
        """Create a worker from a dataset image. `engine_only`: run no checks but those of the Schemathesis engine."""
        detectors = Detectors(checks=()) if engine_only else Detectors()
        mock = InProcessMock.from_image(contract, image_bytes)
        return cls(mock, tuple(derive_mutants(contract, TOKENS["self"])), detectors)

    def evaluate_mutant(self, index: int) -> MutantSummary:
        """Evaluate one mutant."""
        mutant = self.mutants[index]
        result = evaluate_mutant(mutant, self.mock, self.detectors)
        head = (mutant.id, mutant.family, mutant.operation, mutant.requirement)
        return MutantSummary(
            *head,
            result.status,
            mutant.is_blocking(self.mock.contract),
            mutant.provenance_independent,
            result.is_blocked,
            result.check,
            result.message[:300],
            result.seconds,
            result.requests,
            *_describe_witness(result.witness, self.mock.contract),
        )

    def run_variant(self, index: int, seed: int) -> VariantResult:
        """Run all checks on all operations of a conforming variant."""
        mock = self.mock
        mock.reset()
        variant = tuple(build_variants())[index]
        router, fault = OperationRouter.from_contract(mock.contract), variant.make_fault(mock.contract, mock.clock)
        session = create_session(mock, FaultInjector(mock.app, router, frozenset(), fault), seed)
        run_result = run(session, CHECKS, mock.contract.operations.values(), lambda check_result: None)
        failed, passed = run_result.with_status(Status.FAILED), run_result.with_status(Status.PASSED)
        return VariantResult(
            variant.name,
            seed,
            passed=sum(1 for _ in passed),
            requests=sum(session.call_counts.values()),
            false_positives=tuple(f"{item.requirement.fingerprint}: {item.message[:300]}" for item in failed),
            flaky=len(run_result.flaky),
        )


def _describe_witness(witness: Witness | None, contract: Contract) -> tuple[str, str]:
    """The curl command and the start of the response."""
    if witness is None:
        return "", ""
    exchange, base = witness.mutant_exchange, f"http://127.0.0.1:8000{contract.base_path}"
    response = f"{exchange.response.status} {exchange.response.content[:300].decode('utf-8', 'replace')}"
    return exchange.curl(base, TOKEN_ENV, OTHER_TOKEN_ENV), response


CHUNK_SIZE = 40  # mutants that a process evaluates before it returns the results


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
    """Evaluate mutants and run variants of the contract at `path`; yield results as they complete.

    `variant_runs`: (index of the variant, seed). `engine_only`: evaluate mutants with the Schemathesis engine only.
    """
    image_bytes = build_demo_image(load_contract(path))
    chunk_count = -(-len(mutant_indices) // CHUNK_SIZE)
    chunks = [mutant_indices[offset::chunk_count] for offset in range(chunk_count)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        futures: list[Future[list[MutantSummary | VariantResult]]] = []
        try:
            futures += [pool.submit(_evaluate_chunk, path, image_bytes, chunk, engine_only) for chunk in chunks]
            futures += [pool.submit(_evaluate_variant, path, image_bytes, *variant_run) for variant_run in variant_runs]
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)
