"""Evaluation of one mutant: whether the gate detects it.

A mutant without a witness (see `conformance.mutation.equivalence`) is equivalent and not counted. Otherwise the checks
run, those of its operation first, then the Schemathesis engine, until the first failure kills the mutant. If its
requirement can block the gate, they continue until a failure that blocks by default.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from itertools import chain

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.mutation.equivalence import create_mutant_app, find_witness
from conformance.mutation.in_process_mock import InProcessMock, InProcessTarget, create_session
from conformance.mutation.mutant import Mutant
from conformance.results import CheckResult, Status
from conformance.runner.runner import build_cases, run_check, run_check_safely
from conformance.schemathesis_engine import GATE, Depth, run_engine
from conformance.session.session import Session
from conformance.transport.credentials import OperationCredentials, PrintedCredentials
from conformance.transport.messages import Actor
from spec.model import Contract, Operation

SEED = 1
MAX_MESSAGE_CHARS = 300
# The environment variables of the tokens in curl commands.
TOKEN_VARIABLES = {
    Actor.OWNER: "ATHENA_TOKEN",
    Actor.OTHER_TENANT: "ATHENA_OTHER_TOKEN",
    Actor.MEMBER: "ATHENA_MEMBER_TOKEN",
}
Failure = tuple[str, str, bool]  # check id, message, whether it blocks by default
CRUD_FAMILIES = ("create", "update", "delete", "frame", "reading", "stale-read")
# may show in the checks of any operation
WIDE_FAMILIES = frozenset([*CRUD_FAMILIES, "auth-after-logout", "count", "reference", "embedding"])


class MutantStatus(Enum):
    """The result of a mutant, in the terms of mutation testing."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantSummary:
    """The evaluation of one mutant, in a form that can be pickled.

    `can_block`: whether its requirement blocks the gate by default. `is_blocked`: whether a check failed that blocks
    by default. `check`: the first failed check, or "". `message`: its message, or the error. `seconds`: until the first
    failure, or in total. `curl`, `response_excerpt`: the witness, or "".
    """

    id: str
    family: str
    operation: str
    requirement: str
    can_block: bool
    provenance_independent: bool
    status: MutantStatus
    is_blocked: bool = False
    check: str = ""
    message: str = ""
    seconds: float = 0.0
    requests: int = 0
    curl: str = ""
    response_excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Detectors:
    """The checks to run, and the depth of the engine run on the mutant's operation (None: no engine run)."""

    checks: Sequence[Check] = CHECKS
    depth: Depth | None = GATE

    @classmethod
    def select(cls, patterns: Sequence[str], *, fuzzing_only: bool) -> "Detectors":
        """Select the checks whose ids match a pattern, without fuzzing; or fuzzing alone; or, with neither, all."""
        if fuzzing_only:
            return cls(checks=())
        if not patterns:
            return cls()
        selected = [check for check in CHECKS if any(fnmatchcase(check.id, pattern) for pattern in patterns)]
        return cls(selected, depth=None)


def evaluate_mutant(mutant: Mutant, mock: InProcessMock, detectors: Detectors | None = None) -> MutantSummary:
    """Evaluate one mutant. `detectors`: the gate's, by default."""
    equivalent = MutantSummary(
        id=mutant.id,
        family=mutant.family,
        operation=mutant.operation,
        requirement=mutant.requirement,
        can_block=mutant.is_blocking(mock.contract),
        provenance_independent=mutant.provenance_independent,
        status=MutantStatus.EQUIVALENT,
    )
    try:
        witness = find_witness(mutant, mock)
        if witness is None:
            return equivalent
        result = _run_detectors(equivalent, mutant, mock, detectors or Detectors())
    except Exception as error:  # an error in the mutant is no result of the gate
        message = f"{type(error).__name__}: {error}"[:MAX_MESSAGE_CHARS]
        return replace(equivalent, status=MutantStatus.ERROR, message=message)
    _, exchange = witness
    base = f"http://127.0.0.1:8000{mock.contract.base_path}"
    excerpt = f"{exchange.response.status} {exchange.response.content[:300].decode('utf-8', 'replace')}"
    credentials = PrintedCredentials(OperationCredentials.from_contract(mock.contract), TOKEN_VARIABLES)
    options, query = credentials.list_options(exchange.request), credentials.build_query(exchange.request)
    return replace(result, curl=exchange.curl(base, options, query), response_excerpt=excerpt)


