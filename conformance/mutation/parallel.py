"""Evaluation of mutants and conforming variants in parallel processes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from conformance.checks.registry import CHECKS
from conformance.mutation import derive_mutants
from conformance.mutation.conforming_variants import VARIANTS
from conformance.mutation.evaluate import Detectors, MutantSummary, evaluate_mutant
from conformance.mutation.fault_injection import FaultInjector
from conformance.mutation.in_process_mock import TOKENS, InProcessMock, build_demo_image, create_session
from conformance.mutation.mutant import Mutant
from conformance.results import Status
from conformance.runner.runner import run
from conformance.transport.messages import Actor
from spec.loader import load_contract
from spec.model import Contract

CHUNK_SIZE = 40  # mutants that a process evaluates before it returns the results


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
            for index, mutant in enumerate(derive_mutants(contract, TOKENS[Actor.OWNER]))
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
    def create(cls, contract: Contract, image_bytes: bytes, detectors: Detectors | None = None) -> "Worker":
        """Create a worker from a dataset image. `detectors`: the gate's, by default."""
        mock = InProcessMock.from_image(contract, image_bytes)
        return cls(mock, tuple(derive_mutants(contract, TOKENS[Actor.OWNER])), detectors or Detectors())

    def evaluate_mutant(self, index: int) -> MutantSummary:
        """Evaluate one mutant."""
        return evaluate_mutant(self.mutants[index], self.mock, self.detectors)

    def run_variant(self, index: int, seed: int) -> VariantResult:
        """Run all checks on all operations of a conforming variant."""
        mock = self.mock
        mock.reset()
        variant = VARIANTS[index]
        fault = variant.make_fault(mock.contract, mock.clock)
        session = create_session(mock, FaultInjector.create(mock.app, mock.contract, fault), seed)
        run_result = run(session, CHECKS, mock.contract.operations.values(), lambda check_result: None)
        failed, passed = run_result.with_status(Status.FAILED), run_result.with_status(Status.PASSED)
        return VariantResult(
            variant.name,
            seed,
            passed=sum(1 for _ in passed),
            requests=sum(session.responses.call_counts.values()),
            false_positives=tuple(f"{item.requirement.fingerprint}: {item.message[:300]}" for item in failed),
            flaky=len(run_result.flaky),
        )


def _evaluate_chunk(
    path: Path, image_bytes: bytes, indices: Sequence[int], patterns: Sequence[str], fuzzing_only: bool
) -> list[MutantSummary | VariantResult]:
    detectors = Detectors.select(patterns, fuzzing_only=fuzzing_only)
    worker = Worker.create(load_contract(path), image_bytes, detectors)
    return [worker.evaluate_mutant(index) for index in indices]


def _evaluate_variant(path: Path, image_bytes: bytes, index: int, seed: int) -> list[MutantSummary | VariantResult]:
    return [Worker.create(load_contract(path), image_bytes).run_variant(index, seed)]


def evaluate_all(
    path: Path,
    mutant_indices: Sequence[int],
    variant_runs: Sequence[tuple[int, int]],
    workers: int,
    *,
    patterns: Sequence[str] = (),
    fuzzing_only: bool = False,
) -> Iterator[MutantSummary | VariantResult]:
    """Evaluate mutants and run variants of the contract at `path`; yield results as they complete.

    `variant_runs`: (index of the variant, seed). `patterns`, `fuzzing_only`: see `Detectors.select`.
    """
    image_bytes = build_demo_image(load_contract(path))
    chunk_count = -(-len(mutant_indices) // CHUNK_SIZE)
    chunks = [mutant_indices[offset::chunk_count] for offset in range(chunk_count)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        futures: list[Future[list[MutantSummary | VariantResult]]] = []
        try:
            futures += [pool.submit(_evaluate_chunk, path, image_bytes, c, patterns, fuzzing_only) for c in chunks]
            futures += [pool.submit(_evaluate_variant, path, image_bytes, *variant_run) for variant_run in variant_runs]
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)
