"""Why a promise was not judged: a sentence for people, and the kind of cause, by which a verdict decides."""

from dataclasses import dataclass
from enum import Enum

from spec.contract import Operation


class Cause(Enum):
    """What kept a promise from being judged. Only the last is the run's own lack, and counts as not reached."""

    SKIPPED = "skipped"  # a user left the operation out, by name
    CHOSEN = "chosen"  # other settings of the run: no writes, no effects, no second token, no login
    NO_WAY = "no way"  # nobody could judge it: the contract gives no way to, or decides nothing
    RECORDS = "records"  # the records that are there do not tell; a run that may write makes its own
    FOUND = "found"  # what the target has or answered, or how the run ended


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was not judged, or could not be had."""

    said: str
    cause: Cause = Cause.FOUND

    def __str__(self) -> str:
        return self.said

    @classmethod
    def of(cls, why: "Reason | str") -> "Reason":
        """A reason as it is; a sentence alone is about what was found."""
        return why if isinstance(why, Reason) else cls(why)


READ_ONLY = Reason("the run is read-only", Cause.CHOSEN)
NO_OTHER = Reason("there is no token of another tenant: --other-token-env", Cause.CHOSEN)
NO_LOGIN = Reason("there is no login and password to sign in with: --login-env, --password-env", Cause.CHOSEN)


def skipped(why: str) -> Reason:
    """That a user left an operation out, in the user's words."""
    return Reason(f"skipped: {why}", Cause.SKIPPED)


def no_way(said: str) -> Reason:
    """That nobody could judge it."""
    return Reason(said, Cause.NO_WAY)


def effects(operation: Operation) -> Reason:
    """That an operation is not used for what it does outside."""
    return Reason(f"{operation.id} has effects outside ({', '.join(operation.effects)}): --allow-effects", Cause.CHOSEN)


def as_it_is(said: str) -> Reason:
    """That the records which are there do not tell."""
    return Reason(said, Cause.RECORDS)
