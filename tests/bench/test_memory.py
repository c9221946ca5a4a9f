"""Growth of memory after the warm-up."""

from bench.memory import MAX_GROWTH_MIB, MemoryResult, build_table


def test_growth_of_the_warm_up_is_ignored() -> None:
    samples = [60.0, 80.0, *[90.0] * 8]
    assert MemoryResult(samples, 1).growth == 0


def test_steady_growth_exceeds_the_limit() -> None:
    samples = [70.0 + index / 5 for index in range(60)]
    assert MemoryResult(samples, 1).growth > MAX_GROWTH_MIB


def test_table_has_at_most_eleven_rows() -> None:
    for count, row_count in ((1, 1), (11, 11), (20, 10), (61, 11)):
        header, _, *rows = build_table(MemoryResult([70.0] * count, 1))
        assert (header, len(rows)) == ("| s | MiB |", row_count)
    assert rows[-1] == "| 600 | 70.0 |"
