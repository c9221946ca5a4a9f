"""Existing records that a run may change (`--mutable-record`), for resources that cannot be created.

They are never deleted. `conformance.session.borrowed` uses and restores them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class MutableRecords:
    """`keys`: resource -> key. `original_values`: resource -> values before the run."""

    keys: Mapping[str, Any] = field(default_factory=dict)
    original_values: dict[str, Mapping[str, Any]] = field(default_factory=dict)
