"""How deep a run goes: three names for how much time there is.

The laws come first, cheap ones before dear ones, and then the stock engine as deep as is said here; so the time runs
out on what is least worth. What was not reached is not judged, and named.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """`max_time`: seconds after which no more is judged. `engine_depth`: of the engine, by the name of its constant."""

    name: str
    max_time: float | None
    engine_depth: str


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (Profile("smoke", 60.0, "SMOKE"), Profile("gate", 300.0, "GATE"), Profile("deep", 1800.0, "DEEP"))
}
DEFAULT_PROFILE = Profile("", None, "GATE")  # without --profile: everything that gate asks, however long it takes


def get_profile(name: str | None) -> Profile:
    """The profile of that name; None: the one that is not bounded."""
    return DEFAULT_PROFILE if name is None else PROFILES[name]
