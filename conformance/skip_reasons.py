"""Why a promise was not judged: a sentence for people, and the kind of cause, by which a verdict decides."""

from dataclasses import dataclass
from enum import Enum

from spec.loader import Operation


class SkipCategory(Enum):
    """What kept a promise from being judged. Only the last is the run's own lack, and counts as not reached."""

    USER_SKIPPED = "skipped"  # a user left the operation out, by name
    DISABLED_BY_OPTION = "chosen"  # other settings of the run: no writes, no effects, no second token, no login
    NOT_TESTABLE = "no way"  # nobody could judge it: the contract gives no way to, or decides nothing
    INSUFFICIENT_DATA = "records"  # the records that are there do not tell; a run that may write makes its own
    TARGET = "found"  # what the target has or answered, or how the run ended


@dataclass(frozen=True, slots=True)
class SkipReason:
    """Why something was not judged, or could not be had."""

    message: str
    category: SkipCategory = SkipCategory.TARGET

    def __str__(self) -> str:
        return self.message

    @classmethod
    def coerce(cls, reason: "SkipReason | str") -> "SkipReason":
        """A reason as it is; a sentence alone is about what was found."""
        return reason if isinstance(reason, SkipReason) else cls(reason)


READ_ONLY = SkipReason("the run is read-only", SkipCategory.DISABLED_BY_OPTION)
NO_SECOND_TOKEN = SkipReason("there is no token of another tenant: --other-token-env", SkipCategory.DISABLED_BY_OPTION)
NO_CREDENTIALS = SkipReason(
    "there is no login and password to sign in with: --login-env, --password-env", SkipCategory.DISABLED_BY_OPTION
)


def user_skipped(message: str) -> SkipReason:
    """That a user left an operation out, in the user's words."""
    return SkipReason(f"skipped: {message}", SkipCategory.USER_SKIPPED)


def not_testable(message: str) -> SkipReason:
    """That nobody could judge it."""
    return SkipReason(message, SkipCategory.NOT_TESTABLE)


def effects_not_allowed(operation: Operation) -> SkipReason:
    """That an operation is not used for what it does outside."""
    return SkipReason(
        f"{operation.id} has effects outside ({', '.join(operation.effects)}): --allow-effects",
        SkipCategory.DISABLED_BY_OPTION,
    )


def insufficient_data(message: str) -> SkipReason:
    """That the records which are there do not tell."""
    return SkipReason(message, SkipCategory.INSUFFICIENT_DATA)
