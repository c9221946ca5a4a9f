"""Edits of a contract's text: one keyword at one place, every other line byte-equal, comments and order kept.

`apply` works on the text itself, at the marks that PyYAML gives, and reads the result again: what it returns differs
from the text in the asked places only, or `CannotEdit` is raised and nothing is returned. YAML and JSON both.
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

CONTEXT = 2  # unchanged lines around a change in a diff
_HUNK = re.compile(r"^@@ -(\d+)((?:,\d+)?) \+(\d+)((?:,\d+)?) @@")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # signs that YAML has as escapes only
_BESIDE_TYPE = frozenset({"nullable", "format"})  # keywords that read best beside `type`


class CannotEdit(SuiteError):
    """A contract's text cannot be edited so: where, what was found, what is allowed."""

    def __init__(self, where: str, found: str, allowed: str) -> None:
        super().__init__(f"{where}: found {found}; allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class Edit:
    """`keyword` of the object at the JSON pointer `pointer` becomes `value`, or is taken away (`gone`).

    What is so already stays as it is: an edit may come twice. A list that grows at its end or loses entries is edited
    entry by entry, so that its other entries keep their text.
    """

    pointer: str
    keyword: str
    value: Any = None
    gone: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """As JSON: ``{"pointer", "keyword", "value"}``, or ``{"pointer", "keyword", "gone": true}``."""
        said = {"gone": True} if self.gone else {"value": self.value}
        return {"pointer": self.pointer, "keyword": self.keyword, **said}

    @classmethod
    def from_document(cls, said: Any) -> "Edit":
        """From that JSON. Raises CannotEdit."""
        known = {"pointer", "keyword", "value", "gone"}
        fits = isinstance(said, dict) and set(said) <= known and all(isinstance(said.get(k), str) for k in _TEXTS)
        if not fits or ("value" in said) == (said.get("gone") is True):
            raise CannotEdit("an edit", f"{said!r:.200}", "pointer and keyword (texts), and value or gone: true")
        return cls(said["pointer"], said["keyword"], said.get("value"), said.get("gone") is True)


_TEXTS = ("pointer", "keyword")


@dataclass(frozen=True, slots=True)
class _Splice:
    """`text` instead of the signs from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A contract's text with its nodes, read once for any number of edits of this same text."""

    text: str
    root: yaml.Node

    @classmethod
    def of(cls, text: str) -> "Source":
        """The text with its nodes. Raises CannotEdit when it is no YAML."""
        try:
            root = yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:
            raise CannotEdit("the contract", " ".join(str(error).split()), "well-formed YAML or JSON") from None
        if root is None:
            raise CannotEdit("the contract", "no text", "well-formed YAML or JSON")
        return cls(text, root)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits, in order; checked by reading it again. Raises CannotEdit."""
    wanted = list(edits)
    due = json.loads(json.dumps(_loaded(text)))  # written out: what an alias shares is apart, so that its edit shows
    for edit in wanted:
        _change(due, edit)
    after = _edited(Source.of(text), wanted)
    try:
        found = _loaded(after)
    except CannotEdit:
        found = None
    if found != due:
        first = wanted[0] if wanted else Edit("#", "")
        raise CannotEdit(f"{first.pointer}/{first.keyword}", "a layout that cannot be edited", "an edit by hand")
    return after


def diff(source: Source, edits: Sequence[Edit], name: str) -> str:
    """The edits as a unified diff of the file `name`, with a line end; "" without edits. Raises CannotEdit."""
    before = source.text.splitlines(keepends=True)
    after = _edited(source, edits).splitlines(keepends=True)
    same = _alike(before, after)
    tail = _alike(before[same:][::-1], after[same:][::-1])
    start, behind = max(0, same - CONTEXT), max(0, tail - CONTEXT)
    window = (before[start : len(before) - behind], after[start : len(after) - behind])
    lines = list(difflib.unified_diff(*window, f"a/{name}", f"b/{name}", n=CONTEXT))

    def moved(found: re.Match[str]) -> str:
        return f"@@ -{int(found[1]) + start}{found[2]} +{int(found[3]) + start}{found[4]} @@"

    return "".join(_HUNK.sub(moved, line).rstrip("\r\n") + "\n" for line in lines)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines are the same from the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


# Values -------------------------------------------------------------------------------------------------------------


def _loaded(text: str) -> Any:
    try:
        return parse_document(text.encode("utf-8", "surrogatepass"), "the contract").root
    except ContractError as error:
        raise CannotEdit("the contract", str(error), "an OpenAPI document") from None


def _change(root: Any, edit: Edit) -> None:
    """Make the edit in the loaded document."""
    holder: Any = root
    for part in split_pointer(edit.pointer):
        try:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        except (LookupError, TypeError, ValueError):
            raise _nothing(edit.pointer) from None
    if not isinstance(holder, dict):
        raise _nothing(edit.pointer)
    if not edit.gone:
        holder[edit.keyword] = copy.deepcopy(edit.value)
    else:
        holder.pop(edit.keyword, None)


def _nothing(pointer: str) -> CannotEdit:
    return CannotEdit(pointer, "no object there", "the pointer of an object of the contract")


# Text ---------------------------------------------------------------------------------------------------------------


def _edited(source: Source, edits: Iterable[Edit]) -> str:
    for batch in _apart(edits):
        last: list[_Splice] = []
        while (splices := _spread(_next(source, edit) for edit in batch)) and splices != last:
            text = source.text
            for splice in reversed(splices):
                text = text[: splice.start] + splice.text + text[splice.end :]
            source, last = Source.of(text), splices
    return source.text


def _apart(edits: Iterable[Edit]) -> Iterator[list[Edit]]:
    """Edits in order, in batches in which none is about what another one writes: reading a text takes its time."""
    batch: list[Edit] = []
    written: set[str] = set()
    for edit in edits:
        above = [f"{edit.pointer}/{edit.keyword}"]
        while "/" in above[-1]:
            above.append(above[-1].rsplit("/", 1)[0])
        if written.intersection(above) or any(one.startswith(f"{above[0]}/") for one in written):
            yield batch
            batch, written = [], set()
        batch.append(edit)
        written.add(above[0])
    yield batch


def _spread(found: Iterable[_Splice | None]) -> list[_Splice]:
    """Splices in the order of the text, without those that touch the one before: their turn comes next."""
    kept: list[_Splice] = []
    for splice in sorted((one for one in found if one is not None), key=lambda one: (one.start, one.end)):
        if not kept or splice.start > kept[-1].end:
            kept.append(splice)
    return kept


def _next(source: Source, edit: Edit) -> _Splice | None:
    """The next splice on the way to an edit; None when the text says it."""
    holder = _at(source.root, edit.pointer)
    if not isinstance(holder, yaml.MappingNode):
        raise _nothing(edit.pointer)
    names = [key.value for key, _ in holder.value]
    if edit.gone:
        return _without(source.text, holder, names.index(edit.keyword)) if edit.keyword in names else None
    if edit.keyword not in names:
        return _with(source.text, holder, edit)
    key, old = holder.value[names.index(edit.keyword)]
    now = _value(old)
    if now == edit.value and type(now) is type(edit.value):
        return None
    if isinstance(old, yaml.SequenceNode) and isinstance(edit.value, list):
        step = _list_step(source.text, old, now, edit.value)
        if step is not None:
            return step
    return _Splice(_stop(key), _end(source.text, old), f": {_written(source.text, edit.value)}")


def _at(node: yaml.Node, pointer: str) -> yaml.Node:
    for part in split_pointer(pointer):
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == part]
        else:
            whole = isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value)
            found = [node.value[int(part)]] if whole else []
        if not found:
            raise _nothing(pointer)
        node = found[0]
    return node


def _value(node: yaml.Node) -> Any:
    """What a node says."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(copy.deepcopy(node))
    except yaml.YAMLError:
        return None
    finally:
        loader.dispose()


def _list_step(text: str, node: yaml.SequenceNode, now: list[Any], due: list[Any]) -> _Splice | None:
    """One entry more or less towards a list that has grown at its end or lost entries; None for other changes."""
    if len(now) < len(due) and due[: len(now)] == now:
        return _appended(text, node, _written(text, due[len(now)]))
    left = iter(due)
    due_one = next(left, None)
    lost: list[int] = []
    for index, value in enumerate(now):
        if len(due) - (index - len(lost)) > 0 and value == due_one:
            due_one = next(left, None)
        else:
            lost.append(index)
    kept = [value for index, value in enumerate(now) if index not in lost]
    return _without(text, node, lost[-1]) if kept == due and lost else None


def _appended(text: str, node: yaml.SequenceNode, said: str) -> _Splice:
    if not node.value:
        at = _start(node) + 1
        return _Splice(at, at, said)
    end = _end(text, node.value[-1])
    if node.flow_style:
        return _Splice(end, end, f", {said}")
    at = _line_end(text, end)
    return _Splice(at, at, f"{_newline(text)}{' ' * node.start_mark.column}- {said}")


def _with(text: str, holder: yaml.MappingNode, edit: Edit) -> _Splice:
    """A new entry: behind `type` where it belongs there, else the last."""
    said = f"{_written(text, edit.keyword)}: {_written(text, edit.value)}"
    if not holder.value:
        at = _start(holder) + 1
        return _Splice(at, at, said)
    kinds = [v for k, v in holder.value if k.value == "type" and isinstance(v, yaml.ScalarNode)]
    end = _end(text, kinds[0] if kinds and edit.keyword in _BESIDE_TYPE else holder.value[-1][1])
    if holder.flow_style:
        return _Splice(end, end, f", {said}")
    at = _line_end(text, end)
    return _Splice(at, at, f"{_newline(text)}{' ' * holder.value[0][0].start_mark.column}{said}")


def _without(text: str, holder: yaml.CollectionNode, index: int) -> _Splice:
    """Without one entry of a mapping or a list."""
    spans = [(_start(first), _end(text, last)) for first, last in _entries(holder)]
    start, end = spans[index]
    if len(spans) == 1:
        empty = "{}" if isinstance(holder, yaml.MappingNode) else "[]"
        return _Splice(_start(holder), _end(text, holder), empty)
    if holder.flow_style:
        return _out_of_flow(text, spans, index)
    line = text.rfind("\n", 0, start) + 1
    if text[line:start].strip(" ").strip("-").strip(" "):
        return _Splice(start, end, "")  # a layout of its own; reading again will tell
    if isinstance(holder, yaml.MappingNode) and text[line:start].strip():
        return _Splice(start, spans[index + 1][0], "")  # behind the dash of a list: the next key takes its place
    return _Splice(line, min(_line_end(text, end) + len(_newline(text)), len(text)), "")


def _out_of_flow(text: str, spans: Sequence[tuple[int, int]], index: int) -> _Splice:
    """Between brackets: together with the comma that joins it to a neighbour, best one on the same line."""
    start, end = spans[index]
    before = spans[index - 1][1] if index else None
    behind = spans[index + 1][0] if index + 1 < len(spans) else None
    if behind is None or (before is not None and "\n" not in text[before:start]):
        return _Splice(before if before is not None else start, end, "")
    return _Splice(start, behind, "")


def _entries(holder: yaml.CollectionNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """(first node, last node) of each entry."""
    for entry in holder.value:
        yield entry if isinstance(entry, tuple) else (entry, entry)


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _stop(node: yaml.Node) -> int:
    return int(node.end_mark.index)


def _end(text: str, node: yaml.Node) -> int:
    """Behind the last sign of a node; the parser's own mark of a block lies behind the blank lines that follow it."""
    if isinstance(node, yaml.ScalarNode):
        return len(text[: _stop(node)].rstrip()) if node.style in ("|", ">") else _stop(node)
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return _stop(node)
    *_, (_, last) = _entries(node)
    return _end(text, last)


def _line_end(text: str, at: int) -> int:
    """Where the line ends, before its line end."""
    found = text.find("\n", at)
    found = len(text) if found < 0 else found
    return found - (text[found - 1 : found] == "\r")


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _written(text: str, value: Any) -> str:
    """A value on one line, as it may stand between brackets too; JSON in a contract that is JSON."""
    plain = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    if text.lstrip("\ufeff \t\r\n").startswith("{") or re.search(r"\\[a-z]", plain):
        return plain
    said = yaml.dump(
        [value],
        Dumper=yaml.CSafeDumper,
        default_flow_style=True,
        width=2**30,
        allow_unicode=True,
        sort_keys=False,
    )
    return said.strip()[1:-1]
