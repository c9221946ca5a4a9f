"""Limits the calls of operations with external effects."""

from collections import Counter
from dataclasses import dataclass, field

from conformance.errors import READ_ONLY, SkipCategory, SkipCheck, SkipReason, effects_not_allowed
from conformance.session.options import RunOptions
from spec.model import Operation


def effect_limit_reached(operation: Operation, calls: int) -> SkipReason:
    """Create the reason of an operation that was called as often as allowed."""
    message = f"{operation.id} was called {calls} times, the limit of --max-effect-calls"
    return SkipReason(message, SkipCategory.DISABLED_BY_OPTION)


@dataclass(frozen=True, slots=True)
class EffectBudget:
    """Counts the calls of a run. `calls`: operationId -> number of calls that had an effect."""

    calls: Counter[str] = field(default_factory=Counter)

    def charge(self, operation: Operation, options: RunOptions, successes: int) -> None:
        """Count one call. `successes`: successful responses of the operation so far. Raises SkipCheck."""
        if options.read_only and operation.is_write:
            raise SkipCheck(READ_ONLY)
        if not operation.effects:
            return
        if not options.allow_effects:
            raise SkipCheck(effects_not_allowed(operation))
        calls = max(self.calls[operation.id], successes)
        if calls >= options.max_effect_calls:
            raise SkipCheck(effect_limit_reached(operation, calls))
        self.calls[operation.id] = calls + 1

    def refund(self, operation: Operation) -> None:
        """Undo `charge`: the call had no effect because of the state of the record."""
        self.calls[operation.id] -= bool(self.calls[operation.id])
