"""Why a check was skipped: a message for users and a category for the gate."""

from dataclasses import dataclass
from enum import Enum

from spec.loader import Operation


class SkipCategory(Enum):
    """Category of a skip. Only TARGET reduces the coverage of the run."""

    USER_SKIPPED = "skipped"  # operation skipped in the settings
    DISABLED_BY_OPTION = "chosen"  # no writes, no effects, no second token, no credentials
    NOT_TESTABLE = "no way"  # the contract offers no way to test it, or decides nothing
    INSUFFICIENT_DATA = "records"  # existing records do not suffice; a run that may write creates its own
    TARGET = "found"  # data or responses of the target, or an aborted run


@dataclass(frozen=True, slots=True)
class SkipReason:
    """Why a check was skipped."""

    message: str
    category: SkipCategory = SkipCategory.TARGET

    def __str__(self) -> str:
        return self.message

    @classmethod
    def coerce(cls, reason: "SkipReason | str") -> "SkipReason":
        """The reason itself; a message alone has the category TARGET."""
        return reason if isinstance(reason, SkipReason) else cls(reason)


READ_ONLY = SkipReason("the run is read-only", SkipCategory.DISABLED_BY_OPTION)
NO_SECOND_TOKEN = SkipReason("no token of another tenant (--other-token-env)", SkipCategory.DISABLED_BY_OPTION)
NO_CREDENTIALS = SkipReason(
    "no credentials to sign in with (--login-env, --password-env)", SkipCategory.DISABLED_BY_OPTION
)


def user_skipped(message: str) -> SkipReason:
    """The user skipped the operation, with the user's reason."""
    return SkipReason(f"skipped: {message}", SkipCategory.USER_SKIPPED)


def not_testable(message: str) -> SkipReason:
    """No suite could test it."""
    return SkipReason(message, SkipCategory.NOT_TESTABLE)


def effects_not_allowed(operation: Operation) -> SkipReason:
    """The operation has external effects and must not be called."""
    return SkipReason(
        f"{operation.id} has external effects: {', '.join(operation.effects)} (--allow-effects)",
        SkipCategory.DISABLED_BY_OPTION,
    )


def insufficient_data(message: str) -> SkipReason:
    """The existing records are not sufficient."""
    return SkipReason(message, SkipCategory.INSUFFICIENT_DATA)
