"""The exit code of a run from its totals, and the wording of reasons and warnings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from conformance.gate.policy import ExitCode, GatePolicy
from conformance.gate.ratchet import RatchetKey
from conformance.results import CheckResult
from conformance.runner.runner import RunResult

MAX_CAUSES = 3  # causes that a reason lists


@dataclass(frozen=True, slots=True)
class GateTotals:
    """`skipped`: why blocking checks were skipped without an excuse -> how often. `blocking_run` of `blocking_total`:
    blocking checks that ran. `only_unsuccessful_actions`: only named actions were selected, and none succeeded."""

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
    def coverage(self) -> float:
        """Percentage of the blocking checks that ran."""
        return 100 * self.blocking_run / self.blocking_total if self.blocking_total else 100.0

    @property
    def is_below_coverage(self) -> bool:
        """Whether too few blocking checks ran."""
        return self.coverage < self.policy.min_coverage

    @property
    def is_flaky(self) -> bool:
        """Whether too many failures did not recur."""
        return self.run_result.transient_failures * 100 > self.policy.flaky_limit * self.requests

    @property
    def exit_code(self) -> ExitCode:
        """The first exit code that applies."""
        if self.run_result.target_unreachable:
            return ExitCode.TARGET_UNREACHABLE
        if self.blocking:
            return ExitCode.FAILED
        if self.is_flaky:
            return ExitCode.FLAKY
        if not self.evaluated and not self.skipped and not self.run_result.abort_reason:
            return ExitCode.NO_CHECKS_RAN
        has_gaps = self.never_successful > 0 or self.only_unsuccessful_actions or self.is_below_coverage
        return ExitCode.INCOMPLETE if has_gaps or not self.evaluated else ExitCode.PASSED

    def reasons(self) -> Iterator[str]:
        """Why the run has this exit code, the most severe reason first."""
        abort_reason = self.run_result.abort_reason
        if self.run_result.target_unreachable:
            yield f"target unreachable: {abort_reason}"
            return
        if self.blocking:
            yield f"{pluralize(self.blocking, 'blocking check')} failed"
        if self.is_flaky:
            transient = self.run_result.transient_failures
            share = 100 * transient / max(1, self.requests)
            counts = f"{pluralize(transient, 'failure')} in {pluralize(self.requests, 'request')}"
            yield f"flaky: {counts} did not recur ({share:.1f} %, --flaky-limit {self.policy.flaky_limit:g})"
        if self.exit_code is ExitCode.NO_CHECKS_RAN:
            yield "no checks ran: no check applies to the selected operations"
        if abort_reason:
            yield f"run aborted: {abort_reason}"
        if self.evaluated or not abort_reason:
            yield from self._coverage_reasons()

    def _coverage_reasons(self) -> Iterator[str]:
        if self.is_below_coverage:
            counts = f"{self.blocking_run} of {self.blocking_total} blocking checks ran"
            yield f"{counts} ({self.coverage:.0f} %, --min-coverage {self.policy.min_coverage:g}){self._skip_summary()}"
        if self.never_successful:
            yield f"{pluralize(self.never_successful, 'operation')} never succeeded"
        if self.only_unsuccessful_actions:
            yield "no selected operation succeeded: actions with effects require --allow-effects"
        if not self.evaluated and self.skipped and not self.run_result.abort_reason:
            yield "every check was skipped"

    def _skip_summary(self) -> str:
        ordered = sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))
        causes = ", ".join(f"{count} x {cause}" for cause, count in ordered[:MAX_CAUSES])
        return f"; skipped: {causes}" + (" and others" if len(ordered) > MAX_CAUSES else "") if causes else ""


def warnings(
    run_result: RunResult,
    policy: GatePolicy,
    failed: Sequence[CheckResult],
    passed: Sequence[CheckResult],
    ratchet_not_run: Sequence[RatchetKey],
) -> Iterator[str]:
    """Warnings, which do not change the exit code. `failed`: without accepted failures."""
    if run_result.observed_delay:
        yield f"writes became visible after up to {run_result.observed_delay:g} s (--consistency-timeout)"
    if run_result.transient_failures:
        yield f"{pluralize(run_result.transient_failures, 'failure')} did not recur"
    if policy.baseline is not None:
        for entry in policy.baseline.expired_entries(failed):
            yield f"accepted until {entry.expires}, and still failing: {entry.fingerprint}"
        for entry in policy.baseline.stale_entries(passed):
            yield f"accepted, but passes now, remove it from the baseline: {entry.fingerprint}"
    for operation, check, location in ratchet_not_run[:MAX_CAUSES]:
        yield f"passed in an earlier run (--ratchet), skipped in this run: {operation} {check} at {location}"
    if len(ratchet_not_run) > MAX_CAUSES:
        yield f"and {len(ratchet_not_run) - MAX_CAUSES} more of --ratchet were skipped"


def pluralize(number: int, noun: str) -> str:
    """``1 check``, ``2 checks``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
