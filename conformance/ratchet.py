"""What an accepted run kept: to break it later blocks, however little the place in the contract is known.

version: 1
kept:
  listAuthors:                                    # operationId
    size-is-respected:                            # law
    - '#/paths/~1authors/get/parameters/0 per_page'  # place, and what it is about
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance import yaml_files
from conformance.errors import UsageError
from conformance.outcome import Outcome, Promise

FLAG = "--ratchet"
VERSION = 1
HEADING = "What an accepted run kept: to break it blocks. Written by --update-ratchet."

Mark = tuple[str, str, str]  # operation, law, place with what it is about


def mark_of(promise: Promise) -> Mark:
    """A promise as the file names it."""
    return promise.operation, promise.law, f"{promise.place} {promise.parameter}".rstrip()


@dataclass(frozen=True, slots=True)
class Ratchet:
    """The recorded promises."""

    kept: frozenset[Mark] = field(default_factory=frozenset)

    @classmethod
    def load(cls, path: Path) -> "Ratchet":
        """Those of a file; none where there is no file yet. Raises UsageError."""
        said = yaml_files.read(FLAG, path, "kept", VERSION)
        return cls(frozenset(_marks(path, said))) if said is not None else cls()

    def breaks(self, outcome: Outcome, judged: Collection[Mark]) -> bool:
        """Whether a failure breaks a recorded promise.

        `judged`: all that was judged in this run. Where a law tells of a failure at a place inside of the one that was
        recorded, nothing of what it was recorded for is judged: that is broken then.
        """
        mark = mark_of(outcome.promise)
        recorded = [m for m in self.kept if m[:2] == mark[:2]]
        return mark in recorded or (bool(recorded) and all(m not in judged for m in recorded))

    def missed(self, judged: Collection[Mark], failing: Collection[Mark], operations: Collection[str]) -> list[Mark]:
        """Recorded promises of these operations that were not judged, and that no failure of the same law explains."""
        explained = {mark[:2] for mark in failing}
        left = (m for m in self.kept if m[0] in operations and m not in judged)
        return sorted(m for m in left if m[:2] not in explained)

    def updated(self, kept: Iterable[Outcome], operations: Collection[str]) -> "Ratchet":
        """With what is kept now too; without operations that the contract has no more."""
        there = {mark for mark in self.kept if mark[0] in operations}
        return Ratchet(frozenset(there | {mark_of(outcome.promise) for outcome in kept}))

    def save(self, path: Path) -> None:
        """Write the file, sorted. Raises UsageError."""
        document: dict[str, dict[str, list[str]]] = {}
        for operation, law, place in sorted(self.kept):
            document.setdefault(operation, {}).setdefault(law, []).append(place)
        yaml_files.write(FLAG, path, HEADING, {"version": VERSION, "kept": document})


def _marks(path: Path, said: Any) -> Iterator[Mark]:
    for operation, laws in _mapping(f"{path}: kept", said):
        for law, places in _mapping(f"{path}: kept.{operation}", laws):
            if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
                raise UsageError(f"{FLAG}: {path}: kept.{operation}.{law}: found no list of texts; allowed: places")
            yield from ((operation, law, place) for place in places)


def _mapping(where: str, said: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(said, Mapping) or not all(isinstance(name, str) for name in said):
        raise UsageError(f"{FLAG}: {where}: found {type(said).__name__}; allowed: a mapping of names")
    yield from said.items()
