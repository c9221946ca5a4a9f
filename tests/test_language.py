"""Enforces the standard language: the words in `vocabulary.txt` are not used in text or in identifiers.

A failure lists file, line, word and replacement of every use. Exceptions are listed in `scripts/language.py`.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from scripts.language import (
    EXCLUDED,
    Allowance,
    Occurrence,
    Usage,
    Vocabulary,
    identifier_usage,
    message_usage,
    prose_usage,
)
from scripts.source_tree import SourceFile, read_files
from tests.source_trees import fail_with, write_tree

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 1.5  # vocabulary words per 1,000 words, in each group of texts
INITIAL_ENTRIES = 26  # of the vocabulary, when it was introduced


@cache
def repository() -> list[SourceFile]:
    return read_files(ROOT)


@cache
def repository_prose() -> list[Usage]:
    return prose_usage(repository(), Vocabulary.from_file())


def violations(groups: Iterable[Usage]) -> list[str]:
    """For each group over the limit its figures, then all its occurrences."""
    lines = []
    for group in groups:
        if group.per_thousand > LIMIT:
            lines += [f"{group}, limit {LIMIT}", *(f"  {use}" for use in group.occurrences)]
    return lines


# The repository


@pytest.mark.slow  # `make check` runs it too
def test_docstrings_comments_and_documents_use_standard_words() -> None:
    fail_with(violations(repository_prose()))


@pytest.mark.slow  # `make check` runs it
def test_messages_use_standard_words() -> None:
    fail_with(violations(message_usage(repository(), Vocabulary.from_file())))


@pytest.mark.slow
def test_identifiers_use_standard_words() -> None:
    fail_with([str(use) for use in identifier_usage(repository(), Vocabulary.from_file())])


@pytest.mark.slow  # `make check` runs it too
def test_every_kind_of_text_of_the_repository_is_scanned() -> None:
    groups = {group.group for group in repository_prose() if group.words > 100}
    packages = ("spec", "fixtures", "mock_server", "conformance", "tests", "bench", "scripts")
    expected = {f"{package} docstrings" for package in packages} | {f"{package} comments" for package in packages}
    assert expected | {"documents", "contract", "project files comments"} <= groups


def test_vocabulary_does_not_shrink_and_every_word_has_a_replacement() -> None:
    replacements = Vocabulary.from_file().replacements
    assert len(replacements) >= INITIAL_ENTRIES
    assert [word for word, replacement in replacements.items() if not replacement or word != word.lower()] == []


def test_excluded_paths_exist() -> None:
    assert [path for path in EXCLUDED if not (ROOT / path).exists()] == []


# The checkers, on made-up trees

VOCABULARY = Vocabulary({"crimson": "red", "set sail": "start", "sail": "run"})


def places(groups: Iterable[Usage]) -> list[tuple[str, int, str]]:
    """(group, line, word) of each occurrence."""
    return [(group.group, use.line, use.word) for group in groups for use in group.occurrences]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("spec/a.py", '"""Title.\n\nA crimson\nline."""', ("spec docstrings", 3, "crimson")),
        ("spec/a.py", 'class A:\n    x: int\n    """Crimson."""', ("spec docstrings", 3, "crimson")),
        ("spec/a.py", "x = 1\ny = 2  # crimson", ("spec comments", 2, "crimson")),
        ("spec/a.py", "# they set\n# sail", ("spec comments", 1, "set sail")),
        ("spec/a.py", "# x\n# `crimson_1`", ("spec comments", 2, "crimson")),
        ("tests/b/test_a.py", '"""x"""\n\n# crimson', ("tests comments", 3, "crimson")),
        ("bench/a.py", '"""Crimson"""', ("bench docstrings", 1, "crimson")),
        ("scripts/a.sh", "echo '# sail'\nls  # crimson", ("scripts comments", 2, "crimson")),
        ("Makefile", "x:  ## crimson\n\tls", ("project files comments", 1, "crimson")),
        ("Dockerfile", "FROM x\n# crimson", ("project files comments", 2, "crimson")),
        ("pyproject.toml", "[a]\nb = '#' # crimson", ("project files comments", 2, "crimson")),
        (".ci/run", "#!/bin/sh\n# crimson", ("project files comments", 2, "crimson")),
        ("fixtures/a.yaml", "a: 'x # sail'\nb: 1 # crimson", ("fixtures comments", 2, "crimson")),
        ("README.md", "# Title\n\nA crimson\nline.", ("documents", 3, "crimson")),
        ("docs/how/a.md", "They set\n  sail.", ("documents", 1, "set sail")),
        ("spec/openapi.yaml", "a: {description: 'It is\n  crimson.', name: sail}", ("contract", 2, "crimson")),
        ("spec/openapi.yaml", "a:\n  summary: |\n    One.\n\n    Crimson # two.\n", ("contract", 5, "crimson")),
        ("spec/openapi.yaml", "description:\n  type: sail\n  # crimson", ("contract", 3, "crimson")),
    ],
)
def test_word_in_text_is_found(tmp_path: Path, path: str, text: str, expected: tuple[str, int, str]) -> None:
    assert places(prose_usage(write_tree(tmp_path, {path: text}), VOCABULARY)) == [expected]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("spec/a.py", 'crimson = "crimson sail"'),
        ("spec/a.py", "# crimsons, encrimson"),
        ("spec/openapi.yaml", "a: {name: crimson, description: {type: sail}}"),
        ("fixtures/personas/a.yaml", "a: 1  # crimson"),
        ("tests/spec/facts/FACTS.md", "crimson"),
        (".venv/a.py", "# crimson"),
        ("build/a.py", "# crimson"),
    ],
)
def test_text_without_a_word_or_not_scanned_passes(tmp_path: Path, path: str, text: str) -> None:
    assert places(prose_usage(write_tree(tmp_path, {path: text}), VOCABULARY)) == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("spec/a.py", '"""Crimson sail."""\nx = "a crimson line"', ("spec messages", 2, "crimson")),
        ("spec/a.py", 'x = f"{crimson} is crimson"', ("spec messages", 1, "crimson")),
        ("spec/a.py", 'x = (\n    "a line "\n    f"is {x} crimson"\n)', ("spec messages", 3, "crimson")),
        ("conformance/a.py", 'f("sail", "set sail now")', ("conformance messages", 1, "set sail")),
        ("mock_server/a.html", "<p>\nCrimson</p>", ("mock_server messages", 2, "crimson")),
    ],
)
def test_word_in_a_message_is_found(tmp_path: Path, path: str, text: str, expected: tuple[str, int, str]) -> None:
    assert places(message_usage(write_tree(tmp_path, {path: text}), VOCABULARY)) == [expected]


@pytest.mark.parametrize(
    ("path", "text"), [("tests/a.py", 'x = "a crimson line"'), ("spec/a.py", 'x = {"crimson": "sail"}')]
)
def test_strings_of_tests_and_keys_are_no_messages(tmp_path: Path, path: str, text: str) -> None:
    assert places(message_usage(write_tree(tmp_path, {path: text}), VOCABULARY)) == []


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("def crimson_line(): ...", "crimson_line"),
        ("async def a_crimson(): ...", "a_crimson"),
        ("class ACrimsonLine: ...", "ACrimsonLine"),
        ("def f(_crimson): ...", "_crimson"),
        ("def f(*, CRIMSON=1): ...", "CRIMSON"),
        ("crimson: int", "crimson"),
        ("f(\n).crimson = 1", "crimson"),
        ("f(crimson=1)", "crimson"),
        ("import a as crimson", "crimson"),
        ("from a.crimson import b", "a.crimson"),
        ("try: ...\nexcept E as crimson: ...", "crimson"),
        ("def f():\n    global crimson", "crimson"),
        ("match x:\n    case [*crimson]: ...", "crimson"),
        ("match x:\n    case {1: 2, **crimson}: ...", "crimson"),
        ("match x:\n    case A(crimson=1): ...", "crimson"),
        ("match x:\n    case 1 as crimson: ...", "crimson"),
    ],
)
def test_word_in_an_identifier_is_found(tmp_path: Path, text: str, identifier: str) -> None:
    (use,) = identifier_usage(write_tree(tmp_path, {"tests/a.py": text}), VOCABULARY)
    assert use == Occurrence("tests/a.py", len(text.splitlines()), "crimson", "red", identifier)


def test_phrase_in_an_identifier_is_found_as_consecutive_parts(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"spec/a.py": "do_set_sail = 1\nletSetSail = 2\nset_the_mast = 3"})
    phrases = [use.context for use in identifier_usage(tree, VOCABULARY) if use.word == "set sail"]
    assert phrases == ["do_set_sail", "letSetSail"]


@pytest.mark.parametrize("path", ["spec/crimson.py", "spec/crimson_line/a.py"])
def test_word_in_a_module_name_is_found(tmp_path: Path, path: str) -> None:
    (use,) = identifier_usage(write_tree(tmp_path, {path: ""}), VOCABULARY)
    assert (use.path, use.line, use.word) == (path, 1, "crimson")


@pytest.mark.parametrize("text", ['x = {"crimson": 1}', "# crimson\nencrimson = crimsons = 1", '"""crimson"""'])
def test_string_comment_or_longer_word_is_no_identifier(tmp_path: Path, text: str) -> None:
    assert identifier_usage(write_tree(tmp_path, {"spec/a.py": text}), VOCABULARY) == []


def test_violation_prints_the_figures_of_its_group_and_file_line_word_and_replacement(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, {"spec/a.py": "x = 1\n# a crimson line", "docs/a.md": "fine " * 999 + "crimson"})
    assert violations(prose_usage(tree, VOCABULARY)) == [
        "spec comments: 1 of 3 words (333.3 per 1,000), limit 1.5",
        "  spec/a.py:2: 'crimson'; write: red",
    ]


def test_allowance_permits_its_word_in_its_file_only(tmp_path: Path) -> None:
    text = "# crimson sail\ncrimson = sail = 1"
    tree = write_tree(tmp_path, {"spec/a.py": text, "tests/b.py": text})
    allowed = [Allowance("crimson", "spec/a.py", "a colour")]
    expected = [("spec/a.py", "sail"), ("tests/b.py", "crimson"), ("tests/b.py", "sail")]
    prose = [use for group in prose_usage(tree, VOCABULARY, allowed) for use in group.occurrences]
    assert [(use.path, use.word) for use in prose] == expected
    assert [(use.path, use.word) for use in identifier_usage(tree, VOCABULARY, allowed)] == expected


def test_vocabulary_file_has_comments_and_tab_separated_entries(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# title\n\nset sail\tstart, begin\n", encoding="utf-8")
    assert Vocabulary.from_file(tmp_path / "words.txt").replacements == {"set sail": "start, begin"}
