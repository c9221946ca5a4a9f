"""Tests of the performance floors: met, missed or not measured, from the figures alone."""

import pytest

from bench import floors
from bench.figures import BenchmarkResults, LoadMeasurement, MemoryUsage, ServerStart
from bench.floors import BASELINE, OURS
from bench.load import CREATE, LIST, RETRIEVE, LoadResult


def create_measurement(
    request: str, server: str, rate: float, *, round_index: int = 0, connections: int = 16
) -> LoadMeasurement:
    return LoadMeasurement(request, connections, round_index, server, LoadResult(rate, 1, 1, 100), 1)


def evaluate(
    *loads: LoadMeasurement, starts: dict[str, list[float]] | None = None, after_reads: float = 0
) -> dict[str, object]:
    """Floor -> whether it is met."""
    memory = {OURS: MemoryUsage(50, after_reads, 200, 10)} if after_reads else {}
    server_starts = {server: [ServerStart(wall, 99) for wall in walls] for server, walls in (starts or {}).items()}
    rows = floors.evaluate_floors(BenchmarkResults(loads, server_starts, memory), 16)
    return {str(row["floor"]): row["met"] for row in rows}


def test_floor_without_figures_is_not_measured() -> None:
    assert set(evaluate().values()) == {None}


@pytest.mark.parametrize(("rate", "is_met"), [(799, False), (800, True), (801, True)])
def test_rate_is_compared_with_prism_in_the_same_round(rate: float, is_met: bool) -> None:
    results = evaluate(create_measurement(RETRIEVE.name, OURS, rate), create_measurement(RETRIEVE.name, BASELINE, 100))
    assert results["retrieve a message, relative to Prism"] is is_met
    assert results["create a message, relative to Prism"] is None


def test_ratios_are_computed_per_round() -> None:
    """The machine is ten times as fast in the second round, which does not change the median of the ratios."""
    loads = [create_measurement(LIST.name, OURS, rate, round_index=n) for n, rate in enumerate((900, 9_000, 900))]
    loads += [create_measurement(LIST.name, BASELINE, rate, round_index=n) for n, rate in enumerate((100, 1_000, 100))]
    assert evaluate(*loads)["list one row of a thread, relative to Prism"] is True


def test_measurements_with_other_connections_are_ignored() -> None:
    loads = [create_measurement(CREATE.name, server, 1000, connections=64) for server in (OURS, BASELINE)]
    assert evaluate(*loads)["create a message, relative to Prism"] is None


@pytest.mark.parametrize(("ours", "is_met"), [([0.5, 0.4, 3.0], True), ([0.7, 0.7, 0.1], False)])
def test_cold_start_is_the_median_of_the_starts(ours: list[float], is_met: bool) -> None:
    assert evaluate(starts={OURS: ours, BASELINE: [1.0, 1.2, 9.0]})["cold start, relative to Prism"] is is_met


@pytest.mark.parametrize(("after_reads", "is_met"), [(99.9, True), (100.1, False)])
def test_memory_is_measured_after_the_reads(after_reads: float, is_met: bool) -> None:
    assert evaluate(after_reads=after_reads)["memory after the reads"] is is_met


def test_the_table_has_one_line_per_floor() -> None:
    loads = [create_measurement(RETRIEVE.name, OURS, 1000), create_measurement(RETRIEVE.name, BASELINE, 100)]
    _, _, first, *others = floors.build_table(BenchmarkResults(loads, {}, {}), 16)
    assert first == "| retrieve a message, relative to Prism | ≥ 8 times | 10.00 | met |"
    assert len(others) + 1 == len(floors.FLOORS)


@pytest.mark.parametrize(("records", "expected"), [(1024, 1024), (0, None), (None, None)])
def test_bytes_per_record_are_what_the_writes_added(records: int | None, expected: float | None) -> None:
    assert MemoryUsage(10, 20, 21, records).bytes_per_record == expected
