"""What became of a promise: kept, broken, or not judged and why."""

import hashlib
from dataclasses import dataclass
from enum import Enum

from conformance.cause import Cause, Reason
from conformance.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that the contract says and a target can break.

    `law`: identifier of the law that judges it. `operation`: operationId. `sentence`: what must hold. `pointer`: the
    place in the contract that says it, `keyword` the one that does there, or "". `grade`: how far that place is known.
    `always`: rests on no fact of the API, so that it blocks whatever its grade. `parameter`: the parameter or property
    that it is about, or "", and what sets the promise apart from others of its law there.
    """

    law: str
    operation: str
    sentence: str
    pointer: str
    grade: str
    always: bool = False
    parameter: str = ""
    keyword: str = ""

    @property
    def place(self) -> str:
        """The place in the contract, with the keyword that promises it there."""
        return f"{self.pointer}:{self.keyword}" if self.keyword else self.pointer

    @property
    def fingerprint(self) -> str:
        """What makes it the same promise in another run."""
        return f"{self.place} {self.law} {self.operation} {self.parameter}".rstrip()

    @property
    def id(self) -> str:
        """A short name for the fingerprint, the same in every run: what `replay` is given."""
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()[:8]

    def blocks(self, *, strict: bool) -> bool:
        """Whether breaking it is red."""
        return strict or self.always or self.grade != "inferred"


class Verdict(Enum):
    """What became of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_JUDGED = "not judged"


class Kind(Enum):
    """What a failure turned out to be when it was judged again. Only the first two are red."""

    DETERMINISTIC = "deterministic"  # broken each time, from a fresh state too
    STATE = "state-dependent"  # broken each time after what the run did before, not from a fresh state
    FLAKY = "flaky"  # broken sometimes
    INFRASTRUCTURE = "infrastructure"  # a gateway answered in the target's place
    DISTURBED = "disturbed"  # somebody else wrote to what it is about, each time


@dataclass(frozen=True, slots=True)
class Outcome:
    """A judged promise. `said`: what was found and is due (broken), or why it was not judged. `shown`: exchanges.

    `kind`: what a failure turned out to be; None for what never failed, or was never judged again. `cause`: what
    kept it from being judged; it says nothing of what was judged.
    """

    promise: Promise
    verdict: Verdict
    said: str = ""
    shown: tuple[Exchange, ...] = ()
    kind: Kind | None = None
    cause: Cause = Cause.FOUND

    @classmethod
    def not_judged(cls, promise: Promise, why: Reason | str) -> "Outcome":
        """That a promise was not judged, and why."""
        reason = Reason.of(why)
        return cls(promise, Verdict.NOT_JUDGED, reason.said, cause=reason.cause)
