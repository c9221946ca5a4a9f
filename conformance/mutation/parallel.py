"""Evaluation of mutants and conforming variants in parallel processes."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random

from conformance.checks.registry import CHECKS
from conformance.mutation import derive_mutants
from conformance.mutation.conforming_variants import VARIANTS, is_false_positive
from conformance.mutation.evaluate import Detectors, MutantSummary, evaluate_mutant
from conformance.mutation.fault_injection import FaultInjector
from conformance.mutation.in_process_mock import TOKENS, InProcessMock, build_demo_image, create_session
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


def select_mutants(
    contract: Contract,
    families: Sequence[str] = (),
    operations: Sequence[str] = (),
    sample: int | None = None,
    seed: int = 0,
) -> list[int]:
    """Select mutants by family and operation (empty: all), and a sample of them (None: all) by `seed`.

    Returns their indices in the order of `derive_mutants`.
    """
    numbered = enumerate(derive_mutants(contract, TOKENS[Actor.OWNER]))
    in_family = ((index, mutant) for index, mutant in numbered if not families or mutant.family in families)
    indices = [index for index, mutant in in_family if not operations or mutant.operation in operations]
    if sample is None or sample >= len(indices):
        return indices
    return sorted(Random(seed).sample(indices, sample))


def _evaluate_chunk(
    path: Path, image_bytes: bytes, indices: Sequence[int], patterns: Sequence[str], fuzzing_only: bool
) -> list[MutantSummary | VariantResult]:
    mock = InProcessMock.from_image(load_contract(path), image_bytes)
    mutants = list(derive_mutants(mock.contract, TOKENS[Actor.OWNER]))
    detectors = Detectors.select(patterns, fuzzing_only=fuzzing_only)
    return [evaluate_mutant(mutants[index], mock, detectors) for index in indices]


def _run_variant(path: Path, image_bytes: bytes, index: int, seed: int) -> list[MutantSummary | VariantResult]:
    """Run all checks on all operations of a conforming variant."""
    mock = InProcessMock.from_image(load_contract(path), image_bytes)
    mock.reset()
    name, make_fault = list(VARIANTS.items())[index]
    fault = make_fault(mock.contract, mock.clock)
    session = create_session(mock, FaultInjector.create(mock.app, mock.contract, fault), seed)
    run_result = run(session, CHECKS, mock.contract.operations.values(), lambda check_result: None)
    failed = (result for result in run_result.with_status(Status.FAILED) if is_false_positive(name, result))
    passed = run_result.with_status(Status.PASSED)
    variant_result = VariantResult(
        name,
        seed,
        passed=sum(1 for _ in passed),
        requests=sum(session.responses.call_counts.values()),
        false_positives=tuple(f"{item.requirement.fingerprint}: {item.message[:300]}" for item in failed),
        flaky=len(run_result.flaky),
    )
    return [variant_result]


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
            futures += [pool.submit(_run_variant, path, image_bytes, *variant_run) for variant_run in variant_runs]
            for future in as_completed(futures):
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)
