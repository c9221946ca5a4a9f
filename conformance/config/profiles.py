"""Profiles: how much time a run may take, and how many requests Schemathesis generates.

Checks run first, the inexpensive ones before the others, then Schemathesis. What does not run in time is reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """`max_time`: seconds after which no check starts. `engine_depth`: such as ``GATE``."""

    name: str
    max_time: float | None
    engine_depth: str


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (Profile("smoke", 60.0, "SMOKE"), Profile("gate", 300.0, "GATE"), Profile("deep", 1800.0, "DEEP"))
}
DEFAULT_PROFILE = Profile("", None, "GATE")  # without --profile: the depth of `gate` without its time limit


def get_profile(name: str | None) -> Profile:
    """The profile of that name; None: the default profile."""
    return DEFAULT_PROFILE if name is None else PROFILES[name]
