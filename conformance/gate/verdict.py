"""From what became of each promise to one exit code, and the sentences that say why."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from conformance.checks.support.action_calls import find_access_grant, is_action
from conformance.gate.baseline import Baseline
from conformance.gate.ratchet import Ratchet, RatchetKey, ratchet_key
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult
from conformance.skip_reasons import SkipCategory, SkipReason
from spec.loader import Contract, Operation

EXCUSED_CATEGORIES = (SkipCategory.USER_SKIPPED, SkipCategory.DISABLED_BY_OPTION, SkipCategory.NOT_TESTABLE)
NOT_RERUN = "kept by an earlier run, not judged now"
MAX_CAUSES = 3  # causes that a sentence names
MAX_REASON_CHARS = 160  # of a cause: what differs from one to the next of the same kind stands at its end


class ExitCode(IntEnum):
    """What the command ends with; of those that fit, the first in the order 3, 1, 6, 4, 5, 0."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    TARGET_UNREACHABLE = 3
    NO_CHECKS_RAN = 4
    INCOMPLETE = 5
    FLAKY = 6


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a run has to come up to. `min_coverage`: per cent of the promises that block. `allow_effects`: whether operations
    with effects may be used. `flaky_limit`: failures that went away by themselves, per cent of the requests.
    `baseline`: failures that are accepted. `ratchet`: what was kept before."""

    strict: bool = False
    min_coverage: float = 90.0
    read_only: bool = False
    allow_effects: bool = False
    flaky_limit: float = 0.5
    baseline: Baseline | None = None
    ratchet: Ratchet = field(default_factory=Ratchet)

    def accepts(self, result: CheckResult) -> bool:
        """Whether a failure is accepted."""
        return self.baseline is not None and self.baseline.accepts(result)


@dataclass(frozen=True, slots=True)
class GateResult:
    """The end of a run.

    `reasons`: sentences for people, the weightiest first. `blocking`, `gaps`: broken promises that are red, and those
    that rest on inferred places only. `skip_reasons`: why promises were not judged -> how many. `blocking_run` of `blocking_total`: blocking
    promises that were judged, of those that could be. `operations_never_successful`: operations that never succeeded -> why.
    `actions_never_successful`: named actions that never succeeded, as no law could ask them for a success. `accepted`: broken promises
    that the baseline accepts. `warnings`: sentences that change no code: what is late, stale, expired, recorded and not
    judged.
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
        """Why promises were not judged -> how many, the most first."""
        return sorted(self.skip_reasons.items(), key=lambda item: (-item[1], item[0].message))

    @property
    def checks_run(self) -> int:
        """How many promises were judged."""
        return self.passed + len(self.blocking) + len(self.gaps) + len(self.flaky) + len(self.accepted)


def evaluate(
    run_result: RunResult,
    contract: Contract,
    scope: Sequence[Operation],
    call_counts: Mapping[tuple[str, int], int],
    policy: GatePolicy,
) -> GateResult:
    """The judgement over a run. `scope`: the operations asked for; `call_counts`: (operationId, status) -> how often."""
    groups = _GroupedResults.from_run(run_result, policy, scope)
    has_started = not run_result.target_unreachable and (bool(groups.evaluated) or not run_result.abort_reason)
    never_successful = dict(_never_successful(run_result, contract, scope, call_counts, policy)) if has_started else {}
    skipped = [item for item in run_result.with_status(Status.SKIPPED) if not is_excused(item, contract, policy)]
    blocking_skipped = [item for item in skipped if item.requirement.is_blocking(strict=policy.strict)]
    skipped_keys = {ratchet_key(item.requirement) for item in blocking_skipped}
    ratchet_missing = [
        key
        for key in _ratchet_in_scope(groups.ratchet_not_run, run_result, contract, policy)
        if key not in skipped_keys
    ]
    blocking_run = sum(item.requirement.is_blocking(strict=policy.strict) for item in groups.evaluated)
    actions_never_successful = tuple(
        item.id for item in scope if has_started and not item.is_generic and not _has_succeeded(item, call_counts)
    )
    totals = _Totals(
        run_result,
        evaluated=len(groups.evaluated),
        blocking=len(groups.blocking),
        skipped=Counter(
            [*(_skip_reason(item).message for item in blocking_skipped), *(NOT_RERUN for _ in ratchet_missing)]
        ),
        blocking_run=blocking_run,
        blocking_total=blocking_run + len(blocking_skipped) + len(ratchet_missing),
        never_successful=len(never_successful),
        only_unsuccessful_actions=bool(actions_never_successful)
        and len(actions_never_successful) == len(scope)
        and not policy.read_only,
        requests=sum(call_counts.values()),
        policy=policy,
    )
    return GateResult(
        totals.exit_code,
        tuple(totals.reasons()),
        len(groups.passed),
        groups.blocking,
        groups.gaps,
        tuple(run_result.flaky),
        Counter(_skip_reason(item) for item in run_result.with_status(Status.SKIPPED)),
        blocking_run,
        totals.blocking_total,
        never_successful,
        actions_never_successful,
        groups.accepted,
        tuple(_warnings(run_result, groups, policy)),
    )


