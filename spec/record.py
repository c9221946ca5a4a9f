"""A record, as the side that makes it and the side that stores it both speak of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Reference(NamedTuple):
    """Which record is meant: the resource's name and the record's key."""

    resource: str
    key: Any


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    `attributes`: its own properties, hidden ones and the key included, as JSON values. `references`: for each stored
    relation a Reference, None, or (to many) a tuple of them; a relation left out is None or ().
    """

    resource: str
    key: Any
    attributes: Mapping[str, Any]
    references: Mapping[str, Reference | tuple[Reference, ...] | None]
