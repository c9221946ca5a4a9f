"""The goals of the comparison, and whether these figures reach them: told, and never an exit code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import mixed
from bench.figures import BenchmarkResults
from bench.load import CREATE, LIST, PAGE, REJECTED_CREATE, RETRIEVE, RequestKind

OURS, BASELINE, WIREMOCK = mixed.OURS, "prism static", "wiremock"
# (figures, connections) -> what was measured; None: it was not.
Measure = Callable[[BenchmarkResults, int], float | None]


@dataclass(frozen=True, slots=True)
class PerformanceGoal:
    """What is due of one figure: at least so much, or at most."""

    name: str
    is_minimum: bool
    threshold: float
    unit: str
    measure: Measure

    def evaluate(self, results: BenchmarkResults, connections: int) -> dict[str, object]:
        """The goal, what was measured, and whether that reaches it (None: it was not measured)."""
        value = self.measure(results, connections)
        is_reached = None if value is None else value >= self.threshold if self.is_minimum else value <= self.threshold
        threshold = f"{'≥' if self.is_minimum else '≤'} {self.threshold:g}{self.unit}"
        return {"goal": self.name, "due": threshold, "measured": value, "reached": is_reached}


def compare_with(request_name: str, server: str, other_request_name: str | None = None) -> Measure:
    """The mock's rate as a multiple of a server's; `other_request_name`: of that one's under another load."""
    return lambda results, connections: results.ratio(
        request_name, connections, OURS, (other_request_name or request_name, server)
    )


def _create_request_goals(
    request_kind: RequestKind, ratio: float, *, wiremock: bool = True
) -> Iterator[PerformanceGoal]:
    yield PerformanceGoal(
        f"{request_kind.name}, beside Prism", True, ratio, " times", compare_with(request_kind.name, BASELINE)
    )
    if wiremock:
        yield PerformanceGoal(
            f"{request_kind.name}, beside WireMock", True, 1, " times", compare_with(request_kind.name, WIREMOCK)
        )


def _measure_cold_start(results: BenchmarkResults, connections: int) -> float | None:
    start = results.median_start(OURS)
    return start.wall_seconds if start else None


def _measure_start_ratio(results: BenchmarkResults, connections: int) -> float | None:
    ours, baseline = results.median_start(OURS), results.median_start(BASELINE)
    return ours.wall_seconds / baseline.wall_seconds if ours and baseline else None


def _measure_memory(results: BenchmarkResults, connections: int) -> float | None:
    return results.memory[OURS].after_reads if OURS in results.memory else None


GOALS = (
    *_create_request_goals(RETRIEVE, 10),
    *_create_request_goals(LIST, 10),
    *_create_request_goals(PAGE, 5, wiremock=False),
    *_create_request_goals(CREATE, 6),
    *_create_request_goals(REJECTED_CREATE, 7, wiremock=False),
    PerformanceGoal("mixed, beside json-server", True, 5, " times", compare_with(mixed.NAME, mixed.JSON_SERVER)),
    PerformanceGoal(
        "mixed, beside its own reads alone", True, 0.5, " times", compare_with(mixed.NAME, OURS, mixed.READS_NAME)
    ),
    PerformanceGoal("cold start", False, 1, " s", _measure_cold_start),
    PerformanceGoal("cold start, beside Prism", False, 0.5, " times", _measure_start_ratio),
    PerformanceGoal("memory after the reads", False, 100, " MiB", _measure_memory),
)


def evaluate_goals(results: BenchmarkResults, connections: int) -> list[dict[str, object]]:
    """Every goal, of the rounds with so many connections."""
    return [goal.evaluate(results, connections) for goal in GOALS]


def build_table(results: BenchmarkResults, connections: int) -> Iterator[str]:
    """The same as Markdown."""
    yield f"| goal, at {connections} connections | due | measured | |"
    yield "|---|--:|--:|---|"
    for row in evaluate_goals(results, connections):
        value, is_reached = row["measured"], row["reached"]
        status = "not measured" if is_reached is None else "reached" if is_reached else "missed"
        value_text = f"{value:.2f}" if isinstance(value, float) else ""
        yield f"| {row['goal']} | {row['due']} | {value_text} | {status} |"
