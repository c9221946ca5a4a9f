"""Comparison of values: notations that JSON encoders, frameworks and databases use for equal values."""

from conformance.checks.support.values import contains, equal


def test_equal_ignores_notation() -> None:
    assert equal({"a": 1, "b": [1.0]}, {"b": [1], "a": 1.0})
    assert equal("2026-01-15T10:30:00Z", "2026-01-15T10:30:00.999999+00:00")
    assert equal(" text ", "text")
    assert not equal(True, 1)
    assert not equal("one", "two")
    assert contains({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}})
    assert not contains({"a": 1}, {})
