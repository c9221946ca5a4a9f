"""Order of values and of rows: only what every collation orders equally is compared."""

from typing import Any

import pytest

from conformance.model.queries import build_collation_keys, is_reordered, iter_item_pairs, sorts_before


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Zoe", "adam"),
        ("Émile", "Frank"),
        ("a b", "ab"),
        ("_x", "x"),
        ("Øst", "Ost"),
        ("😀", "a"),
        (None, "a"),
        ("2.25", "13.24"),
        (2.0, "13.24"),
        (" 666", "1e3"),
    ],
)
def test_values_that_collations_order_differently_are_not_compared(left: Any, right: Any) -> None:
    first, second = build_collation_keys(left), build_collation_keys(right)
    assert first is None or second is None or not (sorts_before(first, second) or sorts_before(second, first))


def test_values_that_all_collations_order_equally_are_compared() -> None:
    for left, right in (
        ("adam", "zoe"),
        (1, 2.5),
        (False, True),
        ("2.25", "3.24"),
        ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00"),
    ):
        first, second = build_collation_keys(left), build_collation_keys(right)
        assert first is not None
        assert second is not None
        assert sorts_before(first, second)


def build_rows(*statuses: str) -> list[dict[str, Any]]:
    return [{"id": number, "status": status} for number, status in enumerate(statuses)]


def test_the_same_rows_in_another_order_are_reordered() -> None:
    rows = build_rows("running", "running", "error")
    assert is_reordered(rows, rows[::-1])
    assert not is_reordered(rows, rows)


def test_a_list_that_changed_while_its_pages_were_read_is_not_reordered() -> None:
    rows = build_rows("error", "pending", "running")
    # Between two pages the last execution was completed: it is now on the page that was read before, and the last row
    # of that page is the first one of the next page.
    assert not is_reordered(rows, [rows[0], rows[1], rows[1]])
    assert not is_reordered([rows[0], rows[1], rows[1]], rows)


def test_first_pairs_contain_each_item_twice() -> None:
    pairs = list(iter_item_pairs("abcdef"))
    assert [sum(item in pair for pair in pairs[:6]) for item in "abcdef"] == [2] * 6
    assert len(pairs) == len(set(pairs)) == 15


def test_few_items_have_each_pair_once() -> None:
    assert list(iter_item_pairs("")) == list(iter_item_pairs("a")) == []
    assert list(iter_item_pairs("ab")) == [("a", "b")]
