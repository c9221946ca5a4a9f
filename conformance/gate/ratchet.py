"""What an accepted run kept: to break it later blocks, however little the place in the contract is known.

version: 1
kept:
  listAuthors:                                    # operationId
    page-size-respected:                            # law
    - '#/paths/~1authors/get/parameters/0 per_page'  # place, and what it is about
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.errors import UsageError
from conformance.gate import yaml_files
from conformance.results import CheckResult, Requirement

OPTION = "--ratchet"
VERSION = 1
HEADING = "What an accepted run kept: to break it blocks. Written by --update-ratchet."

RatchetKey = tuple[str, str, str]  # operation, law, place with what it is about


def ratchet_key(requirement: Requirement) -> RatchetKey:
    """A promise as the file names it."""
    return requirement.operation, requirement.check, f"{requirement.location} {requirement.parameter}".rstrip()


@dataclass(frozen=True, slots=True)
class Ratchet:
    """The recorded promises."""

    passed: frozenset[RatchetKey] = field(default_factory=frozenset)

    @classmethod
    def load(cls, path: Path) -> "Ratchet":
        """Those of a file; none where there is no file yet. Raises UsageError."""
        raw_keys = yaml_files.read(OPTION, path, "kept", VERSION)
        return cls(frozenset(_parse_keys(path, raw_keys))) if raw_keys is not None else cls()

    def is_regression(self, result: CheckResult, evaluated: Collection[RatchetKey]) -> bool:
        """Whether a failure breaks a recorded promise.

        `evaluated`: all that was judged in this run. Where a law tells of a failure at a place inside of the one that was
        recorded, nothing of what it was recorded for is judged: that is broken then.
        """
        key = ratchet_key(result.requirement)
        recorded_keys = [recorded_key for recorded_key in self.passed if recorded_key[:2] == key[:2]]
        return key in recorded_keys or (
            bool(recorded_keys) and all(recorded_key not in evaluated for recorded_key in recorded_keys)
        )

    def not_run(
        self, evaluated: Collection[RatchetKey], failed: Collection[RatchetKey], operations: Collection[str]
    ) -> list[RatchetKey]:
        """Recorded promises of these operations that were not judged, and that no failure of the same law explains."""
        explained = {failed_key[:2] for failed_key in failed}
        not_evaluated = (key for key in self.passed if key[0] in operations and key not in evaluated)
        return sorted(key for key in not_evaluated if key[:2] not in explained)

    def with_results(self, passed: Iterable[CheckResult], operations: Collection[str]) -> "Ratchet":
        """With what is kept now too; without operations that the contract has no more."""
        current = {key for key in self.passed if key[0] in operations}
        return Ratchet(frozenset(current | {ratchet_key(result.requirement) for result in passed}))

    def save(self, path: Path) -> None:
        """Write the file, sorted. Raises UsageError."""
        document: dict[str, dict[str, list[str]]] = {}
        for operation, check, location in sorted(self.passed):
            document.setdefault(operation, {}).setdefault(check, []).append(location)
        yaml_files.write(OPTION, path, HEADING, {"version": VERSION, "kept": document})


def _parse_keys(path: Path, raw_keys: Any) -> Iterator[RatchetKey]:
    for operation, raw_checks in _iter_mapping(f"{path}: kept", raw_keys):
        for check, locations in _iter_mapping(f"{path}: kept.{operation}", raw_checks):
            if not isinstance(locations, list) or not all(isinstance(location, str) for location in locations):
                raise UsageError(f"{OPTION}: {path}: kept.{operation}.{check}: found no list of texts; allowed: places")
            yield from ((operation, check, location) for location in locations)


def _iter_mapping(location: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{OPTION}: {location}: found {type(value).__name__}; allowed: a mapping of names")
    yield from value.items()
