"""Edits of a contract's text: one keyword at one place, every other line byte-equal, comments and order kept.

`apply_edits` works on the text itself, at the marks that PyYAML gives, and reads the result again: what it returns differs
from the text in the asked places only, or `EditError` is raised and nothing is returned. YAML and JSON both.
"""

import copy
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from conformance.errors import SuiteError
from spec.document import parse_document, split_pointer
from spec.errors import ContractError

CONTEXT_LINES = 2  # unchanged lines around a change in a diff
_HUNK_HEADER = re.compile(r"^@@ -(\d+)((?:,\d+)?) \+(\d+)((?:,\d+)?) @@")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # signs that YAML has as escapes only
_KEYWORDS_AFTER_TYPE = frozenset({"nullable", "format"})  # keywords that read best beside `type`


class EditError(SuiteError):
    """A contract's text cannot be edited so: where, what was found, what is allowed."""

    def __init__(self, location: str, actual: str, expected: str) -> None:
        super().__init__(f"{location}: found {actual}; allowed: {expected}")


@dataclass(frozen=True, slots=True)
class Edit:
    """`keyword` of the object at the JSON pointer `pointer` becomes `value`, or is taken away (`remove`).

    What is so already stays as it is: an edit may come twice. A list that grows at its end or loses entries is edited
    entry by entry, so that its other entries keep their text.
    """

    pointer: str
    keyword: str
    value: Any = None
    remove: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """As JSON: ``{"pointer", "keyword", "value"}``, or ``{"pointer", "keyword", "gone": true}``."""
        change = {"gone": True} if self.remove else {"value": self.value}
        return {"pointer": self.pointer, "keyword": self.keyword, **change}

    @classmethod
    def from_document(cls, document: Any) -> "Edit":
        """From that JSON. Raises CannotEdit."""
        known_keys = {"pointer", "keyword", "value", "gone"}
        is_valid = (
            isinstance(document, dict)
            and set(document) <= known_keys
            and all(isinstance(document.get(key), str) for key in _STRING_KEYS)
        )
        if not is_valid or ("value" in document) == (document.get("gone") is True):
            raise EditError("an edit", f"{document!r:.200}", "pointer and keyword (texts), and value or gone: true")
        return cls(document["pointer"], document["keyword"], document.get("value"), document.get("gone") is True)


_STRING_KEYS = ("pointer", "keyword")


@dataclass(frozen=True, slots=True)
class _Splice:
    """`text` instead of the signs from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class YamlSource:
    """A contract's text with its nodes, read once for any number of edits of this same text."""

    text: str
    root: yaml.Node

    @classmethod
    def from_text(cls, text: str) -> "YamlSource":
        """The text with its nodes. Raises CannotEdit when it is no YAML."""
        try:
            root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise EditError("the contract", " ".join(str(error).split()), "well-formed YAML or JSON") from None
        if root is None:
            raise EditError("the contract", "no text", "well-formed YAML or JSON")
        return cls(text, root)


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits, in order; checked by reading it again. Raises CannotEdit."""
    edit_list = list(edits)
    expected = json.loads(json.dumps(_load(text)))  # written out: what an alias shares is apart, so that its edit shows
    for edit in edit_list:
        _apply_to_document(expected, edit)
    edited = _apply_to_text(YamlSource.from_text(text), edit_list)
    try:
        actual = _load(edited)
    except EditError:
        actual = None
    if actual != expected:
        first_edit = edit_list[0] if edit_list else Edit("#", "")
        raise EditError(
            f"{first_edit.pointer}/{first_edit.keyword}", "a layout that cannot be edited", "an edit by hand"
        )
    return edited


def build_diff(source: YamlSource, edits: Sequence[Edit], name: str) -> str:
    """The edits as a unified diff of the file `name`, with a line end; "" without edits. Raises CannotEdit."""
    before = source.text.splitlines(keepends=True)
    after = _apply_to_text(source, edits).splitlines(keepends=True)
    common_prefix = _common_prefix_length(before, after)
    common_suffix = _common_prefix_length(before[common_prefix:][::-1], after[common_prefix:][::-1])
    prefix_end, suffix_start = max(0, common_prefix - CONTEXT_LINES), max(0, common_suffix - CONTEXT_LINES)
    window = (before[prefix_end : len(before) - suffix_start], after[prefix_end : len(after) - suffix_start])
    lines = list(difflib.unified_diff(*window, f"a/{name}", f"b/{name}", n=CONTEXT_LINES))

    def shift_hunk(match: re.Match[str]) -> str:
        return f"@@ -{int(match[1]) + prefix_end}{match[2]} +{int(match[3]) + prefix_end}{match[4]} @@"

    return "".join(_HUNK_HEADER.sub(shift_hunk, line).rstrip("\r\n") + "\n" for line in lines)


def _common_prefix_length(left: Sequence[str], right: Sequence[str]) -> int:
    """How many lines are the same from the beginning."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(left), len(right)))


