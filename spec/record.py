"""Records as they are passed from dataset generation to the mock server's store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Reference(NamedTuple):
    """Identifies a record by the name of its resource and its key."""

    resource: str
    key: Any


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    `attributes`: JSON values of the stored properties, including the key and write-only properties. `references`: for
    each stored relation a Reference, None, or (to-many) a tuple of them; a missing relation means None or ().
    """

    resource: str
    key: Any
    attributes: Mapping[str, Any]
    references: Mapping[str, Reference | tuple[Reference, ...] | None]
