"""Hypothesis profiles, and contract files that are parsed once per process.

Profile `default` is fast and deterministic, `ci` searches deeper with new random examples.
"""

import os
import pickle
from collections.abc import Iterator
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, Verbosity, settings

from spec import document

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


@pytest.fixture(scope="session", autouse=True)
def parse_documents_once() -> Iterator[None]:
    """Parse equal contract files once: commands that run in the test process each load one. Each gets its own copy."""
    parse = document.parse_document

    @lru_cache(maxsize=16)
    def parse_once(content: bytes, name: str) -> bytes:
        return pickle.dumps(parse(content, name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "parse_document", lambda content, name: pickle.loads(parse_once(content, name)))
        yield
