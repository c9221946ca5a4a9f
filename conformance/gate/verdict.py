"""Evaluates the gate: results of checks become one exit code with its reasons."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from conformance.errors import SkipCategory, SkipReason
from conformance.gate.policy import ExitCode, GatePolicy, has_succeeded
from conformance.gate.ratchet import RatchetKey, ratchet_key
from conformance.gate.reasons import GateTotals, pluralize, warnings
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult
from spec.model import Contract, Operation

__all__ = ("ExitCode", "GatePolicy", "GateResult", "evaluate", "pluralize")
NOT_RERUN = "passed in an earlier run, skipped in this run"
MAX_REASON_CHARS = 160  # longer skip reasons differ only in details at their end


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of a run.

    `reasons`: the most severe first. `gaps`: failed checks that are not blocking. `accepted`: failures of the baseline.
    `skip_reasons`: why checks were skipped -> how often. `blocking_run` of `blocking_total`: blocking checks that ran.
    `operations_never_successful`: operationId -> why. `actions_never_successful`: the same for named actions, which
    checks cannot be required to call successfully. `warnings`: do not change the exit code.
    """

    exit_code: ExitCode
    reasons: tuple[str, ...]
    passed: int
    blocking: tuple[CheckResult, ...]
    gaps: tuple[CheckResult, ...]
    flaky: tuple[CheckResult, ...]
    skip_reasons: Mapping[SkipReason, int]
    blocking_run: int
    blocking_total: int
    operations_never_successful: Mapping[str, str]
    actions_never_successful: tuple[str, ...]
    accepted: tuple[CheckResult, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ordered_skip_reasons(self) -> list[tuple[SkipReason, int]]:
        """The reasons of skipped checks, the most frequent first."""
        return sorted(self.skip_reasons.items(), key=lambda item: (-item[1], item[0].message))

    @property
    def checks_run(self) -> int:
        """The number of results that are not skipped."""
        return self.passed + len(self.blocking) + len(self.gaps) + len(self.flaky) + len(self.accepted)


def evaluate(
    run_result: RunResult,
    contract: Contract,
    scope: Sequence[Operation],
    call_counts: Mapping[tuple[str, int], int],
    policy: GatePolicy,
) -> GateResult:
    """Evaluate the gate. `scope`: the selected operations. `call_counts`: (operationId, status) -> calls."""
    groups = _GroupedResults.from_run(run_result, policy, scope)
    has_started = not run_result.target_unreachable and (bool(groups.evaluated) or not run_result.abort_reason)
    never_successful = dict(_never_successful(run_result, contract, scope, call_counts, policy)) if has_started else {}
    missing = list(_missing_reasons(groups, run_result, contract, policy))
    blocking_run = sum(result.requirement.is_blocking(strict=policy.strict) for result in groups.evaluated)
    unsuccessful_actions = tuple(
        op.id for op in scope if has_started and not op.is_generic and not has_succeeded(op, call_counts)
    )
    has_only_actions = 0 < len(unsuccessful_actions) == len(scope)
    totals = GateTotals(
        run_result,
        evaluated=len(groups.evaluated),
        blocking=len(groups.blocking),
        skipped=Counter(missing),
        blocking_run=blocking_run,
        blocking_total=blocking_run + len(missing),
        never_successful=len(never_successful),
        only_unsuccessful_actions=has_only_actions and not policy.read_only,
        requests=sum(call_counts.values()),
        policy=policy,
    )
    failed = (*groups.blocking, *groups.gaps)
    return GateResult(
        totals.exit_code,
        tuple(totals.reasons()),
        len(groups.passed),
        groups.blocking,
        groups.gaps,
        tuple(run_result.flaky),
        Counter(_skip_reason(result) for result in run_result.with_status(Status.SKIPPED)),
        blocking_run,
        totals.blocking_total,
        never_successful,
        unsuccessful_actions,
        groups.accepted,
        tuple(warnings(run_result, policy, failed, groups.passed, groups.ratchet_not_run)),
    )


@dataclass(frozen=True, slots=True)
class _GroupedResults:
    """The results of a run by their effect. `ratchet_not_run`: requirements of the ratchet without a result."""

    passed: tuple[CheckResult, ...]
    blocking: tuple[CheckResult, ...]
    gaps: tuple[CheckResult, ...]
    accepted: tuple[CheckResult, ...]
    flaky: tuple[CheckResult, ...]
    ratchet_not_run: tuple[RatchetKey, ...]

    @classmethod
    def from_run(cls, run_result: RunResult, policy: GatePolicy, scope: Sequence[Operation]) -> "_GroupedResults":
        passed, failed = tuple(run_result.with_status(Status.PASSED)), tuple(run_result.with_status(Status.FAILED))
        flaky = tuple(run_result.flaky)
        failing = {ratchet_key(result.requirement) for result in (*failed, *flaky)}
        evaluated = failing | {ratchet_key(result.requirement) for result in passed}
        blocking: list[CheckResult] = []
        gaps: list[CheckResult] = []
        accepted: list[CheckResult] = []
        for result in failed:
            is_blocking = result.requirement.is_blocking(strict=policy.strict)
            if policy.accepts(result):
                accepted.append(result)
            elif is_blocking or policy.ratchet.is_regression(result, evaluated):
                blocking.append(result)
            else:
                gaps.append(result)
        ratchet_not_run = policy.ratchet.not_run(evaluated, failing, {operation.id for operation in scope})
        return cls(passed, tuple(blocking), tuple(gaps), tuple(accepted), flaky, tuple(ratchet_not_run))

    @property
    def evaluated(self) -> tuple[CheckResult, ...]:
        """All results that are not skipped."""
        return (*self.passed, *self.blocking, *self.gaps, *self.accepted, *self.flaky)


def _missing_reasons(
    groups: _GroupedResults, run_result: RunResult, contract: Contract, policy: GatePolicy
) -> Iterator[str]:
    """Why blocking checks, and requirements of the ratchet, did not run although they should have."""
    skipped_keys: set[RatchetKey] = set()
    for result in run_result.with_status(Status.SKIPPED):
        if result.requirement.is_blocking(strict=policy.strict) and not policy.is_excused(result, contract):
            skipped_keys.add(ratchet_key(result.requirement))
            yield _skip_reason(result).message
    for key in _ratchet_in_scope(groups.ratchet_not_run, run_result, contract, policy):
        if key not in skipped_keys:
            yield NOT_RERUN


def _ratchet_in_scope(
    keys: Sequence[RatchetKey], run_result: RunResult, contract: Contract, policy: GatePolicy
) -> Iterator[RatchetKey]:
    """Requirements of the ratchet that the options of the run permit to check."""
    run_keys = {ratchet_key(result.requirement)[:2] for result in run_result.results}
    skipped = run_result.with_status(Status.SKIPPED)
    excused_keys = {ratchet_key(result.requirement)[:2] for result in skipped if policy.is_excused(result, contract)}
    yield from (key for key in keys if key[:2] not in excused_keys and (key[:2] in run_keys or not policy.read_only))


def _never_successful(
    run_result: RunResult,
    contract: Contract,
    scope: Sequence[Operation],
    call_counts: Mapping[tuple[str, int], int],
    policy: GatePolicy,
) -> Iterator[tuple[str, str]]:
    """(operationId, why no call succeeded)."""
    for operation in scope:
        if policy.can_succeed(contract, operation) and not has_succeeded(operation, call_counts):
            reason = _failure_reason(run_result, operation, call_counts)
            if reason.category is not SkipCategory.USER_SKIPPED:
                yield operation.id, reason.message


def _failure_reason(
    run_result: RunResult, operation: Operation, call_counts: Mapping[tuple[str, int], int]
) -> SkipReason:
    """The most frequent reason of the operation's skipped checks, else the statuses that it returned."""
    reasons = Counter(
        SkipReason(result.message, result.skip_category)
        for result in run_result.with_status(Status.SKIPPED)
        if result.requirement.operation == operation.id and result.message
    )
    if reasons:
        return reasons.most_common(1)[0][0]
    statuses = {status: calls for (name, status), calls in call_counts.items() if name == operation.id}
    counts = ", ".join(f"{status} ({pluralize(calls, 'time')})" for status, calls in sorted(statuses.items()))
    return SkipReason(f"got {counts}" if counts else f"never called: {run_result.abort_reason or 'no check applies'}")


def _skip_reason(result: CheckResult) -> SkipReason:
    """The reason of a skipped check, truncated, so that reasons of the same kind are equal."""
    message = result.message if len(result.message) <= MAX_REASON_CHARS else f"{result.message[:MAX_REASON_CHARS]}..."
    return SkipReason(message, result.skip_category)
