"""Lines of the parts of a contract file."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from spec.document import Document, escape, join_surrogates
from spec.errors import ContractError, ContractErrors

# Valid in JSON, but not in YAML.
_NON_YAML_CHARACTERS = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")


@dataclass(slots=True)
class _OpenCollection:
    """A mapping or list whose end was not parsed yet. `key`: the one whose value is next; `item_count`: of a list."""

    pointer: str
    is_mapping: bool
    key: str | None = None
    item_count: int = 0

    def locate(self, event: yaml.NodeEvent) -> str:
        """Return the pointer of the next key or value. A key has the pointer of its value."""
        if not self.is_mapping:
            self.item_count += 1
            return f"{self.pointer}/{self.item_count - 1}"
        if self.key is None:
            self.key = escape(str(getattr(event, "value", event.anchor)))
            return f"{self.pointer}/{self.key}"
        pointer, self.key = f"{self.pointer}/{self.key}", None
        return pointer


def find_line_numbers(content: bytes) -> dict[str, int]:
    """Map each JSON pointer of a contract to its line (from 1); nothing below an alias.

    Takes 50 ms for 5,000 lines; store the result. Events take a quarter of the time of `yaml.compose`.
    """
    line_numbers: dict[str, int] = {}
    open_collections: list[_OpenCollection] = []
    for event in yaml.parse(_replace_non_yaml_characters(join_surrogates(content)), Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            open_collections.pop()
        elif isinstance(event, yaml.NodeEvent):
            pointer = open_collections[-1].locate(event) if open_collections else "#"
            assert event.start_mark is not None  # only of events that were created without a parser
            line_numbers.setdefault(pointer, event.start_mark.line + 1)
            if isinstance(event, yaml.CollectionStartEvent):
                open_collections.append(_OpenCollection(pointer, isinstance(event, yaml.MappingStartEvent)))
    return line_numbers


def _replace_non_yaml_characters(content: bytes) -> bytes | str:
    """Replace the characters that YAML does not allow; JSON may contain them."""
    try:
        return _NON_YAML_CHARACTERS.sub("?", content.decode("utf-8-sig"))
    except UnicodeDecodeError:  # UTF-16, which libyaml detects
        return content


def find_nearest_line(line_numbers: Mapping[str, int], pointer: str) -> int | None:
    """Return the line of a pointer, or of the nearest object around it: canonical documents have other parts too."""
    while pointer not in line_numbers and "/" in pointer:
        pointer = pointer.rpartition("/")[0]
    return line_numbers.get(pointer)


@contextmanager
def describe_lines(document: Document) -> Iterator[None]:
    """Add lines to the ContractError that the block raises."""
    try:
        yield
    except ContractError as error:
        raise add_lines(error, document) from None


def add_lines(error: ContractError, document: Document) -> ContractError:
    """Return an error with the line before each JSON pointer, sorted by line; a single one also has the file."""
    line_numbers = {"": find_line_numbers(document.content)}
    if len(error.problems) == 1:
        return _add_line(error, document, f"{document.name}, ", line_numbers)[1]
    located = [_add_line(each, document, "", line_numbers) for each in error.problems]
    return ContractErrors(document.name, [problem for _, problem in sorted(located, key=lambda entry: entry[0])])


def _add_line(
    problem: ContractError, document: Document, prefix: str, line_numbers: dict[str, dict[str, int]]
) -> tuple[tuple[str, int], ContractError]:
    """Add the line to a problem, and return it with (file, line). `line_numbers`: of each file; ``""`` is the root."""
    if not problem.location.startswith("#"):
        return ("", 0), problem
    file, pointer = _find_origin(document, problem.location)
    if file not in line_numbers:
        line_numbers[file] = find_line_numbers(document.files[file])
    line = find_nearest_line(line_numbers[file], pointer)
    location = f"{f'{file}, ' if file else prefix}line {line}: {pointer}"
    return (file, line or 0), ContractError(location, problem.problem, problem.expected)


def _find_origin(document: Document, pointer: str) -> tuple[str, str]:
    """Return the file from which a part comes, "" is the root file, and its pointer there."""
    outer = pointer
    while outer not in document.origins and "/" in outer:
        outer = outer.rpartition("/")[0]
    if outer not in document.origins:
        return "", pointer
    file, _, origin = document.origins[outer].partition("#")
    return file, f"#{origin}{pointer[len(outer) :]}"
