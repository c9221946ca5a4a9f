"""Records that are not the run's and may be changed all the same (`--sacrifice`), restored in the end.

They stand in where a contract gives no way to create a record. None of them is deleted: nothing could restore that.
`conformance.session.borrowed` uses and restores them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class MutableRecords:
    """`keys`: resource -> key. `original_values`: resource -> what its record was before the run."""

    keys: Mapping[str, Any] = field(default_factory=dict)
    original_values: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def protects(self, resource: str | None, path: Mapping[str, Any]) -> bool:
        """Whether a path names one of them."""
        key = self.keys.get(resource or "")
        return key is not None and any(str(value) == str(key) for value in path.values())
