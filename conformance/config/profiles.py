"""Profiles: how much time a run may take, and how many requests Schemathesis generates.

Checks run first, the inexpensive ones before the others, then Schemathesis. What does not run in time is reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """`max_time`: seconds after which no check starts. `engine_depth`: a constant of `schemathesis_engine.depth`.

    `exploration_sequences`: random sequences of requests that the model explores for each resource.
    """

    name: str
    max_time: float | None
    engine_depth: str
    exploration_sequences: int


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("smoke", 60.0, "SMOKE", 1),
        Profile("gate", 300.0, "GATE", 3),
        Profile("deep", 1800.0, "DEEP", 100),
    )
}
DEFAULT_PROFILE = Profile("", None, "GATE", 3)  # without --profile: the depth of `gate` without its time limit


def get_profile(name: str | None) -> Profile:
    """The profile of that name; None: the default profile."""
    return DEFAULT_PROFILE if name is None else PROFILES[name]
