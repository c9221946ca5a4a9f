"""What an earlier run found, read from the JSON that it wrote. A file that is none is refused in one line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import UsageError
from conformance.report.json import VERSION
from spec.contract import Contract

LARGEST = 500_000_000  # bytes
SHORTEST = 4  # characters of an id
TOLD = 12  # ids that a message lists
ALLOWED = "the conformance.json of an earlier run"


@dataclass(frozen=True, slots=True)
class Told:
    """A promise as a report tells of it. `keyword`: that its grade is of, "" when it is of the place.

    `proposal`, `sequence`: as written, or None (`conformance.sequence.read`).
    """

    fingerprint: str
    short: str
    law: str
    operation: str
    parameter: str
    sentence: str
    verdict: str
    said: str
    place: str
    pointer: str
    keyword: str
    grade: str
    proposal: Any
    sequence: Any


@dataclass(frozen=True, slots=True)
class Reported:
    """A run's report. `target`: the address, with the contract's base path. `digest`: of the contract's bytes.
    `answered`: operationId -> the statuses that it answered."""

    file: str
    target: str
    seed: int
    run_id: str
    started: str
    digest: str
    answered: Mapping[str, frozenset[int]]
    promises: tuple[Told, ...]

    def broken(self) -> Iterator[Told]:
        """The promises that were broken, or broken at times."""
        return (p for p in self.promises if p.verdict in ("broken", "flaky"))

    def failure(self, name: str) -> Told:
        """The broken promise with that id, the beginning of it, or that fingerprint. Raises UsageError."""
        asked = name.strip().removeprefix("#")
        known = {failure.fingerprint: failure for failure in self.broken()}
        found = [f for f in known.values() if asked == f.fingerprint or asked == f.short]
        if not found and len(asked) >= SHORTEST:
            found = [f for f in known.values() if f.short.startswith(asked.lower())]
        if len(found) == 1:
            return found[0]
        listed = [f"{f.short} ({f.operation} {f.law})" for f in (found or known.values())]
        more = f" and {len(listed) - TOLD} more" if len(listed) > TOLD else ""
        said = ", ".join(listed[:TOLD]) + more or "none: the report tells of nothing broken"
        raise UsageError(f"id: found {asked[:80]!a}, which {len(found)} failures have; allowed: {said}")


def read(path: Path) -> Reported:
    """The report in a file. Raises UsageError."""
    root = _json(path)
    if not isinstance(root, dict) or root.get("version") != VERSION:
        version = root.get("version") if isinstance(root, dict) else type(root).__name__
        raise UsageError(f"{path}: found version {version!r:.40}; allowed: {ALLOWED}, version {VERSION}")
    try:
        run = root["run"]
        return Reported(
            str(path),
            str(run["target"]),
            int(run["seed"]),
            str(run["id"]),
            str(run["started"]),
            str(run["digest"]),
            {str(name): frozenset(map(int, statuses)) for name, statuses in root["answers"].items()},
            tuple(_told(said) for said in root["promises"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: found {error!r:.100}; allowed: {ALLOWED}") from None


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path}: found {path.stat().st_size} bytes; allowed: {LARGEST} at most")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: found no readable file ({error.strerror}); allowed: {ALLOWED}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: found no JSON ({str(error)[:100]}); allowed: {ALLOWED}") from None


def _told(said: Mapping[str, Any]) -> Told:
    place = said["place"]
    names = ("short", "law", "operation", "parameter", "sentence", "verdict", "said", "grade")
    texts = {name: str(said[name]) for name in names}
    return Told(
        fingerprint=str(said["id"]),
        place=f"{place['file']}:{place['line']} {place['pointer']}",
        pointer=str(place["pointer"]),
        keyword=str(said.get("keyword") or ""),
        proposal=said.get("proposal"),
        sequence=said.get("sequence"),
        **texts,
    )


def differs(said: Reported, contract: Contract) -> str:
    """A note where the report was made with another contract than this one; "" otherwise."""
    if said.digest == contract.document.digest:
        return ""
    return f"the report was made with another contract ({said.digest[:12]}; this one: {contract.document.digest[:12]})"