@dataclass(frozen=True, slots=True)
class _GroupedResults:
    """A run's outcomes by what they mean. `ratchet_not_run`: recorded promises that were not judged this time."""

    passed: tuple[CheckResult, ...]
    blocking: tuple[CheckResult, ...]
    gaps: tuple[CheckResult, ...]
    accepted: tuple[CheckResult, ...]
    flaky: tuple[CheckResult, ...]
    ratchet_not_run: tuple[RatchetKey, ...]

    @classmethod
    def from_run(cls, run_result: RunResult, policy: GatePolicy, scope: Sequence[Operation]) -> "_GroupedResults":
        passed, failed, flaky = (
            tuple(run_result.with_status(Status.PASSED)),
            tuple(run_result.with_status(Status.FAILED)),
            tuple(run_result.flaky),
        )
        evaluated = {ratchet_key(o.requirement) for o in (*passed, *failed, *flaky)}
        failing = {ratchet_key(o.requirement) for o in (*failed, *flaky)}
        accepted = tuple(o for o in failed if policy.accepts(o))
        blocking_or_accepted = [
            o
            for o in failed
            if o.requirement.is_blocking(strict=policy.strict) or policy.ratchet.is_regression(o, evaluated)
        ]
        blocking = tuple(o for o in blocking_or_accepted if not policy.accepts(o))
        gaps = tuple(o for o in failed if o not in blocking_or_accepted and not policy.accepts(o))
        ratchet_not_run = policy.ratchet.not_run(evaluated, failing, {o.id for o in scope})
        return cls(passed, blocking, gaps, accepted, flaky, tuple(ratchet_not_run))

    @property
    def evaluated(self) -> tuple[CheckResult, ...]:
        """Whatever was judged."""
        return (*self.passed, *self.blocking, *self.gaps, *self.accepted, *self.flaky)


