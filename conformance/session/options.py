"""What a run may do and how long it waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one run.

    `allow_effects`: whether operations with external effects may be called; `max_effect_calls`: limit per such
    operation, replays included. `credentials`: attributes of the account (login, secret) to sign in with.
    `consistency_timeout`: seconds after which reads must reflect a write. `skipped_operations`: operationId -> reason.
    `exploration_sequences`: sequences that the model explores for each resource; `reduction_requests`: limit for the
    search of the shortest sequence that shows a failure.
    """

    read_only: bool = False
    allow_effects: bool = False
    max_effect_calls: int = 1
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    consistency_timeout: float = 5.0
    skipped_operations: Mapping[str, str] = field(default_factory=dict)
    exploration_sequences: int = 3
    reduction_requests: int = 200
