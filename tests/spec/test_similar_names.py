"""Which name a misspelled one probably means."""

import pytest

from spec.similar_names import find_similar_name


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("nmae", "name"),
        ("nam", "name"),
        ("Name", "name"),
        ("workspaceId", "workspace_id"),
        ("instrutcoin", "instruction"),
        ("idd", "id"),
        ("to", None),
        ("colour", None),
        ("", None),
        ("x" * 1_000_000, None),
    ],
)
def test_name_within_two_edits_is_suggested(name: str, similar: str | None) -> None:
    assert find_similar_name(name, ["id", "name", "workspace_id", "instruction"]) == similar


def test_closest_name_is_suggested() -> None:
    assert find_similar_name("titel", ["tiles", "title"]) == "title"


def test_no_names_have_no_similar_one() -> None:
    assert find_similar_name("name", []) is None
