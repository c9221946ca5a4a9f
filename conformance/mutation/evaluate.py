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

from conformance.checks import CHECKS
from conformance.checks.support.check import Check
from conformance.errors import SuiteError
from conformance.mutation.equivalence import create_mutant_app, find_witness
from conformance.mutation.in_process_mock import InProcessMock, InProcessTarget, create_session
from conformance.mutation.mutant import Mutant, Witness
from conformance.results import Status
from conformance.runner.runner import build_cases, run_check
from conformance.schemathesis_engine import GATE, Depth, run_engine
from conformance.session.session import Session
from spec.loader import Contract, Operation

SEED = 1
WIDE_FAMILIES = frozenset(
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


class MutantStatus(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class MutantResult:
    """What became of a mutant. `is_blocked`: a promise that blocks by default was broken. `check`: what found it.

    `seconds`: to the first broken promise, or in all. `witness`: a curl of the request that shows it, and what was
    found there; "" when equivalent.
    """

    mutant: Mutant
    status: MutantStatus
    is_blocked: bool = False
    check: str = ""
    seconds: float = 0.0
    requests: int = 0
    message: str = ""
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class Detectors:
    """Who judges: these laws, and the stock engine on the mutant's own operation, as deep as said; None: not at all."""

    checks: Sequence[Check] = CHECKS
    depth: Depth | None = GATE


def evaluate_mutant(mutant: Mutant, mock: InProcessMock, detectors: Detectors | None = None) -> MutantResult:
    """What becomes of one mutant. `detectors`: the gate's, by default."""
    try:
        proof = find_witness(mutant, mock)
        return (
            MutantResult(mutant, MutantStatus.EQUIVALENT)
            if proof is None
            else _run_detectors(mutant, mock, detectors or Detectors(), proof)
        )
    except Exception as error:  # a mutant that fails by itself says nothing of the gate
        return MutantResult(mutant, MutantStatus.ERROR, message=f"{type(error).__name__}: {error}")


def _run_detectors(mutant: Mutant, mock: InProcessMock, detectors: Detectors, witness: Witness) -> MutantResult:
    mock.reset()
    suite_session = create_session(mock, create_mutant_app(mutant, mock), SEED)
    start_time, killing_check, message, kill_seconds = time.perf_counter(), "", "", 0.0
    needs_blocking = mutant.is_blocking(mock.contract)
    is_blocked = False
    try:
        tiers = select_operations(mutant, mock.contract)
        engine_failures = _find_engine_failures(suite_session, detectors.depth, tiers[0]) if detectors.depth else ()
        for check_id, failure_message, is_blocking in chain(
            _find_failures(suite_session, detectors.checks, tiers), engine_failures
        ):
            if not killing_check:
                killing_check, message, kill_seconds = check_id, failure_message, time.perf_counter() - start_time
            is_blocked = is_blocked or is_blocking
            if is_blocked or not needs_blocking:
                break
    finally:
        request_count = _close_session(suite_session)
    status = MutantStatus.KILLED if killing_check else MutantStatus.SURVIVED
    return MutantResult(
        mutant,
        status,
        is_blocked,
        killing_check,
        kill_seconds or time.perf_counter() - start_time,
        request_count,
        message,
        witness,
    )


def _close_session(session: Session) -> int:
    """End what a session holds; how many requests it sent."""
    target = session.target
    if not isinstance(target, InProcessTarget):
        return 0
    target.close()
    return target.budget.sent


def select_operations(mutant: Mutant, contract: Contract) -> list[list[Operation]]:
    """The operations whose laws judge a mutant: its own, then its resource's, then all where it reaches far."""
    own_operation = contract.operations[mutant.operation]
    same_resource = [
        o for o in contract.operations.values() if o.resource == own_operation.resource and o.id != own_operation.id
    ]
    other_operations = [
        o for o in contract.operations.values() if o.resource != own_operation.resource and o.id != own_operation.id
    ]
    return [[own_operation], same_resource, *([other_operations] if mutant.family in WIDE_FAMILIES else [])]


def _find_failures(
    session: Session, checks: Iterable[Check], tiers: Iterable[Sequence[Operation]]
) -> Iterator[tuple[str, str, bool]]:
    """(law, what was found, whether it blocks by default) of each broken promise, as it is found."""
    all_checks = list(checks)
    for tier in tiers:
        for case in build_cases(session, all_checks, tier):
            finding_count = len(session.findings)
            try:
                for result in run_check(case):
                    if result.status is Status.FAILED:
                        yield result.requirement.check, result.message, result.requirement.is_blocking(strict=False)
            except SuiteError:
                raise
            except Exception:
                continue
            if len(session.findings) > finding_count:
                yield from _find_response_failures(session, all_checks, tier)


def _find_engine_failures(
    session: Session, depth: Depth, operations: Sequence[Operation]
) -> Iterator[tuple[str, str, bool]]:
    """The same of the stock engine."""
    for engine_result in run_engine(session, operations, seed=SEED, depth=depth, on_result=lambda result: None):
        if engine_result.result.status is Status.FAILED and engine_result.failed_runs == engine_result.total_runs:
            yield (
                engine_result.result.requirement.check,
                engine_result.result.message,
                engine_result.result.requirement.is_blocking(strict=False),
            )


def _find_response_failures(
    session: Session, checks: Iterable[Check], tier: Sequence[Operation]
) -> Iterator[tuple[str, str, bool]]:
    """What answers showed by themselves, told by the laws on answers."""
    reported_checks = {finding.check for finding, _ in session.findings.values()}
    operation_ids = {operation for operation, *_ in session.findings}
    operations = [o for o in session.contract.operations.values() if o.id in operation_ids]
    for case in build_cases(session, [check for check in checks if check.id in reported_checks], operations):
        for result in run_check(case):
            if result.status is Status.FAILED:
                yield result.requirement.check, result.message, result.requirement.is_blocking(strict=False)
