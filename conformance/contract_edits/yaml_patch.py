"""Edits of the text of a contract (YAML or JSON) that preserve comments, order and all other lines.

`apply_edits` edits the text at the marks of the PyYAML nodes and loads the result again: it differs from the original
only at the edited locations, or `EditError` is raised.
"""

import copy
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from conformance.errors import SuiteError
from spec.document import Document, parse_document, split_pointer
from spec.errors import ContractError
from spec.reading.yaml_loader import StrictLoader

CONTEXT_LINES = 2  # of a diff
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # YAML requires escapes
_KEYWORDS_AFTER_TYPE = frozenset({"nullable", "format"})  # inserted after `type`


class EditError(SuiteError):
    """An edit is invalid or cannot be applied to the text of the contract."""

    def __init__(self, location: str, problem: str, expected: str) -> None:
        super().__init__(f"{location}: {problem} (expected {expected})")


@dataclass(frozen=True, slots=True)
class Edit:
    """Set or remove the member `keyword` of the object at the JSON pointer `pointer`.

    Edits are idempotent. A list that grows at its end or loses items is edited item by item, so that the text of the
    other items is preserved.
    """

    pointer: str
    keyword: str
    value: Any = None
    remove: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """The edit as JSON: ``{"op": "add", "pointer", "keyword", "value"}``, or ``"op": "remove"`` without a value."""
        location = {"pointer": self.pointer, "keyword": self.keyword}
        return {"op": "remove", **location} if self.remove else {"op": "add", **location, "value": self.value}

    @classmethod
    def from_document(cls, document: Any) -> "Edit":
        """Create an edit from its JSON. Raises EditError."""
        match document:
            case {"op": "add", "pointer": str(pointer), "keyword": str(keyword), "value": value, **other} if not other:
                return cls(pointer, keyword, value)
            case {"op": "remove", "pointer": str(pointer), "keyword": str(keyword), **other} if not other:
                return cls(pointer, keyword, remove=True)
        expected = "op (add or remove), pointer, keyword, and value for add"
        raise EditError("edit", f"invalid value {document!r:.200}", expected)


@dataclass(frozen=True, slots=True)
class _Splice:
    """Replacement of the characters from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class YamlSource:
    """The text of a contract with its YAML nodes."""

    text: str
    root: yaml.Node

    @classmethod
    def from_text(cls, text: str) -> "YamlSource":
        """Parse a text. Raises EditError if it is not YAML."""
        try:
            root = yaml.compose(text, Loader=StrictLoader)
        except yaml.YAMLError as error:
            raise EditError("the contract", " ".join(str(error).split()), "valid YAML or JSON") from None
        if root is None:
            raise EditError("the contract", "empty document", "valid YAML or JSON")
        return cls(text, root)


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Apply edits in order and verify the result by loading it. Raises EditError."""
    edit_list = list(edits)
    document = _load(text)
    expected = replace(document, root=json.loads(json.dumps(document.root)))  # a copy without aliases
    for edit in edit_list:
        _apply_to_document(expected, edit)
    edited = _apply_to_text(YamlSource.from_text(text), edit_list)
    try:
        is_correct = _load(edited).root == expected.root
    except EditError:
        is_correct = False
    if not is_correct:
        first = edit_list[0] if edit_list else Edit("#", "")
        raise EditError(f"{first.pointer}/{first.keyword}", "the layout cannot be edited", "a manual edit")
    return edited


def build_diff(source: YamlSource, edits: Sequence[Edit], name: str) -> str:
    """Return the edits as a unified diff of the file `name`; "" without edits. Raises EditError."""
    texts = (source.text, _apply_to_text(source, edits))
    before, after = (text.splitlines(keepends=True) for text in texts)
    lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", n=CONTEXT_LINES)
    return "".join(line.rstrip("\r\n") + "\n" for line in lines)


# Loaded document ----------------------------------------------------------------------------------------------------


def _load(text: str) -> Document:
    try:
        return parse_document(text.encode("utf-8", "surrogatepass"), "the contract")
    except ContractError as error:
        raise EditError("the contract", str(error), "an OpenAPI document") from None


def _apply_to_document(document: Document, edit: Edit) -> None:
    try:
        node = document.resolve(edit.pointer)
    except ContractError:
        node = None
    if not isinstance(node, dict):
        raise _no_object_error(edit.pointer)
    if edit.remove:
        node.pop(edit.keyword, None)
    else:
        node[edit.keyword] = copy.deepcopy(edit.value)


def _no_object_error(pointer: str) -> EditError:
    return EditError(pointer, "no object at this pointer", "the pointer of an object of the contract")


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
    """Yield the edits in batches of independent edits; the text is parsed once per batch, because parsing is slow."""
    batch: list[Edit] = []
    locations: tuple[str, ...] = ()
    for edit in edits:
        location = f"{edit.pointer}/{edit.keyword}/"
        if location.startswith(locations) or any(other.startswith(location) for other in locations):
            yield batch
            batch, locations = [], ()
        batch.append(edit)
        locations = (*locations, location)
    yield batch


def _drop_adjacent(candidates: Iterable[_Splice | None]) -> list[_Splice]:
    """Return the splices in text order, without those that touch the previous one (applied in the next pass)."""
    selected: list[_Splice] = []
    for splice in sorted(filter(None, candidates), key=lambda splice: (splice.start, splice.end)):
        if not selected or splice.start > selected[-1].end:
            selected.append(splice)
    return selected


