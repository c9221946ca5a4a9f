"""The goals of a comparison are told from its figures alone: reached, missed, or not measured."""

import pytest

from bench import goals, mixed
from bench.figures import BenchmarkResults, LoadMeasurement, MemoryUsage, ServerStart
from bench.goals import BASELINE, OURS, WIREMOCK
from bench.load import CREATE, LIST, RETRIEVE, LoadResult


def row(ask: str, server: str, rate: float, *, number: int = 0, connections: int = 16) -> LoadMeasurement:
    return LoadMeasurement(ask, connections, number, server, LoadResult(rate, 1, 1, 100), 1)


def verdicts(
    *rows: LoadMeasurement, starts: dict[str, list[float]] | None = None, read: float = 0
) -> dict[str, object]:
    memory = {OURS: MemoryUsage(50, read, 200, 10)} if read else {}
    started = {server: [ServerStart(wall, 99) for wall in walls] for server, walls in (starts or {}).items()}
    figures = BenchmarkResults(rows, started, memory)
    return {str(said["goal"]): said["reached"] for said in goals.evaluate_goals(figures, 16)}


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert set(verdicts().values()) == {None}


@pytest.mark.parametrize(("rate", "reached"), [(999, False), (1000, True), (1001, True)])
def test_a_rate_is_held_against_prism_in_the_same_round(rate: float, reached: bool) -> None:
    found = verdicts(row(RETRIEVE.name, OURS, rate), row(RETRIEVE.name, BASELINE, 100))
    assert found["retrieve a message, beside Prism"] is reached
    assert found["retrieve a message, beside WireMock"] is None


def test_rounds_are_compared_one_by_one() -> None:
    """The machine was ten times as fast in the second one; the median of the ratios does not care."""
    rows = [row(LIST.name, OURS, rate, number=n) for n, rate in enumerate((1_100, 11_000, 1_100))]
    rows += [row(LIST.name, BASELINE, rate, number=n) for n, rate in enumerate((100, 1_000, 100))]
    assert verdicts(*rows)["list one row of a thread, beside Prism"] is True


def test_other_numbers_of_connections_do_not_count() -> None:
    rows = [row(CREATE.name, OURS, 1000, connections=64), row(CREATE.name, WIREMOCK, 10, connections=64)]
    assert verdicts(*rows)["create a message, beside WireMock"] is None


@pytest.mark.parametrize(("rate", "reached"), [(49, False), (50, True)])
def test_the_mixed_load_is_held_against_its_own_reads(rate: float, reached: bool) -> None:
    found = verdicts(row(mixed.NAME, OURS, rate), row(mixed.READS_NAME, OURS, 100))
    assert found["mixed, beside its own reads alone"] is reached


@pytest.mark.parametrize(("ours", "second", "ratio"), [([0.9, 0.4, 3.0], True, False), ([1.1, 1.1, 0.1], False, False)])
def test_a_start_is_the_median_of_the_starts(ours: list[float], second: bool, ratio: bool) -> None:
    found = verdicts(starts={OURS: ours, BASELINE: [1.0, 1.2, 9.0]})
    assert (found["cold start"], found["cold start, beside Prism"]) == (second, ratio)


@pytest.mark.parametrize(("read", "reached"), [(99.9, True), (100.1, False)])
def test_memory_counts_after_the_reads(read: float, reached: bool) -> None:
    assert verdicts(read=read)["memory after the reads"] is reached


def test_the_table_says_each_goal_on_a_line() -> None:
    figures = BenchmarkResults([row(RETRIEVE.name, OURS, 1000), row(RETRIEVE.name, BASELINE, 100)], {}, {})
    _, _, first, *others = goals.build_table(figures, 16)
    assert first == "| retrieve a message, beside Prism | ≥ 10 times | 10.00 | reached |"
    assert len(others) + 1 == len(goals.GOALS)


@pytest.mark.parametrize(("stored", "bytes_each"), [(1024, 1024), (0, None), (None, None)])
def test_a_record_costs_what_the_writes_added(stored: int | None, bytes_each: float | None) -> None:
    assert MemoryUsage(10, 20, 21, stored).bytes_per_record == bytes_each
