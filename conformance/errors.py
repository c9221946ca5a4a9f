"""Exceptions of the suite, and the reasons to skip a check. Failures of a target are in `conformance.results`."""

from dataclasses import dataclass
from enum import Enum

from spec.model import Operation


class SkipCategory(Enum):
    """Category of a skip.

    `TARGET`, `MISSING_CREDENTIAL`, `NO_VALID_REQUEST` and `NOT_REACHED` count against the minimum coverage,
    `INTERNAL_ERROR` makes any run incomplete.
    """

    USER_SKIPPED = "user_skipped"  # listed under [skip] in the settings file
    DISABLED_BY_OPTION = "disabled_by_option"  # read-only, no effects, no second token, no login
    NOT_TESTABLE = "not_testable"  # the contract offers no way to test it
    NO_VALID_REQUEST = "no_valid_request"  # no valid value of a parameter or body was found
    INSUFFICIENT_DATA = "insufficient_data"  # existing records do not suffice; a run that may write creates its own
    LIST_CHANGED = "list_changed"  # another client modified the list during the check
    TARGET = "target"  # the target did not provide what the check needs
    MISSING_CREDENTIAL = "missing_credential"  # the operation requires a credential that the run does not have
    NOT_REACHED = "not_reached"  # the run ended first
    INTERNAL_ERROR = "internal_error"  # a check of this suite raised an exception


@dataclass(frozen=True, slots=True)
class SkipReason:
    """Reason why a check was skipped or a record could not be created."""

    message: str
    category: SkipCategory = SkipCategory.TARGET

    def __str__(self) -> str:
        return self.message

    @classmethod
    def coerce(cls, reason: "SkipReason | str") -> "SkipReason":
        """Convert a message to a reason of category `TARGET`."""
        return reason if isinstance(reason, SkipReason) else cls(reason)


READ_ONLY = SkipReason("the run is read-only", SkipCategory.DISABLED_BY_OPTION)
NO_SECOND_TOKEN = SkipReason("no token of another tenant (--other-token-env)", SkipCategory.DISABLED_BY_OPTION)
NO_MEMBER_TOKEN = SkipReason("no token of a member of the tenant (--member-token-env)", SkipCategory.DISABLED_BY_OPTION)
NO_SEPARATE_CREDENTIAL = SkipReason(
    "another user has no credentials for the operation: --credential gives all of them, and the token none",
    SkipCategory.NOT_TESTABLE,
)
NO_CREDENTIALS = SkipReason("no login and password (--login-env, --password-env)", SkipCategory.DISABLED_BY_OPTION)


def user_skipped(message: str) -> SkipReason:
    """Create the reason of an operation skipped in the settings file."""
    return SkipReason(f"skipped: {message}", SkipCategory.USER_SKIPPED)


def missing_credential(message: str) -> SkipReason:
    """Create the reason of an operation whose credentials the run does not have."""
    return SkipReason(message, SkipCategory.MISSING_CREDENTIAL)


def not_reached(message: str) -> SkipReason:
    """Create the reason of a check that an aborted run did not complete."""
    return SkipReason(message, SkipCategory.NOT_REACHED)


def not_testable(message: str) -> SkipReason:
    """Create the reason of a check that the contract offers no way to run."""
    return SkipReason(message, SkipCategory.NOT_TESTABLE)


def no_valid_request(message: str) -> SkipReason:
    """Create the reason of an operation to which the suite cannot send a valid request."""
    return SkipReason(message, SkipCategory.NO_VALID_REQUEST)


def effects_not_allowed(operation: Operation) -> SkipReason:
    """Create the reason of an operation with effects that are not allowed."""
    message = f"{operation.id} has effects ({', '.join(operation.effects)}); allow them with --allow-effects"
    return SkipReason(message, SkipCategory.DISABLED_BY_OPTION)


def insufficient_data(message: str) -> SkipReason:
    """Create the reason of a check for which the existing records do not suffice."""
    return SkipReason(message, SkipCategory.INSUFFICIENT_DATA)


class SuiteError(Exception):
    """Root of all exceptions of the suite; the message is for users."""


class UsageError(SuiteError):
    """An invalid command line or setting: what it got and what it expected."""


class TargetUnreachable(SuiteError):
    """The target cannot be reached, does not speak HTTP, or disappeared during the run."""


class BudgetExhausted(SuiteError):
    """The time or number of requests of the run is exhausted."""


class AccessLost(BudgetExhausted):
    """The target refuses all requests of the run, or all writes. Raised once: cleanup continues."""


class WriteLogError(BudgetExhausted):
    """The write log cannot be written, so that the run may write nothing more. Raised once: cleanup continues."""


class SkipCheck(SuiteError):
    """A check cannot run: `reason` says why."""

    def __init__(self, reason: SkipReason | str) -> None:
        super().__init__(str(reason))
        self.reason = SkipReason.coerce(reason)


class NoResponse(SkipCheck):
    """A request received no response, although the target may be reachable."""