def _next_splice(source: YamlSource, edit: Edit) -> _Splice | None:
    """Return the next splice of an edit; None if the text already contains it."""
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
    value = _format_value(source.text, edit.value)
    return _Splice(key.end_mark.index, _content_end(source.text, value_node), f": {value}")


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
    try:
        return SafeConstructor().construct_document(copy.deepcopy(node))
    except yaml.YAMLError:
        return None


def _list_splice(text: str, node: yaml.SequenceNode, current: list[Any], expected: list[Any]) -> _Splice | None:
    """Add or remove one item of a list that grew at its end or lost items; None for other changes."""
    if len(current) < len(expected) and expected[: len(current)] == current:
        item_text = ("" if node.flow_style else "- ") + _format_value(text, expected[len(current)])
        return _insert(text, node, node.value[-1] if node.value else None, item_text, node.start_mark.column)
    retained, removed = 0, []
    for index, value in enumerate(current):
        if retained < len(expected) and value == expected[retained]:
            retained += 1
        else:
            removed.append(index)
    return _remove_entry(text, node, removed[-1]) if retained == len(expected) and removed else None


def _add_entry(text: str, mapping: yaml.MappingNode, edit: Edit) -> _Splice:
    """Insert an entry after `type`, for some keywords, or at the end."""
    entry_text = f"{_format_value(text, edit.keyword)}: {_format_value(text, edit.value)}"
    if not mapping.value:
        return _insert(text, mapping, None, entry_text, 0)
    types = [value for key, value in mapping.value if key.value == "type" and isinstance(value, yaml.ScalarNode)]
    previous = types[0] if types and edit.keyword in _KEYWORDS_AFTER_TYPE else mapping.value[-1][1]
    return _insert(text, mapping, previous, entry_text, mapping.value[0][0].start_mark.column)


def _insert(
    text: str, collection: yaml.CollectionNode, previous: yaml.Node | None, entry_text: str, column: int
) -> _Splice:
    """Insert an entry after the node `previous`; None: into an empty collection, which has flow style."""
    if previous is None:
        position = collection.start_mark.index + 1
        return _Splice(position, position, entry_text)
    end = _content_end(text, previous)
    if collection.flow_style:
        return _Splice(end, end, f", {entry_text}")
    position = _line_end(text, end)
    return _Splice(position, position, f"{_newline(text)}{' ' * column}{entry_text}")


def _remove_entry(text: str, collection: yaml.CollectionNode, index: int) -> _Splice:
    spans = [(first.start_mark.index, _content_end(text, last)) for first, last in _entries(collection)]
    start, end = spans[index]
    if len(spans) == 1:
        empty_text = "{}" if isinstance(collection, yaml.MappingNode) else "[]"
        return _Splice(collection.start_mark.index, _content_end(text, collection), empty_text)
    if collection.flow_style:
        return _remove_flow_entry(text, spans, index)
    line_start = text.rfind("\n", 0, start) + 1
    if text[line_start:start].strip(" ").strip("-").strip(" "):
        return _Splice(start, end, "")  # unusual layout: verified when the result is loaded
    if isinstance(collection, yaml.MappingNode) and text[line_start:start].strip():
        return _Splice(start, spans[index + 1][0], "")  # after the dash of a list item: the next key moves up
    return _Splice(line_start, min(_line_end(text, end) + len(_newline(text)), len(text)), "")


def _remove_flow_entry(text: str, spans: Sequence[tuple[int, int]], index: int) -> _Splice:
    """Remove one of several entries of a flow collection with one comma, preferably on the same line."""
    start, end = spans[index]
    if index and (index + 1 == len(spans) or "\n" not in text[spans[index - 1][1] : start]):
        return _Splice(spans[index - 1][1], end, "")
    return _Splice(start, spans[index + 1][0], "")


def _entries(collection: yaml.CollectionNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield (first node, last node) of each entry."""
    for entry in collection.value:
        yield entry if isinstance(entry, tuple) else (entry, entry)


def _content_end(text: str, node: yaml.Node) -> int:
    """Return the end of the content of a node; the end mark of a block node includes the blank lines after it."""
    if isinstance(node, yaml.ScalarNode):
        return len(text[: node.end_mark.index].rstrip()) if node.style in ("|", ">") else node.end_mark.index
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return node.end_mark.index
    *_, (_, last_node) = _entries(node)
    return _content_end(text, last_node)


def _line_end(text: str, position: int) -> int:
    """Return the index of the line break after a position."""
    index = text.find("\n", position)
    index = len(text) if index < 0 else index
    return index - (text[index - 1 : index] == "\r")


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _format_value(text: str, value: Any) -> str:
    """Format a value on one line, valid in flow collections; as JSON in a JSON contract."""
    json_text = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))
    if text.lstrip("\ufeff \t\r\n").startswith("{") or re.search(r"\\[a-z]", json_text):
        return json_text
    options: dict[str, Any] = {"default_flow_style": True, "width": 2**30, "allow_unicode": True, "sort_keys": False}
    return str(yaml.dump([value], Dumper=yaml.CSafeDumper, **options)).strip()[1:-1]