@dataclass(frozen=True, slots=True)
class _Totals:
    """The numbers that decide. `skipped`: why promises that block were not judged, without an excuse -> how many.

    `only_unsuccessful_actions`: all that was asked for are named actions, and none ever succeeded.
    """

    run_result: RunResult
    evaluated: int
    blocking: int
    skipped: Mapping[str, int]
    blocking_run: int
    blocking_total: int
    never_successful: int
    only_unsuccessful_actions: bool
    requests: int
    policy: GatePolicy

    @property
    def coverage_percent(self) -> float:
        """Per cent of the blocking promises that were judged."""
        return 100 * self.blocking_run / self.blocking_total if self.blocking_total else 100.0

    @property
    def is_below_coverage(self) -> bool:
        """Whether too few of them were."""
        return self.coverage_percent < self.policy.min_coverage

    @property
    def is_flaky(self) -> bool:
        """Whether too much failed that did not fail again."""
        return self.run_result.transient_failures * 100 > self.policy.flaky_limit * self.requests

    @property
    def exit_code(self) -> ExitCode:
        """The exit code; the first that fits counts."""
        for code, fits in (
            (ExitCode.TARGET_UNREACHABLE, self.run_result.target_unreachable),
            (ExitCode.FAILED, self.blocking > 0),
            (ExitCode.FLAKY, self.is_flaky),
            (ExitCode.NO_CHECKS_RAN, not self.evaluated and not self.skipped and not self.run_result.abort_reason),
            (
                ExitCode.INCOMPLETE,
                self.never_successful > 0
                or self.only_unsuccessful_actions
                or self.is_below_coverage
                or not self.evaluated,
            ),
        ):
            if fits:
                return code
        return ExitCode.PASSED

    def reasons(self) -> Iterator[str]:
        """Sentences for people."""
        if self.run_result.target_unreachable:
            yield f"the target was lost: {self.run_result.abort_reason}"
            return
        if self.blocking:
            yield f"{pluralize(self.blocking, 'broken promise')} that block" + ("s" if self.blocking == 1 else "")
        yield from self._flaky_reasons() if self.is_flaky else ()
        if self.exit_code is ExitCode.NO_CHECKS_RAN:
            yield "nothing was tested: no law applies to what was asked for"
        if self.run_result.abort_reason:
            yield f"the run ended before its time: {self.run_result.abort_reason}"
        yield from self._coverage_reasons() if self.evaluated or not self.run_result.abort_reason else ()

    def _coverage_reasons(self) -> Iterator[str]:
        if self.is_below_coverage:
            threshold = f"{self.coverage_percent:.0f} %, --min-coverage {self.policy.min_coverage:g}"
            yield f"{self.blocking_run} of {self.blocking_total} blocking promises were judged ({threshold}){self._skip_summary()}"
        if self.never_successful:
            yield f"{pluralize(self.never_successful, 'operation')} never succeeded"
        if self.only_unsuccessful_actions:
            yield "nothing that was asked for ever succeeded: actions with effects outside need --allow-effects"
        if not self.evaluated and self.skipped and not self.run_result.abort_reason:
            yield "no promise could be judged"

    def _flaky_reasons(self) -> Iterator[str]:
        share = 100 * self.run_result.transient_failures / max(1, self.requests)
        failures = (
            f"{pluralize(self.run_result.transient_failures, 'failure')} in {pluralize(self.requests, 'request')}"
        )
        yield f"{failures} went away when asked again ({share:.1f} %, --flaky-limit {self.policy.flaky_limit:g})"

    def _skip_summary(self) -> str:
        ordered = sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))
        causes = ", ".join(f"{times} x {cause}" for cause, times in ordered[:MAX_CAUSES])
        return f"; not judged: {causes}" + (" and others" if len(ordered) > MAX_CAUSES else "") if causes else ""


def _warnings(run_result: RunResult, groups: _GroupedResults, policy: GatePolicy) -> Iterator[str]:
    """What a reader should know and what changes no code by itself."""
    if run_result.observed_delay:
        yield f"writes were seen up to {run_result.observed_delay:g} s late (--consistency-timeout)"
    if run_result.transient_failures:
        yield f"{pluralize(run_result.transient_failures, 'failure')} went away when asked again"
    if policy.baseline is not None:
        for entry in policy.baseline.expired_entries((*groups.blocking, *groups.gaps)):
            yield f"accepted until {entry.expires}, and broken still: {entry.fingerprint}"
        for entry in policy.baseline.stale_entries(groups.passed):
            yield f"accepted, and kept now: remove it from the baseline: {entry.fingerprint}"
    for operation, check, location in groups.ratchet_not_run[:MAX_CAUSES]:
        yield f"kept by an earlier run (--ratchet), not judged this time: {operation} {check} at {location}"
    if len(groups.ratchet_not_run) > MAX_CAUSES:
        yield f"and {len(groups.ratchet_not_run) - MAX_CAUSES} more that an earlier run kept were not judged"


