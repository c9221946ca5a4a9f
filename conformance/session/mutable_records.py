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

    def protects(self, resource: str | None, path: Mapping[str, Any]) -> bool:
        """Whether a path refers to one of the records."""
        key = self.keys.get(resource or "")
        return key is not None and any(str(value) == str(key) for value in path.values())
