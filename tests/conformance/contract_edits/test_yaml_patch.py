"""Edits of the text of a contract: the location is changed, all other lines are preserved."""

import copy
import difflib
import json
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from conformance.contract_edits.yaml_patch import Edit, EditError, YamlSource, apply_edits, build_diff
from spec.document import escape, parse_document, split_pointer
from tests.mock_process import ROOT

TEXT = (ROOT / "spec" / "openapi.yaml").read_text(encoding="utf-8")
FOREIGN = (ROOT / "tests" / "foreign" / "library.yaml").read_text(encoding="utf-8")

MIXED = """\
# a comment above
openapi: 3.0.3   # after
block:
  one: 1

  # before two
  two: |
    text
      # no comment

  three:
  - a   # first
  - b
  - {c: 1}
flow: {type: string, maxLength: 5, enum: [a, b,
    c, d], empty: {}, none: []}   # flow
list:
  - type: string
    format: uuid   # why
  - only: 1
"""


def load(text: str) -> Any:
    """Return the loaded document."""
    return parse_document(text.encode(), "test").root


def find_changed_lines(before: str, after: str) -> list[str]:
    """Return the lines that differ."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:2] in ("- ", "+ ")]


@pytest.mark.parametrize(
    ("edit", "lines"),
    [
        (Edit("#/block", "one", "now: this"), ["-   one: 1", "+   one: 'now: this'"]),
        (Edit("#/block", "one", remove=True), ["-   one: 1"]),
        (Edit("#/block", "four", {"x": [1, None]}), ["+   four: {x: [1, null]}"]),
        (Edit("#/block", "three", ["a", "b", {"c": 1}, "404"]), ["+   - '404'"]),
        (Edit("#/block", "three", ["a", {"c": 1}]), ["-   - b"]),
        (Edit("#/block", "three", [{"c": 1}]), ["-   - a   # first", "-   - b"]),
        (Edit("#", "openapi", "3.0.4"), ["- openapi: 3.0.3   # after", "+ openapi: 3.0.4   # after"]),
        (
            Edit("#/flow", "nullable", True),
            [
                "- flow: {type: string, maxLength: 5, enum: [a, b,",
                "+ flow: {type: string, nullable: true, maxLength: 5, enum: [a, b,",
            ],
        ),
        (
            Edit("#/flow", "enum", ["a", "b", "c", "d", None, "yes"]),
            [
                "-     c, d], empty: {}, none: []}   # flow",
                "+     c, d, null, 'yes'], empty: {}, none: []}   # flow",
            ],
        ),
        (Edit("#/flow", "enum", ["a", "c"]), []),
        (Edit("#/flow", "type", remove=True), []),
        (Edit("#/flow/empty", "a, b", {"x}": "y: #z"}), []),
        (Edit("#/flow", "none", [1]), []),
        (
            Edit("#/list/0", "type", remove=True),
            ["-   - type: string", "-     format: uuid   # why", "+   - format: uuid   # why"],
        ),
        (Edit("#/list/0", "format", remove=True), ["-     format: uuid   # why"]),
        (Edit("#/list/1", "only", remove=True), ["-   - only: 1", "+   - {}"]),
        (Edit("#/list/1", "more", "line\nbreak \x07 'q' \"d\" \U0001f916"), []),
        (Edit("#/block", "two", "short"), []),
    ],
)
def test_edit_changes_only_its_lines(edit: Edit, lines: list[str]) -> None:
    after = apply_edits(MIXED, [edit])
    if lines:
        assert find_changed_lines(MIXED, after) == lines
    assert after.count("#") >= MIXED.count("#") - 1


@pytest.mark.parametrize(
    "text", [MIXED.replace("\n", "\r\n"), json.dumps(load(MIXED)), json.dumps(load(MIXED), indent=2)]
)
def test_line_ends_and_json_are_preserved(text: str) -> None:
    edits = [Edit("#/flow", "nullable", True), Edit("#/block", "new", "x"), Edit("#/block/three/2", "c", remove=True)]
    after = apply_edits(text, edits)
    assert after.count("\r\n") == (after.count("\n") if "\r" in text else 0)
    if text.startswith("{"):
        assert json.loads(after)["block"]["new"] == "x"


@pytest.mark.parametrize(
    "edit",
    [
        Edit("#/nowhere", "x", 1),
        Edit("#/block/one", "x", 1),
        Edit("#/list/7", "x", 1),
        Edit("#/list/x", "x", 1),
    ],
)
def test_unknown_pointer_is_rejected(edit: Edit) -> None:
    with pytest.raises(EditError, match="no object at this pointer"):
        apply_edits(MIXED, [edit])


@pytest.mark.parametrize("edit", [Edit("#/block", "one", remove=True), Edit("#/flow", "enum", ["a", "d"])])
def test_edits_are_idempotent(edit: Edit) -> None:
    once = apply_edits(MIXED, [edit])
    assert apply_edits(MIXED, [edit, edit]) == apply_edits(once, [edit]) == once


def test_edit_of_aliased_node_is_rejected() -> None:
    with pytest.raises(EditError, match="#/b/x: the layout cannot be edited"):
        apply_edits("openapi: 3.0.3\na: &same {x: 1}\nb: *same\n", [Edit("#/b", "x", 2)])


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"op": "add", "pointer": "#", "keyword": "x"},
        {"op": "add", "pointer": "#", "keyword": 1, "value": 1},
        {"op": "remove", "pointer": "#", "keyword": "x", "value": 1},
        {"op": "move", "pointer": "#", "keyword": "x", "value": 1},
        {"pointer": "#", "keyword": "x", "value": 1},
        {"pointer": "#", "keyword": "x", "gone": True},
    ],
)
def test_invalid_edit_is_rejected(data: Any) -> None:
    with pytest.raises(EditError, match=r"edit: invalid value .* \(expected op"):
        Edit.from_document(data)


@pytest.mark.parametrize("edit", [Edit("#", "a", None), Edit("#/x", "b", remove=True), Edit("#", "c", [1, {"d": 2}])])
def test_edit_json_round_trip(edit: Edit) -> None:
    assert Edit.from_document(json.loads(json.dumps(edit.document))) == edit


def test_diff_has_line_numbers_of_the_file() -> None:
    line = MIXED.splitlines().index("  - b") + 1
    text = build_diff(YamlSource.from_text(MIXED), [Edit("#/block", "three", ["a", {"c": 1}])], "spec/x.yaml")
    assert text.splitlines() == [
        "--- a/spec/x.yaml",
        "+++ b/spec/x.yaml",
        f"@@ -{line - 2},5 +{line - 2},4 @@",
        "   three:",
        "   - a   # first",
        "-  - b",
        "   - {c: 1}",
        " flow: {type: string, maxLength: 5, enum: [a, b,",
    ]
    assert build_diff(YamlSource.from_text(MIXED), [], "x") == ""


# Arbitrary edits of real contracts -----------------------------------------------------------------------------------


def find_objects(node: Any, pointer: str = "#") -> list[tuple[str, Any]]:
    """Return every object of a document with its pointer."""
    objects = [(pointer, node)] if isinstance(node, dict) else []
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        objects += find_objects(value, f"{pointer}/{escape(str(key))}")
    return objects


OBJECTS = {text: find_objects(load(text)) for text in (TEXT, FOREIGN)}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9**9) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


PHASES = [Phase.explicit, Phase.generate]  # shrinking takes minutes with a contract of this size


@pytest.mark.slow
@settings(phases=PHASES)
@given(data=st.data())
def test_any_edit_preserves_other_lines(data: st.DataObject) -> None:
    check_edit(FOREIGN, data)


@pytest.mark.slow
@settings(phases=PHASES)
@given(data=st.data())
def test_any_edit_of_the_largest_contract_preserves_other_lines(data: st.DataObject) -> None:
    check_edit(TEXT, data)


def check_edit(text: str, data: st.DataObject) -> None:
    """Apply a generated edit and compare all other lines."""
    pointer, holder = OBJECTS[text][data.draw(st.integers(0, len(OBJECTS[text]) - 1))]
    edit = data.draw(edits(pointer, holder))
    after = apply_edits(text, [edit])
    expected = copy.deepcopy(load(text))
    node: Any = expected
    for part in split_pointer(pointer):
        node = node[int(part)] if isinstance(node, list) else node[part]
    if edit.remove:
        del node[edit.keyword]
    else:
        node[edit.keyword] = edit.value
    assert load(after) == expected
    first, last = span(text, edit)
    before_lines, after_lines = text.splitlines(), after.splitlines()
    assert after_lines[: first - 1] == before_lines[: first - 1]
    rest = len(before_lines) - last
    assert after_lines[len(after_lines) - rest :] == before_lines[last:]


def edits(pointer: str, holder: dict[str, Any]) -> st.SearchStrategy[Edit]:
    """Return a strategy for edits of an existing or new key of an object."""
    strategies = [
        st.builds(Edit, st.just(pointer), st.text(min_size=1, max_size=8).filter(lambda k: k != "$ref"), VALUES)
    ]
    keys = [key for key in holder if key != "$ref"]
    if keys:
        strategies.append(st.builds(Edit, st.just(pointer), st.sampled_from(keys), VALUES))
        strategies.append(st.builds(Edit, st.just(pointer), st.sampled_from(keys), remove=st.just(True)))
    lists = [key for key, value in holder.items() if isinstance(value, list) and value]
    if lists:
        strategies.append(
            st.sampled_from(lists).flatmap(
                lambda key: st.builds(
                    Edit,
                    st.just(pointer),
                    st.just(key),
                    st.lists(VALUES, max_size=2).map(lambda new: holder[key] + new),
                )
            )
        )
    return st.one_of(strategies)


def span(text: str, edit: Edit) -> tuple[int, int]:
    """Return the first and last line of the object that an edit changes."""
    node: Any = yaml.compose(text, Loader=yaml.CSafeLoader)
    for part in split_pointer(edit.pointer):
        if isinstance(node, yaml.MappingNode):
            node = next(value for key, value in node.value if key.value == part)
        else:
            node = node.value[int(part)]
    last = node.end_mark.line + 1
    return node.start_mark.line + 1, last