def _ratchet_in_scope(
    marks: Sequence[RatchetKey], run_result: RunResult, contract: Contract, policy: GatePolicy
) -> Iterator[RatchetKey]:
    """Those recorded promises that could have been judged in this run's mode."""
    ran = {ratchet_key(o.requirement)[:2] for o in run_result.results}
    excused_keys = {
        ratchet_key(o.requirement)[:2]
        for o in run_result.with_status(Status.SKIPPED)
        if is_excused(o, contract, policy)
    }
    yield from (m for m in marks if m[:2] not in excused_keys and (m[:2] in ran or not policy.read_only))


def is_excused(result: CheckResult, contract: Contract, policy: GatePolicy) -> bool:
    """Whether it was not judged because of the run's own settings, or because nobody could judge it."""
    if result.skip_category in EXCUSED_CATEGORIES:
        return True
    operation = contract.operations.get(result.requirement.operation)
    writes = operation is not None and operation.is_write
    return policy.read_only and (writes or result.skip_category is SkipCategory.INSUFFICIENT_DATA)


def pluralize(number: int, noun: str) -> str:
    """``1 promise``, ``2 promises``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def can_succeed(contract: Contract, operation: Operation, policy: GatePolicy) -> bool:
    """Whether a run can make an operation succeed without touching what is not the run's own."""
    if operation.resource is None or (policy.read_only and operation.is_write):
        return False
    if operation.effects and not policy.allow_effects:
        return False
    if not operation.is_generic:
        if not is_action(contract, operation) or find_access_grant(contract, operation) is not None:
            return False  # a figure, or what needs another tenant's token
        return not operation.path_parameter_names or _is_creatable(contract, operation.resource, policy)
    return operation.action not in ("update", "delete") or _is_creatable(contract, operation.resource, policy)


def _is_creatable(contract: Contract, resource: str, policy: GatePolicy) -> bool:
    """Whether an operation creates a resource by itself, free of effects that are not allowed."""
    creators = (o for o in contract.operations.values() if contract.find_created_resource(o) == resource)
    return any(policy.allow_effects or not o.effects for o in creators)


def _has_succeeded(operation: Operation, call_counts: Mapping[tuple[str, int], int]) -> bool:
    return any(name == operation.id and 200 <= status < 300 for name, status in call_counts)


def _never_successful(
    run_result: RunResult,
    contract: Contract,
    scope: Sequence[Operation],
    call_counts: Mapping[tuple[str, int], int],
    policy: GatePolicy,
) -> Iterator[tuple[str, str]]:
    for operation in scope:
        if can_succeed(contract, operation, policy) and not _has_succeeded(operation, call_counts):
            reason = _failure_reason(run_result, operation, call_counts)
            if reason.category is not SkipCategory.USER_SKIPPED:
                yield operation.id, reason.message


def _failure_reason(
    run_result: RunResult, operation: Operation, call_counts: Mapping[tuple[str, int], int]
) -> SkipReason:
    """What the laws could not have, or else what the operation answered."""
    skipped = (
        o for o in run_result.with_status(Status.SKIPPED) if o.requirement.operation == operation.id and o.message
    )
    reasons = Counter(SkipReason(o.message, o.skip_category) for o in skipped)
    statuses = {status: times for (name, status), times in call_counts.items() if name == operation.id}
    responses = ", ".join(f"{status} ({times} times)" for status, times in sorted(statuses.items()))
    if reasons:
        return reasons.most_common(1)[0][0]
    not_called = "no law asked it: " + (run_result.abort_reason or "nothing to ask it with")
    return SkipReason(f"it answered {responses}" if responses else not_called)


def _skip_reason(result: CheckResult) -> SkipReason:
    """Why it was not judged, without what differs from one to the next of the same kind."""
    message = result.message if len(result.message) <= MAX_REASON_CHARS else f"{result.message[:MAX_REASON_CHARS]}..."
    return SkipReason(message, result.skip_category)
