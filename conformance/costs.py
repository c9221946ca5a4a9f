"""How many requests a law takes on an operation: an estimate from what was measured on the mock (`costs.json`).

The file holds for each law: requests at least, so many more for each query parameter and body field of the operation,
and which share of them are writes; the same for the engine as deep as each profile goes; and how many requests each
write has followed when what was made is taken away.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.laws.law import Law
from spec.contract import Operation

FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True, slots=True)
class Cost:
    """Requests, and how many of them are writes."""

    requests: float = 0.0
    writes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.requests + other.requests, self.writes + other.writes)


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured. `laws`: law -> (requests at least, more for each part, share of writes). `engine`: the same,
    by the name of its depth."""

    laws: Mapping[str, tuple[float, float, float]]
    cleaning: float
    engine: Mapping[str, tuple[float, float, float]]

    @classmethod
    def measured(cls) -> "Costs":
        """The figures that come with the suite."""
        found = json.loads(FILE.read_text(encoding="utf-8"))
        return cls(_lines(found["laws"]), found["cleaning"], _lines(found["engine"]))

    def of(self, law: Law, operation: Operation) -> Cost:
        """What a law takes on an operation; one that was not measured takes what laws take on average."""
        return _cost(self.laws.get(law.id) or self._usual(law), operation)

    def of_engine(self, depth: str, operation: Operation) -> Cost:
        """What the engine asks of an operation."""
        least, more, _ = self.engine[depth]
        cost = _cost((least, more, 0.0), operation)
        return Cost(cost.requests, 0.0 if operation.method == "get" else cost.requests)

    def _usual(self, law: Law) -> tuple[float, float, float]:
        lines = [line for line in self.laws.values() if (line[2] > 0) == law.writes] or [(1.0, 0.0, 0.0)]
        return (
            sum(line[0] for line in lines) / len(lines),
            sum(line[1] for line in lines) / len(lines),
            sum(line[2] for line in lines) / len(lines),
        )


def _lines(found: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float, float]]:
    return {name: (line[0], line[1], line[2]) for name, line in found.items()}


def _cost(line: tuple[float, float, float], operation: Operation) -> Cost:
    least, more, writes = line
    requests = max(0.0, least + more * size(operation))
    return Cost(requests, requests * writes)


def size(operation: Operation) -> int:
    """How many query parameters and body fields an operation has."""
    return len(operation.query) + (len(operation.body.fields) if operation.body else 0)
