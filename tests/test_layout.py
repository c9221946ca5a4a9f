"""Enforces the layout of the four packages: small folders, short functions, each class name once."""

from functools import cache
from pathlib import Path

import pytest

from scripts.layout import (
    MAX_FUNCTION_LINES,
    count_code_lines,
    count_modules,
    duplicated_classes,
    functions,
    long_functions,
)
from scripts.source_tree import PACKAGES, SourceFile, read_files
from tests.source_trees import fail_with, write_tree

ROOT = Path(__file__).resolve().parents[1]
MAX_MODULES = 20  # in one folder, `__init__.py` not counted
MAX_LONG_FUNCTIONS = 0.005  # share of all functions


@cache
def packages() -> list[SourceFile]:
    return [file for file in read_files(ROOT) if file.package in PACKAGES]


# The repository


def test_no_folder_has_too_many_modules() -> None:
    counts = count_modules(packages())
    assert set(PACKAGES) <= set(counts)
    fail_with(
        [f"{folder}: {count} modules, limit {MAX_MODULES}" for folder, count in counts.items() if count > MAX_MODULES]
    )


@pytest.mark.slow
def test_every_class_name_is_used_once() -> None:
    duplicates = duplicated_classes(read_files(ROOT))
    fail_with([f"{name}: {', '.join(f'{p.path}:{p.line}' for p in places)}" for name, places in duplicates.items()])


@pytest.mark.slow
def test_few_functions_are_long() -> None:
    definitions = functions(packages())
    long = long_functions(definitions)
    assert definitions
    fail_with([str(each) for each in long] if len(long) > MAX_LONG_FUNCTIONS * len(definitions) else [])


def test_tests_of_the_suite_mirror_its_packages() -> None:
    folders = {path.parent.name for path in (ROOT / "tests" / "conformance").glob("*/*.py")}
    packages_of_suite = {path.parent.name for path in (ROOT / "conformance").glob("*/__init__.py")}
    assert folders - packages_of_suite == {"support"}


# The checkers, on made-up trees


def test_modules_are_counted_by_folder_without_init_and_subfolders(tmp_path: Path) -> None:
    paths = ["a/__init__.py", "a/x.py", "a/y.py", "a/page.html", "a/b/__init__.py", "a/b/z.py"]
    assert count_modules(write_tree(tmp_path, dict.fromkeys(paths, ""))) == {"a": 2, "a/b": 1}


def test_duplicated_class_is_listed_with_its_places(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"a.py": "class A: ...\nclass B: ...", "b/c.py": "def f():\n    class A: ..."})
    ((name, places),) = duplicated_classes(tree).items()
    assert (name, [(place.path, place.line) for place in places]) == ("A", [("a.py", 1), ("b/c.py", 2)])


def test_function_is_long_above_the_limit(tmp_path: Path) -> None:
    def function(name: str, lines: int) -> str:
        return f"@decorator\nasync def {name}():\n" + "    pass\n" * (lines - 1)

    tree = write_tree(tmp_path, {"a.py": function("f", MAX_FUNCTION_LINES) + function("g", MAX_FUNCTION_LINES + 1)})
    assert len(functions(tree)) == 2
    assert [str(each) for each in long_functions(functions(tree))] == ["a.py:43: g (41 lines)"]


def test_code_lines_exclude_blank_lines_comments_and_docstrings(tmp_path: Path) -> None:
    python = '"""One.\n\nTwo.\n"""\n\n# x\nx = 1  # y\n\n\ndef f():\n    """Doc."""\n    return """a\n\nb"""\n'
    files = write_tree(tmp_path, {"a.py": python, "b.html": "<p>\n\n</p>\n"})
    assert [count_code_lines(file) for file in files] == [5, 2]
