"""Two families that never mix: what keeps the suite from working, and (in `outcome`) what a target broke."""

from conformance.skip_reasons import SkipReason


class SuiteError(Exception):
    """The root of what keeps the suite from working; its message is for people."""


class UsageError(SuiteError):
    """A command line or a setting that cannot be used: what was found, what is allowed."""


class TargetUnreachable(SuiteError):
    """The target cannot be reached, does not speak HTTP, or went away in mid-run."""


class BudgetExhausted(SuiteError):
    """The time or the number of requests that the run may take is used up."""


class SkipCheck(SuiteError):
    """A record that a law needs cannot be had: `reason` says why, in words and as data."""

    def __init__(self, reason: SkipReason | str) -> None:
        super().__init__(str(reason))
        self.reason = SkipReason.coerce(reason)


class NoResponse(SkipCheck):
    """One request was not answered, while the target may well be there."""
