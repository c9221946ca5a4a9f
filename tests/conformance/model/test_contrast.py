"""What distinguishes a record that a list lacks from the records that it contains."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conformance.model.contrast import MIN_ROWS, find_differences, find_text_differences
from tests.mock_server.athena import athena_contract

THREAD = athena_contract().resources["Thread"]
VALUES = st.sampled_from([None, "", 0, 1, "a", [], [1], {"uuid": "x"}])
ROWS = st.fixed_dictionaries({"name": VALUES, "agent": VALUES, "metadata": VALUES})


def describe(missing: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    return list(find_differences(THREAD, missing, rows))


def test_empty_property_is_a_difference_if_no_listed_record_has_it_empty() -> None:
    rows = [{"uuid": n, "agent": {"uuid": n}, "name": ""} for n in range(MIN_ROWS)]
    missing = {"uuid": 9, "agent": None, "name": ""}
    assert describe(missing, rows) == ["agent is None"]
    assert describe(missing, [*rows, missing]) == []


def test_value_is_a_difference_if_all_listed_records_have_the_same_other_value() -> None:
    rows = [{"name": "live", "agent": n} for n in range(MIN_ROWS)]
    assert describe({"name": "draft", "agent": 7}, rows) == ["name is 'draft', not 'live'"]
    assert describe({"name": "draft", "agent": 7}, rows[:-1]) == []


@given(missing=ROWS, rows=st.lists(ROWS, min_size=MIN_ROWS, max_size=6))
def test_record_that_is_listed_has_no_difference(missing: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    assert describe(missing, [*rows, missing]) == []
    for name in (text.partition(" ")[0] for text in describe(missing, rows)):
        assert all(row[name] != missing[name] for row in rows)


def test_search_term_at_the_start_of_all_other_texts_is_a_difference() -> None:
    paths = (("name",), ("agent", "name"))
    rows: list[dict[str, Any]] = [
        {"name": "Key one"},
        {"name": "other", "agent": {"name": "key"}},
        {"name": "key two", "agent": None},
    ]
    missing = {"name": "the Key", "agent": None}
    assert list(find_text_differences(paths, "key", missing, rows)) == [
        "no searched text (name or agent.name) starts with 'key': got 'the Key'"
    ]
    assert list(find_text_differences(paths, "key", missing, [*rows, missing])) == []


def test_letter_case_of_a_search_term_is_a_difference() -> None:
    rows = [{"name": f"a key {n}"} for n in range(MIN_ROWS)]
    found = list(find_text_differences((("name",),), "key", {"name": "b KEY 1"}, rows))
    assert found == ["no searched text (name) contains (case-sensitive) 'key': got 'b KEY 1'"]