# Values -------------------------------------------------------------------------------------------------------------


def _load(text: str) -> Any:
    try:
        return parse_document(text.encode("utf-8", "surrogatepass"), "the contract").root
    except ContractError as error:
        raise EditError("the contract", str(error), "an OpenAPI document") from None


def _apply_to_document(root: Any, edit: Edit) -> None:
    """Make the edit in the loaded document."""
    node: Any = root
    for part in split_pointer(edit.pointer):
        try:
            node = node[int(part)] if isinstance(node, list) else node[part]
        except (LookupError, TypeError, ValueError):
            raise _no_object_error(edit.pointer) from None
    if not isinstance(node, dict):
        raise _no_object_error(edit.pointer)
    if not edit.remove:
        node[edit.keyword] = copy.deepcopy(edit.value)
    else:
        node.pop(edit.keyword, None)


def _no_object_error(pointer: str) -> EditError:
    return EditError(pointer, "no object there", "the pointer of an object of the contract")


# Text ---------------------------------------------------------------------------------------------------------------


def _apply_to_text(source: YamlSource, edits: Iterable[Edit]) -> str:
    for batch in _batch_independent(edits):
        previous: list[_Splice] = []
        while (splices := _drop_adjacent(_next_splice(source, edit) for edit in batch)) and splices != previous:
            text = source.text
            for splice in reversed(splices):
                text = text[: splice.start] + splice.text + text[splice.end :]
            source, previous = YamlSource.from_text(text), splices
    return source.text


def _batch_independent(edits: Iterable[Edit]) -> Iterator[list[Edit]]:
    """Edits in order, in batches in which none is about what another one writes: reading a text takes its time."""
    batch: list[Edit] = []
    edited_pointers: set[str] = set()
    for edit in edits:
        ancestors = [f"{edit.pointer}/{edit.keyword}"]
        while "/" in ancestors[-1]:
            ancestors.append(ancestors[-1].rsplit("/", 1)[0])
        if edited_pointers.intersection(ancestors) or any(
            pointer.startswith(f"{ancestors[0]}/") for pointer in edited_pointers
        ):
            yield batch
            batch, edited_pointers = [], set()
        batch.append(edit)
        edited_pointers.add(ancestors[0])
    yield batch


def _drop_adjacent(candidates: Iterable[_Splice | None]) -> list[_Splice]:
    """Splices in the order of the text, without those that touch the one before: their turn comes next."""
    selected: list[_Splice] = []
    for splice in sorted(
        (candidate for candidate in candidates if candidate is not None),
        key=lambda candidate: (candidate.start, candidate.end),
    ):
        if not selected or splice.start > selected[-1].end:
            selected.append(splice)
    return selected


def _next_splice(source: YamlSource, edit: Edit) -> _Splice | None:
    """The next splice on the way to an edit; None when the text says it."""
    mapping = _find_node(source.root, edit.pointer)
    if not isinstance(mapping, yaml.MappingNode):
        raise _no_object_error(edit.pointer)
    names = [key.value for key, _ in mapping.value]
    if edit.remove:
        return _remove_entry(source.text, mapping, names.index(edit.keyword)) if edit.keyword in names else None
    if edit.keyword not in names:
        return _add_entry(source.text, mapping, edit)
    key, value_node = mapping.value[names.index(edit.keyword)]
    current = _construct(value_node)
    if current == edit.value and type(current) is type(edit.value):
        return None
    if isinstance(value_node, yaml.SequenceNode) and isinstance(edit.value, list):
        list_splice = _list_splice(source.text, value_node, current, edit.value)
        if list_splice is not None:
            return list_splice
    return _Splice(
        _end_index(key), _content_end(source.text, value_node), f": {_format_value(source.text, edit.value)}"
    )


def _find_node(node: yaml.Node, pointer: str) -> yaml.Node:
    for part in split_pointer(pointer):
        if isinstance(node, yaml.MappingNode):
            children = [value for key, value in node.value if key.value == part]
        else:
            is_valid_index = isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value)
            children = [node.value[int(part)]] if is_valid_index else []
        if not children:
            raise _no_object_error(pointer)
        node = children[0]
    return node