def _run_detectors(
    equivalent: MutantSummary, mutant: Mutant, mock: InProcessMock, detectors: Detectors
) -> MutantSummary:
    mock.reset()
    suite_session = create_session(mock, create_mutant_app(mutant, mock), SEED)
    start_time = time.perf_counter()
    result = replace(equivalent, status=MutantStatus.SURVIVED)
    tiers = select_operations(mutant, mock.contract)
    engine_failures = _find_engine_failures(suite_session, detectors.depth, tiers[0]) if detectors.depth else ()
    check_failures = _find_failures(suite_session, detectors.checks, tiers)
    for check_id, message, is_blocking in chain(check_failures, engine_failures):
        if result.status is MutantStatus.SURVIVED:
            seconds, status = time.perf_counter() - start_time, MutantStatus.KILLED
            message = message[:MAX_MESSAGE_CHARS]
            result = replace(result, status=status, check=check_id, message=message, seconds=seconds)
        result = replace(result, is_blocked=result.is_blocked or is_blocking)
        if result.is_blocked or not result.can_block:
            break
    seconds = result.seconds or time.perf_counter() - start_time
    target = suite_session.client.target
    request_count = target.budget.sent if isinstance(target, InProcessTarget) else 0
    return replace(result, seconds=seconds, requests=request_count)


def select_operations(mutant: Mutant, contract: Contract) -> list[list[Operation]]:
    """The operations to check: the mutant's, then its resource's, then all others if its family affects them."""
    mutated = contract.operations[mutant.operation]
    others = [o for o in contract.operations.values() if o.id != mutated.id]
    same_resource = [o for o in others if o.resource == mutated.resource]
    other_resources = [o for o in others if o.resource != mutated.resource]
    return [[mutated], same_resource, *([other_resources] if mutant.family in WIDE_FAMILIES else [])]


def _failures_of(results: Iterable[CheckResult]) -> Iterator[Failure]:
    for result in results:
        if result.status is Status.FAILED:
            yield result.requirement.check, result.message, result.is_blocking()


def _find_failures(
    session: Session, checks: Iterable[Check], tiers: Iterable[Sequence[Operation]]
) -> Iterator[Failure]:
    all_checks = list(checks)
    for tier in tiers:
        for case in build_cases(session, all_checks, tier):
            finding_count = len(session.responses.findings)
            yield from _failures_of(run_check_safely(case))
            if len(session.responses.findings) > finding_count:
                yield from _find_response_failures(session, all_checks, tier)


def _find_engine_failures(session: Session, depth: Depth, operations: Sequence[Operation]) -> Iterator[Failure]:
    """Find the deterministic failures of the engine."""
    results = run_engine(session, operations, seed=SEED, depth=depth)
    yield from _failures_of(item.result for item in results if item.counts[0] == item.counts[1])


def _find_response_failures(session: Session, checks: Iterable[Check], tier: Sequence[Operation]) -> Iterator[Failure]:
    """Run the response checks on the operations with findings."""
    reported_checks = {finding.check for finding, _ in session.responses.findings.values()}
    operation_ids = {operation for operation, *_ in session.responses.findings}
    operations = [o for o in session.contract.operations.values() if o.id in operation_ids]
    for case in build_cases(session, [check for check in checks if check.id in reported_checks], operations):
        yield from _failures_of(run_check(case))
