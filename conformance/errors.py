"""Two families that never mix: what keeps the suite from working, and (in `outcome`) what a target broke."""

from conformance.cause import Reason


class SuiteError(Exception):
    """The root of what keeps the suite from working; its message is for people."""


class UsageError(SuiteError):
    """A command line or a setting that cannot be used: what was found, what is allowed."""


class TargetLost(SuiteError):
    """The target cannot be reached, does not speak HTTP, or went away in mid-run."""


class OutOfBudget(SuiteError):
    """The time or the number of requests that the run may take is used up."""


class CannotMake(SuiteError):
    """A record that a law needs cannot be had: `reason` says why, in words and as data."""

    def __init__(self, why: Reason | str) -> None:
        super().__init__(str(why))
        self.reason = Reason.of(why)


class NoAnswer(CannotMake):
    """One request was not answered, while the target may well be there."""