def _construct(node: yaml.Node) -> Any:
    """What a node says."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(copy.deepcopy(node))
    except yaml.YAMLError:
        return None
    finally:
        loader.dispose()


def _list_splice(text: str, node: yaml.SequenceNode, current: list[Any], expected: list[Any]) -> _Splice | None:
    """One entry more or less towards a list that has grown at its end or lost entries; None for other changes."""
    if len(current) < len(expected) and expected[: len(current)] == current:
        return _append_item(text, node, _format_value(text, expected[len(current)]))
    remaining = iter(expected)
    next_expected = next(remaining, None)
    removed: list[int] = []
    for index, value in enumerate(current):
        if len(expected) - (index - len(removed)) > 0 and value == next_expected:
            next_expected = next(remaining, None)
        else:
            removed.append(index)
    retained = [value for index, value in enumerate(current) if index not in removed]
    return _remove_entry(text, node, removed[-1]) if retained == expected and removed else None


def _append_item(text: str, node: yaml.SequenceNode, item_text: str) -> _Splice:
    if not node.value:
        position = _start_index(node) + 1
        return _Splice(position, position, item_text)
    end = _content_end(text, node.value[-1])
    if node.flow_style:
        return _Splice(end, end, f", {item_text}")
    position = _line_end(text, end)
    return _Splice(position, position, f"{_newline(text)}{' ' * node.start_mark.column}- {item_text}")


def _add_entry(text: str, mapping: yaml.MappingNode, edit: Edit) -> _Splice:
    """A new entry: behind `type` where it belongs there, else the last."""
    entry_text = f"{_format_value(text, edit.keyword)}: {_format_value(text, edit.value)}"
    if not mapping.value:
        position = _start_index(mapping) + 1
        return _Splice(position, position, entry_text)
    type_nodes = [
        value_node
        for key_node, value_node in mapping.value
        if key_node.value == "type" and isinstance(value_node, yaml.ScalarNode)
    ]
    end = _content_end(
        text, type_nodes[0] if type_nodes and edit.keyword in _KEYWORDS_AFTER_TYPE else mapping.value[-1][1]
    )
    if mapping.flow_style:
        return _Splice(end, end, f", {entry_text}")
    position = _line_end(text, end)
    return _Splice(position, position, f"{_newline(text)}{' ' * mapping.value[0][0].start_mark.column}{entry_text}")


def _remove_entry(text: str, collection: yaml.CollectionNode, index: int) -> _Splice:
    """Without one entry of a mapping or a list."""
    spans = [
        (_start_index(first_node), _content_end(text, last_node)) for first_node, last_node in _entries(collection)
    ]
    start, end = spans[index]
    if len(spans) == 1:
        empty_text = "{}" if isinstance(collection, yaml.MappingNode) else "[]"
        return _Splice(_start_index(collection), _content_end(text, collection), empty_text)
    if collection.flow_style:
        return _remove_flow_entry(text, spans, index)
    line_start = text.rfind("\n", 0, start) + 1
    if text[line_start:start].strip(" ").strip("-").strip(" "):
        return _Splice(start, end, "")  # a layout of its own; reading again will tell
    if isinstance(collection, yaml.MappingNode) and text[line_start:start].strip():
        return _Splice(start, spans[index + 1][0], "")  # behind the dash of a list: the next key takes its place
    return _Splice(line_start, min(_line_end(text, end) + len(_newline(text)), len(text)), "")


def _remove_flow_entry(text: str, spans: Sequence[tuple[int, int]], index: int) -> _Splice:
    """Between brackets: together with the comma that joins it to a neighbour, best one on the same line."""
    start, end = spans[index]
    previous_end = spans[index - 1][1] if index else None
    next_start = spans[index + 1][0] if index + 1 < len(spans) else None
    if next_start is None or (previous_end is not None and "\n" not in text[previous_end:start]):
        return _Splice(previous_end if previous_end is not None else start, end, "")
    return _Splice(start, next_start, "")


def _entries(collection: yaml.CollectionNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """(first node, last node) of each entry."""
    for entry in collection.value:
        yield entry if isinstance(entry, tuple) else (entry, entry)


def _start_index(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _end_index(node: yaml.Node) -> int:
    return int(node.end_mark.index)


def _content_end(text: str, node: yaml.Node) -> int:
    """Behind the last sign of a node; the parser's own mark of a block lies behind the blank lines that follow it."""
    if isinstance(node, yaml.ScalarNode):
        return len(text[: _end_index(node)].rstrip()) if node.style in ("|", ">") else _end_index(node)
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return _end_index(node)
    *_, (_, last_node) = _entries(node)
    return _content_end(text, last_node)


def _line_end(text: str, position: int) -> int:
    """Where the line ends, before its line end."""
    index = text.find("\n", position)
    index = len(text) if index < 0 else index
    return index - (text[index - 1 : index] == "\r")


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _format_value(text: str, value: Any) -> str:
    """A value on one line, as it may stand between brackets too; JSON in a contract that is JSON."""
    json_text = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))
    if text.lstrip("\ufeff \t\r\n").startswith("{") or re.search(r"\\[a-z]", json_text):
        return json_text
    yaml_text = yaml.dump(
        [value],
        Dumper=yaml.CSafeDumper,
        default_flow_style=True,
        width=2**30,
        allow_unicode=True,
        sort_keys=False,
    )
    return yaml_text.strip()[1:-1]
