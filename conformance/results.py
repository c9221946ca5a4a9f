"""What became of a promise: kept, broken, or not judged and why."""

import hashlib
from dataclasses import dataclass
from enum import Enum

from conformance.skip_reasons import SkipCategory, SkipReason
from conformance.transport.messages import Exchange


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that the contract says and a target can break.

    `check`: identifier of the law that judges it. `operation`: operationId. `summary`: what must hold. `pointer`: the
    place in the contract that says it, `keyword` the one that does there, or "". `provenance`: how far that place is known.
    `provenance_independent`: rests on no fact of the API, so that it blocks whatever its grade. `parameter`: the parameter or property
    that it is about, or "", and what sets the promise apart from others of its law there.
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
        """The place in the contract, with the keyword that promises it there."""
        return f"{self.pointer}:{self.keyword}" if self.keyword else self.pointer

    @property
    def fingerprint(self) -> str:
        """What makes it the same promise in another run."""
        return f"{self.location} {self.check} {self.operation} {self.parameter}".rstrip()

    @property
    def id(self) -> str:
        """A short name for the fingerprint, the same in every run: what `replay` is given."""
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()[:8]

    def is_blocking(self, *, strict: bool) -> bool:
        """Whether breaking it is red."""
        return strict or self.provenance_independent or self.provenance != "inferred"


class Status(Enum):
    """What became of a promise."""

    PASSED = "kept"
    FAILED = "broken"
    SKIPPED = "not judged"


class FailureKind(Enum):
    """What a failure turned out to be when it was judged again. Only the first two are red."""

    DETERMINISTIC = "deterministic"  # broken each time, from a fresh state too
    STATE_DEPENDENT = "state-dependent"  # broken each time after what the run did before, not from a fresh state
    FLAKY = "flaky"  # broken sometimes
    INFRASTRUCTURE = "infrastructure"  # a gateway answered in the target's place
    INTERFERENCE = "disturbed"  # somebody else wrote to what it is about, each time


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A judged promise. `message`: what was found and is due (broken), or why it was not judged. `evidence`: exchanges.

    `failure_kind`: what a failure turned out to be; None for what never failed, or was never judged again. `skip_category`: what
    kept it from being judged; it says nothing of what was judged.
    """

    requirement: Requirement
    status: Status
    message: str = ""
    evidence: tuple[Exchange, ...] = ()
    failure_kind: FailureKind | None = None
    skip_category: SkipCategory = SkipCategory.TARGET

    @classmethod
    def skip(cls, requirement: Requirement, reason: SkipReason | str) -> "CheckResult":
        """That a promise was not judged, and why."""
        skip_reason = SkipReason.coerce(reason)
        return cls(requirement, Status.SKIPPED, skip_reason.message, skip_category=skip_reason.category)
