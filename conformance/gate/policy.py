"""The policy of the gate: what a run must achieve, and what it cannot be expected to achieve."""

from dataclasses import dataclass, field
from enum import IntEnum

from conformance.checks.support.action_calls import find_access_grant, is_action
from conformance.config.settings import Settings
from conformance.errors import SkipCategory
from conformance.gate.baseline import Baseline
from conformance.gate.ratchet import Ratchet
from conformance.gate.severities import Severities
from conformance.results import CheckResult, FailOn
from spec.model import Contract, Operation

EXCUSED_CATEGORIES = (SkipCategory.USER_SKIPPED, SkipCategory.DISABLED_BY_OPTION, SkipCategory.NOT_TESTABLE)


class ExitCode(IntEnum):
    """Exit codes of the command. If several apply: the first in the order 3, 1, 6, 4, 5, 0.

    An aborted run is never flaky.
    """

    PASSED = 0
    FAILED = 1
    USAGE = 2
    TARGET_UNREACHABLE = 3
    NO_CHECKS_RAN = 4
    INCOMPLETE = 5
    FLAKY = 6


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """`fail_on`: which failures block. `min_coverage`: percentage of the blocking checks that must run.
    `allow_effects`: whether operations with effects may be called. `flaky_limit`: failures that did not recur, as a
    percentage of the requests. `baseline`: accepted failures. `ratchet`: requirements that passed before.
    `severities`: of checks in the settings."""

    fail_on: FailOn = FailOn.CONSISTENT
    min_coverage: float = 90.0
    read_only: bool = False
    allow_effects: bool = False
    flaky_limit: float = 0.5
    baseline: Baseline | None = None
    ratchet: Ratchet = field(default_factory=Ratchet)
    severities: Severities = field(default_factory=Severities)

    @classmethod
    def from_settings(cls, settings: Settings, *, read_only: bool) -> "GatePolicy":
        """A policy without baseline and ratchet."""
        fail_on = FailOn(settings.fail_on)
        return cls(fail_on, settings.min_coverage, read_only, settings.allow_effects, settings.flaky_limit)

    def accepts(self, result: CheckResult) -> bool:
        return self.baseline is not None and self.baseline.accepts(result)

    def requires(self, result: CheckResult) -> bool:
        """Whether a failure of this kind fails the run, unless the baseline accepts it."""
        severity = self.severities.get(result.requirement.check)
        return result.is_blocking(self.fail_on) if not severity else severity == "error"

    def never_blocks(self, result: CheckResult) -> bool:
        """Whether the settings say that failures of the check do not fail the run."""
        return self.severities.get(result.requirement.check) in ("warn", "off")

    def has_expired(self, result: CheckResult) -> bool:
        """Whether the baseline accepted a failure until a day that has passed."""
        return self.baseline is not None and bool(self.baseline.expired_entries([result]))

    def is_excused(self, result: CheckResult, contract: Contract) -> bool:
        """Whether a check was skipped because of the options, or because it cannot be tested."""
        if result.skip_category in EXCUSED_CATEGORIES:
            return True
        operation = contract.operations.get(result.requirement.operation)
        is_write = operation is not None and operation.is_write
        return self.read_only and (is_write or result.skip_category is SkipCategory.INSUFFICIENT_DATA)

    def can_succeed(self, contract: Contract, operation: Operation) -> bool:
        """Whether a run can call an operation successfully with records that it creates itself."""
        if operation.resource is None or (self.read_only and operation.is_write):
            return False
        if operation.effects and not self.allow_effects:
            return False
        if not operation.is_generic:
            if not is_action(contract, operation) or find_access_grant(contract, operation) is not None:
                return False  # a metric, or an action that requires the token of another tenant
            return not operation.path_parameter_names or self._can_create(contract, operation.resource)
        return operation.action not in ("update", "delete") or self._can_create(contract, operation.resource)

    def _can_create(self, contract: Contract, resource: str) -> bool:
        """Whether an allowed operation creates records of a resource."""
        creators = (op for op in contract.operations.values() if contract.find_created_resource(op) == resource)
        return any(self.allow_effects or not op.effects for op in creators)
