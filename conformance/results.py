"""Results of checks: passed, failed or skipped."""

import hashlib
from dataclasses import dataclass
from enum import Enum, StrEnum

from conformance.errors import SkipCategory, SkipReason
from conformance.transport.messages import Exchange


class FailOn(StrEnum):
    """Which failures block, each level including those before it. Some block at every level: `provenance_independent`.

    `DOCUMENTED`: the requirement is documented, published or confirmed. `CONSISTENT`: the target contradicts itself.
    `INFERRED`: every failure.
    """

    DOCUMENTED = "documented"
    CONSISTENT = "consistent"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A statement of the contract that a check verifies on one operation.

    `check`: id of the check. `operation`: operationId. `summary`: the requirement in words. `pointer`: JSON pointer
    into the contract; `keyword`: the keyword at that pointer, or "". `provenance`: provenance level of that location.
    `provenance_independent`: it blocks regardless of provenance. `parameter`: the parameter or property concerned, or
    "", followed by what distinguishes requirements of the same check there.
    """

    check: str
    operation: str
    summary: str
    pointer: str
    provenance: str
    provenance_independent: bool = False
    parameter: str = ""
    keyword: str = ""

    @property
    def location(self) -> str:
        """JSON pointer with the keyword."""
        return f"{self.pointer}:{self.keyword}" if self.keyword else self.pointer

    @property
    def fingerprint(self) -> str:
        """Text that identifies the requirement across runs."""
        return f"{self.location} {self.check} {self.operation} {self.parameter}".rstrip()

    @property
    def id(self) -> str:
        """Hash of the fingerprint, 8 hex digits: the argument of `replay`."""
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()[:8]

    @property
    def is_stated(self) -> bool:
        """Whether a failure blocks at every level of `FailOn`."""
        return self.provenance_independent or self.provenance != "inferred"


class Status(Enum):
    """Status of a check result."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class FailureKind(Enum):
    """Classification of a failure by its reruns. Only the first three can block."""

    DETERMINISTIC = "deterministic"  # fails each time, in a fresh state too
    STATE_DEPENDENT = "state-dependent"  # fails after the previous requests of the run, or violates a schema once
    NOT_REPEATED = "not-repeated"  # failed once; an option forbids to repeat the call
    FLAKY = "flaky"  # fails sometimes
    INFRASTRUCTURE = "infrastructure"  # a gateway responded in place of the target
    INTERFERENCE = "interference"  # another client modified the records during each execution


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a check for one requirement.

    `message`: actual and expected value (failed), or the reason (skipped). `evidence`: exchanges. `failure_kind`: None
    if the check did not fail or was not rerun. `skip_category`: meaningful only if skipped. `is_contradiction`: two
    responses of the target contradict each other, whatever the contract means.
    """

    requirement: Requirement
    status: Status
    message: str = ""
    evidence: tuple[Exchange, ...] = ()
    failure_kind: FailureKind | None = None
    skip_category: SkipCategory = SkipCategory.TARGET
    is_contradiction: bool = False

    def is_blocking(self, fail_on: FailOn = FailOn.CONSISTENT) -> bool:
        """Return whether a failure of this kind blocks the release."""
        if self.requirement.is_stated or fail_on is FailOn.INFERRED:
            return True
        return self.is_contradiction and fail_on is FailOn.CONSISTENT

    @classmethod
    def skip(cls, requirement: Requirement, reason: SkipReason | str) -> "CheckResult":
        """Create the result of a skipped check."""
        skip_reason = SkipReason.coerce(reason)
        return cls(requirement, Status.SKIPPED, skip_reason.message, skip_category=skip_reason.category)
