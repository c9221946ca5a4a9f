"""Order of values: only what every collation orders equally is compared."""

from typing import Any

import pytest

from conformance.model.queries import build_collation_keys, sorts_before


@pytest.mark.parametrize(
    ("left", "right"),
    [("Zoe", "adam"), ("Émile", "Frank"), ("a b", "ab"), ("_x", "x"), ("Øst", "Ost"), ("😀", "a"), (None, "a")],
)
def test_values_that_collations_order_differently_are_not_compared(left: Any, right: Any) -> None:
    first, second = build_collation_keys(left), build_collation_keys(right)
    assert first is None or second is None or not (sorts_before(first, second) or sorts_before(second, first))


def test_values_that_all_collations_order_equally_are_compared() -> None:
    for left, right in (
        ("adam", "zoe"),
        (1, 2.5),
        (False, True),
        ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00"),
    ):
        first, second = build_collation_keys(left), build_collation_keys(right)
        assert first is not None
        assert second is not None
        assert sorts_before(first, second)
