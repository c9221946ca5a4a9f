"""What a run may do and how long it waits."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.errors import READ_ONLY, SkipCategory, SkipCheck, SkipReason, effects_not_allowed
from spec.model import Operation


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one run.

    `allow_effects`: whether operations with external effects may be called; `max_effect_calls`: limit per such
    operation, replays included. `calls_static_writes`: whether writes without an action, whose effects are unknown, may
    be called with valid values. `credentials`: attributes of the account (login, secret) to sign in with.
    `consistency_timeout`: seconds after which reads must reflect a write. `skipped_operations`: operationId -> reason.
    `exploration_sequences`: sequences that the model explores for each resource; `reduction_requests`: limit for the
    search of the shortest sequence that shows a failure. `concurrency`: whether requests may be sent at once.
    """

    read_only: bool = False
    allow_effects: bool = False
    max_effect_calls: int = 1
    calls_static_writes: bool = False
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    consistency_timeout: float = 5.0
    skipped_operations: Mapping[str, str] = field(default_factory=dict)
    exploration_sequences: int = 3
    reduction_requests: int = 200
    concurrency: bool = False


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
