"""The performance floors of the mock, and whether measured figures meet them. A missed floor is never an exit code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.figures import BenchmarkResults
from bench.load import CREATE, LIST, REJECTED_CREATE, RETRIEVE, RequestKind

OURS, BASELINE = "athena-mock", "prism static"

# (results, connections) -> the measured figure; None: not measured.
Measure = Callable[[BenchmarkResults, int], float | None]


@dataclass(frozen=True, slots=True)
class PerformanceFloor:
    """A bound on one figure. `is_minimum`: the figure must be at least `threshold`, else at most."""

    name: str
    is_minimum: bool
    threshold: float
    unit: str
    measure: Measure

    def evaluate(self, results: BenchmarkResults, connections: int) -> dict[str, object]:
        """The floor, the measured figure and whether it is met (None: not measured)."""
        value = self.measure(results, connections)
        is_met = None if value is None else value >= self.threshold if self.is_minimum else value <= self.threshold
        threshold = f"{'≥' if self.is_minimum else '≤'} {self.threshold:g}{self.unit}"
        return {"floor": self.name, "threshold": threshold, "measured": value, "met": is_met}


def _create_rate_floor(kind: RequestKind, ratio: float) -> PerformanceFloor:
    def measure(results: BenchmarkResults, connections: int) -> float | None:
        return results.ratio(kind.name, connections, OURS, (kind.name, BASELINE))

    return PerformanceFloor(f"{kind.name}, relative to Prism", True, ratio, " times", measure)


def _measure_start_ratio(results: BenchmarkResults, connections: int) -> float | None:
    ours, baseline = results.median_start(OURS), results.median_start(BASELINE)
    return ours.wall_seconds / baseline.wall_seconds if ours and baseline else None


def _measure_memory(results: BenchmarkResults, connections: int) -> float | None:
    return results.memory[OURS].after_reads if OURS in results.memory else None


FLOORS = (
    _create_rate_floor(RETRIEVE, 8),
    _create_rate_floor(LIST, 8),
    _create_rate_floor(CREATE, 2.5),
    _create_rate_floor(REJECTED_CREATE, 4.5),
    PerformanceFloor("cold start, relative to Prism", False, 0.5, " times", _measure_start_ratio),
    PerformanceFloor("memory after the reads", False, 100, " MiB", _measure_memory),
)


def evaluate_floors(results: BenchmarkResults, connections: int) -> list[dict[str, object]]:
    """Every floor, from the rounds with that number of connections."""
    return [floor.evaluate(results, connections) for floor in FLOORS]


def build_table(results: BenchmarkResults, connections: int) -> Iterator[str]:
    """The floors as the lines of a Markdown table."""
    yield f"| floor, at {connections} connections | threshold | measured | |"
    yield "|---|--:|--:|---|"
    for row in evaluate_floors(results, connections):
        value, is_met = row["measured"], row["met"]
        status = "not measured" if is_met is None else "met" if is_met else "missed"
        value_text = f"{value:.2f}" if isinstance(value, float) else ""
        yield f"| {row['floor']} | {row['threshold']} | {value_text} | {status} |"
