"""Exceptions of the suite. They never describe failures of a target (`conformance.results`)."""

from conformance.skip_reasons import SkipReason


class SuiteError(Exception):
    """Root of all exceptions of the suite; the message is for users."""


class UsageError(SuiteError):
    """An invalid command line or setting: what it got and what it expected."""


class TargetUnreachable(SuiteError):
    """The target cannot be reached, does not speak HTTP, or disappeared during the run."""


class BudgetExhausted(SuiteError):
    """The time or number of requests of the run is exhausted."""


class SkipCheck(SuiteError):
    """A check cannot run: `reason` says why."""

    def __init__(self, reason: SkipReason | str) -> None:
        super().__init__(str(reason))
        self.reason = SkipReason.coerce(reason)


class NoResponse(SkipCheck):
    """A request received no response, although the target may be reachable."""
