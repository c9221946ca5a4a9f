"""Requirements and the results of checks."""

import hashlib
from dataclasses import dataclass
from enum import Enum

from conformance.skip_reasons import SkipCategory, SkipReason
from conformance.transport.messages import Exchange


@dataclass(frozen=True, slots=True)
class Requirement:
    """A statement of the contract that a target can violate.

    `check`: id of the check. `operation`: operationId. `summary`: what must hold. `pointer`: location in the contract;
    `keyword`: the keyword there, or "". `provenance`: level of that location. `provenance_independent`: depends on no
    fact of the API, so that a failure always blocks. `parameter`: the parameter or property concerned, or "", which
    distinguishes requirements of the same check.
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
        """The location in the contract, with the keyword."""
        return f"{self.pointer}:{self.keyword}" if self.keyword else self.pointer

    @property
    def fingerprint(self) -> str:
        """Identifies the requirement across runs."""
        return f"{self.location} {self.check} {self.operation} {self.parameter}".rstrip()

    @property
    def id(self) -> str:
        """A short hash of the fingerprint, for `replay`."""
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()[:8]

    def is_blocking(self, *, strict: bool) -> bool:
        """Whether a failure fails the gate."""
        return strict or self.provenance_independent or self.provenance != "inferred"


class Status(Enum):
    """Status of a requirement."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class FailureKind(Enum):
    """Classification of a failure after reruns. Only the first two fail the gate."""

    DETERMINISTIC = "deterministic"  # fails each time, also with new state
    STATE_DEPENDENT = "state-dependent"  # fails each time in the session of the run, but not with new state
    FLAKY = "flaky"  # fails sometimes
    INFRASTRUCTURE = "infrastructure"  # response of a gateway instead of the target
    INTERFERENCE = "disturbed"  # modified by another client in each run


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a requirement. `message`: what it got and expected, or why it was skipped. `evidence`: exchanges.

    `failure_kind`: None without a failure or before the rerun. `skip_category`: meaningful only for skipped results.
    """

    requirement: Requirement
    status: Status
    message: str = ""
    evidence: tuple[Exchange, ...] = ()
    failure_kind: FailureKind | None = None
    skip_category: SkipCategory = SkipCategory.TARGET

    @classmethod
    def skip(cls, requirement: Requirement, reason: SkipReason | str) -> "CheckResult":
        """A skipped requirement and the reason."""
        skip_reason = SkipReason.coerce(reason)
        return cls(requirement, Status.SKIPPED, skip_reason.message, skip_category=skip_reason.category)
