"""Evaluates the gate: results of checks become one exit code with its reasons."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from conformance.errors import SkipCategory, SkipReason
from conformance.gate.policy import ExitCode, GatePolicy
from conformance.gate.ratchet import RatchetKey, ratchet_key
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult
from spec.model import Contract, Operation

__all__ = ("ExitCode", "GatePolicy", "GateResult", "evaluate", "pluralize")
NOT_RERUN = "passed in an earlier run, skipped in this run"
MAX_CAUSES = 3  # causes that a reason lists
MAX_REASON_CHARS = 160  # longer skip reasons differ only in details at their end


@dataclass(frozen=True, slots=True)
class GateResult:
    """The result of the gate for one run.

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
    evaluation = _Evaluation(run_result, contract, scope, call_counts, policy)
    return GateResult(
        evaluation.exit_code,
        tuple(evaluation.reasons()),
        len(evaluation.passed),
        tuple(evaluation.blocking),
        tuple(evaluation.gaps),
        tuple(run_result.flaky),
        Counter(_skip_reason(result) for result in evaluation.skipped),
        evaluation.blocking_run,
        evaluation.blocking_run + len(evaluation.missing),
        evaluation.never_successful,
        tuple(evaluation.unsuccessful_actions),
        tuple(evaluation.accepted),
        tuple(evaluation.warnings()),
    )


