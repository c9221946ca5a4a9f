"""The ratchet: requirements that passed in an accepted run. If one fails later, it blocks, whatever its provenance.

version: 1
passed:
  listAuthors:                                        # operationId
    blank-parameter-ignored:                          # check
    - '#/paths/~1authors/get/parameters/0 page'       # location and parameter
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.errors import UsageError
from conformance.gate import yaml_files
from conformance.results import CheckResult, Requirement

OPTION = "--ratchet"
HEADING = "Requirements that passed in an accepted run; failures of them block. Written by --update-ratchet."

RatchetKey = tuple[str, str, str]  # operation, check, location and parameter


def ratchet_key(requirement: Requirement) -> RatchetKey:
    """The key of a requirement in the file."""
    return requirement.operation, requirement.check, f"{requirement.location} {requirement.parameter}".rstrip()


@dataclass(frozen=True, slots=True)
class Ratchet:
    """The recorded requirements."""

    passed: frozenset[RatchetKey] = field(default_factory=frozenset)

    @classmethod
    def load(cls, path: Path) -> "Ratchet":
        """Read a file; an empty ratchet if it does not exist. Raises UsageError."""
        raw_keys = yaml_files.read(OPTION, path, "passed")
        return cls(frozenset(_parse_keys(path, raw_keys))) if raw_keys is not None else cls()

    def is_regression(self, result: CheckResult, evaluated: Collection[RatchetKey]) -> bool:
        """Whether a recorded requirement fails. `evaluated`: the keys of all results of this run.

        A check may report a failure at a location inside the recorded one, which then has no result itself.
        """
        key = ratchet_key(result.requirement)
        recorded = [candidate for candidate in self.passed if candidate[:2] == key[:2]]
        return key in recorded or (bool(recorded) and all(candidate not in evaluated for candidate in recorded))

    def not_run(
        self, evaluated: Collection[RatchetKey], failed: Collection[RatchetKey], operations: Collection[str]
    ) -> list[RatchetKey]:
        """Recorded requirements of these operations without a result and without a failure of the same check."""
        explained = {failed_key[:2] for failed_key in failed}
        not_evaluated = (key for key in self.passed if key[0] in operations and key not in evaluated)
        return sorted(key for key in not_evaluated if key[:2] not in explained)

    def with_results(self, passed: Iterable[CheckResult], operations: Collection[str]) -> "Ratchet":
        """Add what passed; remove operations that the contract does not define."""
        current = {key for key in self.passed if key[0] in operations}
        return Ratchet(frozenset(current | {ratchet_key(result.requirement) for result in passed}))

    def save(self, path: Path) -> None:
        """Write the file, sorted. Raises UsageError."""
        document: dict[str, dict[str, list[str]]] = {}
        for operation, check, location in sorted(self.passed):
            document.setdefault(operation, {}).setdefault(check, []).append(location)
        yaml_files.write(OPTION, path, HEADING, "passed", document)


def _parse_keys(path: Path, raw_keys: Any) -> Iterator[RatchetKey]:
    for operation, raw_checks in _iter_mapping(f"{path}: passed", raw_keys):
        for check, locations in _iter_mapping(f"{path}: passed.{operation}", raw_checks):
            if not isinstance(locations, list) or not all(isinstance(location, str) for location in locations):
                raise UsageError(f"{OPTION}: {path}: passed.{operation}.{check}: invalid value (expected locations)")
            yield from ((operation, check, location) for location in locations)


def _iter_mapping(location: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{OPTION}: {location}: invalid {type(value).__name__} (expected a mapping of names)")
    yield from value.items()
