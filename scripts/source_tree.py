"""The text files of a checkout that the figures and the language gate read."""

import ast
import io
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

PACKAGES = ("spec", "fixtures", "mock_server", "conformance")  # the four packages that are distributed
TEMPLATE_SUFFIXES = frozenset({".html", ".css", ".js", ".j2"})
PROJECT_FILES = "project files"  # the group of all files outside of a top-level package

_TEXT_SUFFIXES = TEMPLATE_SUFFIXES | {".py", ".md", ".yaml", ".yml", ".sh", ".toml"}
_NAMES_WITHOUT_SUFFIX = frozenset({"Makefile", "Dockerfile"})
_GENERATED_FOLDERS = frozenset({"__pycache__", "build", "dist", "node_modules", "results", "schemathesis-report"})
_CI_SCRIPT = ".ci/run"


@dataclass(frozen=True)
class SourceFile:
    """A text file of a checkout. `path` is relative to the root and uses slashes."""

    path: str
    text: str

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.path).suffix

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.path).parent)

    @property
    def package(self) -> str:
        """The top-level package, or `PROJECT_FILES` for a file outside of one."""
        first, separator, _ = self.path.partition("/")
        return first if separator and not first.startswith(".") else PROJECT_FILES

    @property
    def is_python(self) -> bool:
        return self.suffix == ".py"

    @property
    def is_template(self) -> bool:
        return self.suffix in TEMPLATE_SUFFIXES

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the syntax tree of a Python file, parents before their children."""
        return list(ast.walk(ast.parse(self.text, filename=self.path)))

    @cached_property
    def docstrings(self) -> list[ast.Constant]:
        """Every string that is a statement: docstrings of modules, classes and functions, and of attributes."""
        return [
            node.value
            for node in self.nodes
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        ]

    @cached_property
    def tokens(self) -> list[tokenize.TokenInfo]:
        """The tokens of a Python file."""
        return list(tokenize.generate_tokens(io.StringIO(self.text).readline))


def read_files(root: Path) -> list[SourceFile]:
    """Read the text files below `root`, sorted by path; hidden and generated folders are skipped."""
    return [SourceFile(path, (root / path).read_text(encoding="utf-8")) for path in sorted(_paths(root))]


def _paths(root: Path) -> Iterator[str]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not _is_skipped(name)]
        for name in names:
            path = Path(folder, name).relative_to(root)
            if path.suffix in _TEXT_SUFFIXES or name in _NAMES_WITHOUT_SUFFIX:
                yield path.as_posix()
    if (root / _CI_SCRIPT).is_file():
        yield _CI_SCRIPT


def _is_skipped(folder: str) -> bool:
    return folder.startswith(".") or folder.endswith(".egg-info") or folder in _GENERATED_FOLDERS