class _Evaluation:
    """The evaluation of one run. The arguments are those of `evaluate`.

    `passed`, `skipped`, `accepted`, `blocking`, `gaps`: the results by their effect; `evaluated`: those not skipped.
    `ratchet_not_run`: requirements of the ratchet without a result.
    """

    def __init__(
        self,
        run_result: RunResult,
        contract: Contract,
        scope: Sequence[Operation],
        call_counts: Mapping[tuple[str, int], int],
        policy: GatePolicy,
    ) -> None:
        self.run_result, self.contract, self.scope = run_result, contract, scope
        self.call_counts, self.policy = call_counts, policy
        self.passed, failed, self.skipped = (
            list(run_result.with_status(status)) for status in (Status.PASSED, Status.FAILED, Status.SKIPPED)
        )
        failing = {ratchet_key(result.requirement) for result in (*failed, *run_result.flaky)}
        evaluated_keys = failing | {ratchet_key(result.requirement) for result in self.passed}
        self.accepted: list[CheckResult] = []
        self.blocking: list[CheckResult] = []
        self.gaps: list[CheckResult] = []
        for result in failed:
            if policy.accepts(result):
                self.accepted.append(result)
            elif self.is_blocking(result) or policy.ratchet.is_regression(result, evaluated_keys):
                self.blocking.append(result)
            else:
                self.gaps.append(result)
        self.evaluated = [*self.passed, *failed, *run_result.flaky]
        self.ratchet_not_run = policy.ratchet.not_run(evaluated_keys, failing, {operation.id for operation in scope})

    def is_blocking(self, result: CheckResult) -> bool:
        return result.requirement.is_blocking(strict=self.policy.strict)

    # Coverage -------------------------------------------------------------------------------------------------------

    @cached_property
    def blocking_run(self) -> int:
        return sum(map(self.is_blocking, self.evaluated))

    @cached_property
    def missing(self) -> list[str]:
        """Why blocking checks, and requirements of the ratchet, did not run although they should have."""
        skipped = [r for r in self.skipped if self.is_blocking(r) and not self.policy.is_excused(r, self.contract)]
        skipped_keys = {ratchet_key(result.requirement) for result in skipped}
        not_rerun = [NOT_RERUN for key in self._ratchet_in_scope() if key not in skipped_keys]
        return [*(_skip_reason(result).message for result in skipped), *not_rerun]

    def _ratchet_in_scope(self) -> Iterator[RatchetKey]:
        """Requirements of the ratchet that did not run, although the options of the run permit to check them."""
        run_keys = {ratchet_key(result.requirement)[:2] for result in self.run_result.results}
        excused = (result for result in self.skipped if self.policy.is_excused(result, self.contract))
        excused_keys = {ratchet_key(result.requirement)[:2] for result in excused}
        for key in self.ratchet_not_run:
            if key[:2] not in excused_keys and (key[:2] in run_keys or not self.policy.read_only):
                yield key

    @property
    def internal_errors(self) -> list[CheckResult]:
        """Checks of this suite that raised an exception, so that they decided nothing."""
        return [result for result in self.skipped if result.skip_category is SkipCategory.INTERNAL_ERROR]

    @property
    def coverage(self) -> float:
        """Percentage of the blocking checks that ran."""
        total = self.blocking_run + len(self.missing)
        return 100 * self.blocking_run / total if total else 100.0

    @property
    def has_started(self) -> bool:
        """Whether the run got as far as its checks."""
        is_aborted = bool(self.run_result.abort_reason) and not self.evaluated
        return not self.run_result.target_unreachable and not is_aborted

    @cached_property
    def never_successful(self) -> dict[str, str]:
        """operationId -> why no call succeeded, of the operations that a run can call successfully."""
        operations = (op for op in self.scope if self.has_started and self.policy.can_succeed(self.contract, op))
        reasons = {op.id: self._failure_reason(op) for op in operations if not self.has_succeeded(op)}
        return {
            operation: reason.message
            for operation, reason in reasons.items()
            if reason.category is not SkipCategory.USER_SKIPPED
        }

    @property
    def unsuccessful_actions(self) -> list[str]:
        """Named actions without a successful call."""
        actions = (op for op in self.scope if self.has_started and not op.is_generic)
        return [op.id for op in actions if not self.has_succeeded(op)]

    def has_succeeded(self, operation: Operation) -> bool:
        """Whether a call of an operation returned 2xx."""
        return any(name == operation.id and 200 <= status < 300 for name, status in self.call_counts)

    def _failure_reason(self, operation: Operation) -> SkipReason:
        """The most frequent reason of the operation's skipped checks, else the statuses that it returned."""
        reasons = Counter(
            SkipReason(result.message, result.skip_category)
            for result in self.skipped
            if result.requirement.operation == operation.id and result.message
        )
        if reasons:
            return reasons.most_common(1)[0][0]
        statuses = sorted((status, calls) for (name, status), calls in self.call_counts.items() if name == operation.id)
        counts = ", ".join(f"{status} ({pluralize(calls, 'time')})" for status, calls in statuses)
        never_called = f"never called: {self.run_result.abort_reason or 'no check applies'}"
        return SkipReason(f"got {counts}" if counts else never_called)

    # Exit code, reasons, warnings -----------------------------------------------------------------------------------

    @property
    def only_unsuccessful_actions(self) -> bool:
        """Whether only named actions were selected, and none succeeded."""
        return not self.policy.read_only and 0 < len(self.unsuccessful_actions) == len(self.scope)

    @property
    def is_flaky(self) -> bool:
        """Whether too many failures did not recur."""
        requests = sum(self.call_counts.values())
        return self.run_result.transient_failures * 100 > self.policy.flaky_limit * requests

    @property
    def exit_code(self) -> ExitCode:
        """The first exit code that applies."""
        if self.run_result.target_unreachable:
            return ExitCode.TARGET_UNREACHABLE
        if self.blocking:
            return ExitCode.FAILED
        if self.is_flaky:
            return ExitCode.FLAKY
        if not self.evaluated and not self.missing and not self.run_result.abort_reason:
            return ExitCode.NO_CHECKS_RAN
        is_incomplete = (
            self.never_successful
            or self.only_unsuccessful_actions
            or self.coverage < self.policy.min_coverage
            or self.internal_errors
            or self.run_result.is_interrupted
            or not self.evaluated
        )
        return ExitCode.INCOMPLETE if is_incomplete else ExitCode.PASSED

    def reasons(self) -> Iterator[str]:
        """Why the run has this exit code, the most severe reason first."""
        abort_reason = self.run_result.abort_reason
        if self.run_result.target_unreachable:
            yield f"target unreachable: {abort_reason}"
            return
        if self.blocking:
            yield f"{pluralize(len(self.blocking), 'blocking check')} failed"
        if self.is_flaky:
            transient, requests = self.run_result.transient_failures, sum(self.call_counts.values())
            counts = f"{pluralize(transient, 'failure')} in {pluralize(requests, 'request')}"
            limit = f"{100 * transient / max(1, requests):.1f} %, --flaky-limit {self.policy.flaky_limit:g}"
            yield f"flaky: {counts} did not recur or had no response ({limit})"
        if self.exit_code is ExitCode.NO_CHECKS_RAN:
            yield "no checks ran: no check applies to the selected operations"
        if abort_reason:
            yield f"run aborted: {abort_reason}"
        if self.evaluated or not abort_reason:
            yield from self._coverage_reasons()

    def _coverage_reasons(self) -> Iterator[str]:
        if self.internal_errors:
            first = self.internal_errors[0]
            yield (
                f"{pluralize(len(self.internal_errors), 'check')} ended with an internal error in the suite, first "
                f"{first.requirement.check} on {first.requirement.operation}: {_skip_reason(first).message}"
            )
        if self.coverage < self.policy.min_coverage:
            ordered = sorted(Counter(self.missing).items(), key=lambda item: (-item[1], item[0]))
            causes = ", ".join(f"{count} x {cause}" for cause, count in ordered[:MAX_CAUSES])
            others = " and others" if len(ordered) > MAX_CAUSES else ""
            counts = f"{self.blocking_run} of {self.blocking_run + len(self.missing)} blocking checks ran"
            limit = f"({self.coverage:.0f} %, --min-coverage {self.policy.min_coverage:g})"
            yield f"{counts} {limit}" + (f"; skipped: {causes}{others}" if causes else "")
        if self.never_successful:
            yield f"{pluralize(len(self.never_successful), 'operation')} never succeeded"
        if self.only_unsuccessful_actions:
            needs_effects = not self.policy.allow_effects and any(operation.effects for operation in self.scope)
            hint = ": actions with effects require --allow-effects" if needs_effects else ""
            yield f"no selected operation succeeded{hint}"
        if not self.evaluated and self.missing and not self.run_result.abort_reason:
            yield "every check was skipped"

    def warnings(self) -> Iterator[str]:
        """Warnings, which do not change the exit code."""
        if self.run_result.observed_delay:
            yield f"writes became visible after up to {self.run_result.observed_delay:g} s (--consistency-timeout)"
        if self.run_result.transient_failures:
            yield f"{pluralize(self.run_result.transient_failures, 'failure')} did not recur or had no response"
        if self.policy.baseline is not None:
            for entry in self.policy.baseline.expired_entries([*self.blocking, *self.gaps]):
                yield f"accepted until {entry.expires}, and still failing: {entry.fingerprint}"
            for entry in self.policy.baseline.stale_entries(self.passed):
                yield f"accepted, but passes now, remove it from the baseline: {entry.fingerprint}"
        for operation, check, location in self.ratchet_not_run[:MAX_CAUSES]:
            yield f"passed in an earlier run (--ratchet), skipped in this run: {operation} {check} at {location}"
        if len(self.ratchet_not_run) > MAX_CAUSES:
            yield f"and {len(self.ratchet_not_run) - MAX_CAUSES} more of --ratchet were skipped"


def _skip_reason(result: CheckResult) -> SkipReason:
    """The reason of a skipped check, truncated, so that reasons of the same kind are equal."""
    message = result.message if len(result.message) <= MAX_REASON_CHARS else f"{result.message[:MAX_REASON_CHARS]}..."
    return SkipReason(message, result.skip_category)


def join_names(names: Sequence[str], limit: int) -> str:
    """``a, b and 3 more``."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def pluralize(number: int, noun: str) -> str:
    """``1 check``, ``2 checks``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
