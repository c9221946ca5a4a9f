"""Hypothesis profiles, and contract files that are read once per process.

Profile `default` is fast and deterministic, `ci` searches deeper with new random examples.
"""

import os
import pickle
from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Verbosity, settings

from spec import document, line_numbers
from spec.reading.yaml_loader import StrictLoader

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile(
    "default",
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=_SLOW,
    verbosity=Verbosity.normal,
)
settings.register_profile(
    "ci",
    max_examples=400,
    stateful_step_count=50,
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=_SLOW,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    """Read equal contract files once per process: commands that run in the test process each load one."""
    document._load = _load_copy
    line_numbers.find_line_numbers = _copy_line_numbers


_load, _find_line_numbers = document._load, lru_cache(maxsize=16)(line_numbers.find_line_numbers)


@lru_cache(maxsize=32)
def _load_pickled(content: bytes, name: str, loader: Hashable) -> bytes:
    assert isinstance(loader, type)
    return pickle.dumps(_load(content, name, loader), pickle.HIGHEST_PROTOCOL)


def _load_copy(content: bytes, name: str, loader: type[StrictLoader]) -> Any:
    return pickle.loads(_load_pickled(content, name, loader))  # type: ignore[arg-type]  # mypy rejects classes


def _copy_line_numbers(content: bytes) -> dict[str, int]:
    return dict(_find_line_numbers(content))
