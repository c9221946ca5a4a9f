"""Size and structure of the source: lines, modules per folder, long functions, duplicated class names."""

import ast
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from scripts.source_tree import SourceFile

MAX_FUNCTION_LINES = 40

_NO_CODE = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or class: where it starts, and its length with decorators excluded."""

    path: str
    line: int
    name: str
    length: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.name} ({self.length} lines)"


def is_source(file: SourceFile) -> bool:
    """Whether the lines of `file` count as source: Python and templates."""
    return file.is_python or file.is_template


def count_code_lines(file: SourceFile) -> int:
    """Count the lines without blank lines, comments and docstrings; of a template, without blank lines."""
    if not file.is_python:
        return sum(1 for line in file.lines if line.strip())
    lines: set[int] = set()
    for token in file.tokens:
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for text in file.docstrings:
        lines.difference_update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return len(lines)


def count_modules(files: Iterable[SourceFile]) -> Counter[str]:
    """Count the Python modules of each folder; `__init__.py` and subfolders are not counted."""
    return Counter(file.folder for file in files if file.is_python and not file.path.endswith("__init__.py"))


def functions(files: Iterable[SourceFile]) -> list[Definition]:
    """List every function and method, nested ones included."""
    return [
        _definition(file, node)
        for file in files
        if file.is_python
        for node in file.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def long_functions(definitions: Iterable[Definition]) -> list[Definition]:
    """List the functions that are longer than `MAX_FUNCTION_LINES`, the longest first."""
    return sorted(
        (each for each in definitions if each.length > MAX_FUNCTION_LINES),
        key=lambda each: (-each.length, each.path, each.line),
    )


def duplicated_classes(files: Iterable[SourceFile]) -> dict[str, list[Definition]]:
    """Group the classes that share their name with another class."""
    by_name: defaultdict[str, list[Definition]] = defaultdict(list)
    for file in files:
        if file.is_python:
            for node in file.nodes:
                if isinstance(node, ast.ClassDef):
                    by_name[node.name].append(_definition(file, node))
    return {name: places for name, places in sorted(by_name.items()) if len(places) > 1}


def _definition(file: SourceFile, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Definition:
    return Definition(file.path, node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
