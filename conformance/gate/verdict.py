"""Evaluates the gate: results of checks become one exit code with its reasons."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from conformance.errors import SkipCategory, SkipReason
from conformance.gate.baseline import AcceptedFailure, Baseline
from conformance.gate.policy import ExitCode, GatePolicy
from conformance.gate.ratchet import RatchetKey, ratchet_key
from conformance.responses.findings import RESPONSE_CHECK_IDS
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult
from spec.model import Contract, Operation

__all__ = ("ExitCode", "GatePolicy", "GateResult", "pluralize")
NOT_RERUN = "passed in an earlier run, skipped in this run"
MAX_CAUSES = 3  # causes that a reason lists
MAX_REASON_CHARS = 160  # longer skip reasons differ only in details at their end


@dataclass(frozen=True)
class GateResult:
    """The result of the gate for one run, computed from the results of the checks.

    `scope`: the selected operations. `call_counts`: (operationId, status) -> calls. `history_warnings`: warnings about
    the files of earlier runs. `history_notes`: what the run changed in them. `writing_checks`: ids of the checks that
    write.
    """

    run_result: RunResult
    contract: Contract
    scope: Sequence[Operation]
    call_counts: Mapping[tuple[str, int], int]
    policy: GatePolicy
    history_warnings: tuple[str, ...] = ()
    history_notes: tuple[str, ...] = ()
    writing_checks: frozenset[str] = frozenset()

    # Results --------------------------------------------------------------------------------------------------------

    @cached_property
    def passed(self) -> tuple[CheckResult, ...]:
        return tuple(self.run_result.with_status(Status.PASSED))

    @cached_property
    def failed(self) -> tuple[CheckResult, ...]:
        """Failures that are not flaky: each is accepted, blocking or a gap."""
        return tuple(self.run_result.with_status(Status.FAILED))

    @cached_property
    def skipped(self) -> tuple[CheckResult, ...]:
        return tuple(self.run_result.with_status(Status.SKIPPED))

    @property
    def flaky(self) -> tuple[CheckResult, ...]:
        return tuple(self.run_result.flaky)

    @property
    def evaluated(self) -> tuple[CheckResult, ...]:
        """The results that are not skipped."""
        return (*self.passed, *self.failed, *self.flaky)

    @cached_property
    def accepted(self) -> tuple[CheckResult, ...]:
        """Failures that the baseline accepts."""
        return tuple(filter(self.policy.accepts, self.failed))

    @cached_property
    def blocking(self) -> tuple[CheckResult, ...]:
        return tuple(filter(self._blocks, self.failed))

    @cached_property
    def gaps(self) -> tuple[CheckResult, ...]:
        """Failures that are neither blocking nor accepted."""
        return tuple(r for r in self.failed if not self.policy.accepts(r) and not self._blocks(r))

    @cached_property
    def skip_reasons(self) -> Mapping[SkipReason, int]:
        """Why checks were skipped -> how often."""
        return Counter(map(_skip_reason, self.skipped))

    @property
    def ordered_skip_reasons(self) -> list[tuple[SkipReason, int]]:
        """The reasons of skipped checks, the most frequent first."""
        return sorted(self.skip_reasons.items(), key=lambda item: (-item[1], item[0].message))

    def _blocks(self, result: CheckResult) -> bool:
        if self.policy.accepts(result) or self.policy.never_blocks(result):
            return False
        if self._is_required(result) or self.policy.has_expired(result):
            return True
        return self.policy.ratchet.is_regression(result, self._evaluated_keys)

    def _is_required(self, result: CheckResult) -> bool:
        return self.policy.requires(result)

    @cached_property
    def _evaluated_keys(self) -> frozenset[RatchetKey]:
        return frozenset(ratchet_key(result.requirement) for result in self.evaluated)

    # Coverage -------------------------------------------------------------------------------------------------------

    @cached_property
    def blocking_run(self) -> int:
        """The number of blocking checks that ran."""
        return sum(map(self._is_required, self.evaluated))

    @property
    def blocking_total(self) -> int:
        """The number of blocking checks that should have run."""
        return self.blocking_run + len(self.missing)

    @cached_property
    def missing(self) -> list[str]:
        """Why blocking checks, and requirements of the ratchet, did not run although they should have."""
        skipped = [r for r in self.skipped if self._is_required(r) and not self.policy.is_excused(r, self.contract)]
        skipped_keys = {ratchet_key(result.requirement) for result in skipped}
        not_rerun = [NOT_RERUN for key in self._ratchet_in_scope() if key not in skipped_keys]
        return [*(_skip_reason(result).message for result in skipped), *not_rerun]

    @cached_property
    def _ratchet_not_run(self) -> list[RatchetKey]:
        """Requirements of the ratchet without a result."""
        failing = {ratchet_key(result.requirement) for result in (*self.failed, *self.flaky)}
        return self.policy.ratchet.not_run(self._evaluated_keys, failing, {operation.id for operation in self.scope})

    def _ratchet_in_scope(self) -> Iterator[RatchetKey]:
        """Requirements of the ratchet that did not run, although the options of the run permit to check them."""
        run_keys = {ratchet_key(result.requirement)[:2] for result in self.run_result.results}
        excused = (result for result in self.skipped if self.policy.is_excused(result, self.contract))
        excused_keys = {ratchet_key(result.requirement)[:2] for result in excused}
        for key in self._ratchet_not_run:
            if key[:2] not in excused_keys and (key[:2] in run_keys or not self.policy.read_only):
                yield key

    @property
    def internal_errors(self) -> list[CheckResult]:
        """Checks of this suite that raised an exception, so that they decided nothing."""
        return [result for result in self.skipped if result.skip_category is SkipCategory.INTERNAL_ERROR]

    @property
    def coverage(self) -> float:
        """Percentage of the blocking checks that ran."""
        return 100 * self.blocking_run / self.blocking_total if self.blocking_total else 100.0

    @property
    def has_started(self) -> bool:
        """Whether the run got as far as its checks."""
        is_aborted = bool(self.run_result.abort_reason) and not self.evaluated
        return not self.run_result.target_unreachable and not is_aborted

    @cached_property
    def operations_never_successful(self) -> dict[str, str]:
        """operationId -> why no call succeeded, of the operations that a run can call successfully."""
        operations = (op for op in self.scope if self.has_started and self.policy.can_succeed(self.contract, op))
        reasons = {op.id: self._failure_reason(op) for op in operations if not self.has_succeeded(op)}
        return {name: r.message for name, r in reasons.items() if r.category is not SkipCategory.USER_SKIPPED}

    @cached_property
    def operations_not_evaluated(self) -> dict[str, str]:
        """operationId -> why, of the called operations whose checks were all skipped because of the responses.

        The checks that any response passes or fails do not count.
        """
        called = {name for name, _ in self.call_counts} - self.operations_never_successful.keys()
        evaluated = {result.requirement.operation for result in self.evaluated if _shows_behavior(result)}
        reasons: dict[str, str] = {}
        for result in self.skipped:
            is_cause = result.skip_category is SkipCategory.TARGET and _shows_behavior(result)
            if is_cause and result.requirement.operation in called - evaluated:
                reasons.setdefault(result.requirement.operation, result.message)
        return {op.id: reasons[op.id] for op in self.scope if self.has_started and op.id in reasons}

    @cached_property
    def writes_not_evaluated(self) -> dict[str, str]:
        """operationId -> why, of the operations whose checks that write were all skipped, not all with an excuse."""
        evaluated = {r.requirement.operation for r in self.evaluated if r.requirement.check in self.writing_checks}
        reasons: dict[str, str] = {}
        for result in self.skipped:
            operation = result.requirement.operation
            is_cause = result.requirement.check in self.writing_checks and operation not in evaluated
            is_excused = result.skip_category is SkipCategory.NOT_REACHED or self.policy.is_excused(
                result, self.contract
            )
            if is_cause and not is_excused:
                reasons.setdefault(operation, result.message)
        known = {*self.operations_never_successful, *self.operations_not_evaluated}
        writes = (op for op in self.scope if op.is_write and self.policy.can_succeed(self.contract, op))
        return {op.id: reasons[op.id] for op in writes if self.has_started and op.id in reasons and op.id not in known}

    @cached_property
    def operations_without_request(self) -> dict[str, str]:
        """operationId -> why, of the operations that were not called because no valid request could be built."""
        reasons = {
            result.requirement.operation: result.message
            for result in reversed(self.skipped)
            if result.skip_category is SkipCategory.NO_VALID_REQUEST
        }
        known = self.operations_never_successful.keys() | self.writes_not_evaluated.keys()
        missing = (op for op in self.scope if op.id in reasons and op.id not in known and not self.has_succeeded(op))
        return {op.id: reasons[op.id] for op in missing if self.has_started}

    @cached_property
    def lacks_any_success(self) -> bool:
        """Whether no operation succeeded, of those that document a success and are not skipped in the settings."""
        candidates = [
            op
            for op in self.scope
            if self.has_started
            and not self.run_result.abort_reason
            and op.success_statuses
            and not (self.policy.read_only and op.is_write)
            and self._failure_reason(op).category is not SkipCategory.USER_SKIPPED
        ]
        return bool(candidates) and not any(map(self.has_succeeded, candidates))

    @cached_property
    def unchecked_operations(self) -> Counter[str]:
        """Reason -> number of the selected operations without a successful call, whether they can have one or not."""
        unchecked = (op for op in self.scope if self.has_started and not self.has_succeeded(op))
        reasons = [self._failure_reason(operation) for operation in unchecked]
        return Counter(r.message for r in reasons if r.category is not SkipCategory.USER_SKIPPED)

    @property
    def actions_never_successful(self) -> list[str]:
        """Named actions without a successful call, which checks cannot be required to make."""
        actions = (op for op in self.scope if self.has_started and not (op.is_generic or op.is_static))
        return [op.id for op in actions if not self.has_succeeded(op)]

    def has_succeeded(self, operation: Operation) -> bool:
        """Whether a call of an operation returned a success status that the contract documents."""
        return any(self.call_counts.get((operation.id, status)) for status in operation.success_statuses)

    def _has_undocumented_success(self, operation: Operation) -> bool:
        """Whether a call returned a success status that the contract does not document."""
        statuses = {status for name, status in self.call_counts if name == operation.id and 200 <= status < 300}
        return bool(statuses - set(operation.success_statuses))

    def _failure_reason(self, operation: Operation) -> SkipReason:
        """The most frequent reason of the operation's skipped checks, else the statuses that it returned."""
        skipped = (r for r in self.skipped if r.requirement.operation == operation.id and r.message)
        reasons = Counter(SkipReason(result.message, result.skip_category) for result in skipped)
        if reasons and not self._has_undocumented_success(operation):
            return reasons.most_common(1)[0][0]
        statuses = sorted((status, calls) for (name, status), calls in self.call_counts.items() if name == operation.id)
        counts = ", ".join(f"{status} ({pluralize(calls, 'time')})" for status, calls in statuses)
        if self._has_undocumented_success(operation) and operation.success_statuses:
            counts += f", expected {' or '.join(map(str, operation.success_statuses))}"
        never_called = f"never called: {self.run_result.abort_reason or 'no check applies'}"
        return SkipReason(f"got {counts}" if counts else never_called)

    @property
    def records_left(self) -> list[tuple[str, object]]:
        """Records that were not deleted, although the contract defines an operation for it."""
        deletable = {op.resource for op in self.contract.operations.values() if op.action == "delete"}
        return [record for record in self.run_result.records_not_deleted if record[0] in deletable]

    # Exit code, reasons, warnings -----------------------------------------------------------------------------------

    @property
    def only_unsuccessful_actions(self) -> bool:
        """Whether only named actions were selected, and none succeeded."""
        return not self.policy.read_only and 0 < len(self.actions_never_successful) == len(self.scope)

    @property
    def is_flaky(self) -> bool:
        """Whether too many failures did not recur."""
        requests = sum(self.call_counts.values())
        return self.run_result.transient_failures * 100 > self.policy.flaky_limit * requests

    @cached_property
    def exit_code(self) -> ExitCode:
        """The first exit code that applies."""
        if self.run_result.target_unreachable:
            return ExitCode.TARGET_UNREACHABLE
        if self.blocking:
            return ExitCode.FAILED
        if self.is_flaky and not self.run_result.abort_reason:
            return ExitCode.FLAKY
        if not self.evaluated and not self.missing and not self.run_result.abort_reason:
            return ExitCode.NO_CHECKS_RAN
        is_incomplete = (
            self.operations_never_successful
            or self.operations_not_evaluated
            or self.writes_not_evaluated
            or self.operations_without_request
            or self.lacks_any_success
            or self.records_left
            or self.only_unsuccessful_actions
            or self.coverage < self.policy.min_coverage
            or self.internal_errors
            or self.run_result.is_interrupted
            or self.is_flaky
            or not self.evaluated
        )
        return ExitCode.INCOMPLETE if is_incomplete else ExitCode.PASSED

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the run has this exit code, the most severe reason first."""
        abort_reason = self.run_result.abort_reason
        if self.run_result.target_unreachable:
            return (f"target unreachable: {abort_reason}",)
        return (*self._main_reasons(), *(self._coverage_reasons() if self.evaluated or not abort_reason else ()))

    def _main_reasons(self) -> Iterator[str]:
        if self.blocking:
            yield f"{pluralize(len(self.blocking), 'blocking check')} failed"
        if self.is_flaky:
            transient, requests = self.run_result.transient_failures, sum(self.call_counts.values())
            counts = f"{pluralize(transient, 'failure')} in {pluralize(requests, 'request')}"
            limit = f"{100 * transient / max(1, requests):.1f} %, --flaky-limit {self.policy.flaky_limit:g}"
            yield f"flaky: {counts} did not recur or had no response ({limit})"
        if self.exit_code is ExitCode.NO_CHECKS_RAN:
            yield "no checks ran: no check applies to the selected operations"
        if self.run_result.abort_reason:
            yield f"run aborted: {self.run_result.abort_reason}"
        if self.records_left:
            yield f"{pluralize(len(self.records_left), 'record')} not deleted from the target"

    def _coverage_reasons(self) -> Iterator[str]:
        if self.internal_errors:
            first, number = self.internal_errors[0], pluralize(len(self.internal_errors), "check")
            case = f"{first.requirement.check} on {first.requirement.operation}"
            yield f"{number} ended with an internal error in the suite, first {case}: {_skip_reason(first).message}"
        if self.coverage < self.policy.min_coverage:
            ordered = sorted(Counter(self.missing).items(), key=lambda item: (-item[1], item[0]))
            causes = ", ".join(f"{count} x {cause}" for cause, count in ordered[:MAX_CAUSES])
            others = " and others" if len(ordered) > MAX_CAUSES else ""
            counts = f"{self.blocking_run} of {self.blocking_total} blocking checks ran"
            limit = f"({self.coverage:.0f} %, --min-coverage {self.policy.min_coverage:g})"
            yield f"{counts} {limit}" + (f"; skipped: {causes}{others}" if causes else "")
        yield from self._operation_reasons()
        if not self.evaluated and self.missing and not self.run_result.abort_reason:
            yield "every check was skipped"

    def _operation_reasons(self) -> Iterator[str]:
        """Yield the reasons that are about operations."""
        if self.operations_never_successful:
            yield f"{pluralize(len(self.operations_never_successful), 'operation')} never succeeded"
        if self.operations_not_evaluated:
            yield f"{pluralize(len(self.operations_not_evaluated), 'operation')} returned nothing that could be checked"
        if self.writes_not_evaluated:
            operation, message = next(iter(self.writes_not_evaluated.items()))
            number = pluralize(len(self.writes_not_evaluated), "operation")
            yield f"all checks that write to {number} were skipped, first {operation}: {message[:MAX_REASON_CHARS]}"
        if self.operations_without_request:
            operation, message = next(iter(self.operations_without_request.items()))
            number = pluralize(len(self.operations_without_request), "operation")
            yield f"{number} not called without a valid request, first {operation}: {message[:MAX_REASON_CHARS]}"
        is_explained = self.operations_never_successful or self.operations_without_request
        if self.lacks_any_success and not (is_explained or self.only_unsuccessful_actions):
            yield f"no operation succeeded: {self.unchecked_operations.most_common(1)[0][0][:MAX_REASON_CHARS]}"
        if self.only_unsuccessful_actions:
            needs_effects = not self.policy.allow_effects and any(operation.effects for operation in self.scope)
            hint = ": actions with effects require --allow-effects" if needs_effects else ""
            yield f"no selected operation succeeded{hint}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings, which do not change the exit code."""
        return (*self._run_warnings(), *self.history_warnings)

    def _run_warnings(self) -> Iterator[str]:
        if self.run_result.observed_delay:
            yield f"writes became visible after up to {self.run_result.observed_delay:g} s (--consistency-timeout)"
        if self.run_result.transient_failures:
            yield f"{pluralize(self.run_result.transient_failures, 'failure')} did not recur or had no response"
        if self.policy.baseline is not None:
            yield from self._baseline_warnings(self.policy.baseline)
        for operation, check, location in self._ratchet_not_run[:MAX_CAUSES]:
            yield f"passed in an earlier run (--ratchet), skipped in this run: {operation} {check} at {location}"
        if len(self._ratchet_not_run) > MAX_CAUSES:
            yield f"and {len(self._ratchet_not_run) - MAX_CAUSES} more of --ratchet were skipped"

    def _baseline_warnings(self, baseline: Baseline) -> Iterator[str]:
        for entry in baseline.expired_entries([*self.blocking, *self.gaps]):
            yield f"accepted until {entry.expires}{_format_owner(entry)}, and still failing: {entry.fingerprint}"
        for entry in baseline.expiring_entries():
            yield f"accepted, blocks from {entry.expires} on{_format_owner(entry)}: {entry.fingerprint}"
        for entry in baseline.stale_entries(self.passed):
            yield f"accepted, but passes now, remove it from the baseline: {entry.fingerprint}"


def _skip_reason(result: CheckResult) -> SkipReason:
    """The reason of a skipped check, truncated, so that reasons of the same kind are equal."""
    message = result.message if len(result.message) <= MAX_REASON_CHARS else f"{result.message[:MAX_REASON_CHARS]}..."
    return SkipReason(message, result.skip_category)


def _format_owner(entry: AcceptedFailure) -> str:
    return f" ({entry.owner})" if entry.owner else ""


def _shows_behavior(result: CheckResult) -> bool:
    """Whether a check tests more than the form of any response."""
    check = result.requirement.check
    return check not in RESPONSE_CHECK_IDS and not check.startswith("engine-")


def join_names(names: Sequence[str], limit: int) -> str:
    """``a, b and 3 more``."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def pluralize(number: int, noun: str) -> str:
    """``1 check``, ``2 checks``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
