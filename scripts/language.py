"""Uses of the words in `tests/vocabulary.txt`, in text and in identifiers.

The files are scanned by kind of text: docstrings, comments, documents, the descriptions of the contract, messages.
PyYAML finds the descriptions and the comments of a YAML file, because they appear in flow mappings and folded scalars.
"""

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from scripts.source_tree import PACKAGES, SourceFile

VOCABULARY_FILE = Path(__file__).resolve().parents[1] / "tests" / "vocabulary.txt"
CONTRACT = "spec/openapi.yaml"
PROSE_KEYS = frozenset({"title", "summary", "description"})  # keys of the contract whose values are prose

# File, or folder with a slash at its end -> why its text is not scanned.
EXCLUDED: Mapping[str, str] = {
    "tests/spec/facts/": "copies that are byte-equal to their source",
    "fixtures/personas/": "texts of personas: data",
    "tests/contracts/refused/": "files that cannot be parsed",
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """One word that one file may use, and why."""

    word: str
    path: str
    reason: str


ALLOWED: tuple[Allowance, ...] = ()

_WORD = re.compile(r"[A-Za-z]+(?:['\u2019][A-Za-z]+)?")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_HASH = re.compile(r"(?:^|(?<=\s))#")

# Class of syntax node -> its fields that hold identifiers.
_IDENTIFIER_FIELDS: Mapping[type[ast.AST], tuple[str, ...]] = {
    ast.FunctionDef: ("name",),
    ast.AsyncFunctionDef: ("name",),
    ast.ClassDef: ("name",),
    ast.arg: ("arg",),
    ast.keyword: ("arg",),
    ast.Name: ("id",),
    ast.Attribute: ("attr",),
    ast.alias: ("name", "asname"),
    ast.ImportFrom: ("module",),
    ast.ExceptHandler: ("name",),
    ast.Global: ("names",),
    ast.Nonlocal: ("names",),
    ast.MatchAs: ("name",),
    ast.MatchStar: ("name",),
    ast.MatchMapping: ("rest",),
    ast.MatchClass: ("kwd_attrs",),
}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One use of a vocabulary word. `context` is the identifier that contains it, or empty in text."""

    path: str
    line: int
    word: str
    replacement: str
    context: str = ""

    def __str__(self) -> str:
        where = f" in {self.context}" if self.context else ""
        return f"{self.path}:{self.line}: {self.word!r}{where}; write: {self.replacement}"


@dataclass(frozen=True, slots=True)
class Passage:
    """A continuous text. `source`: the lines of the file that a string literal covers."""

    group: str
    path: str
    line: int
    text: str
    source: tuple[str, ...] = ()

    def line_of(self, match: re.Match[str]) -> int:
        """The line of a match; a literal made of several strings has fewer line breaks than its source."""
        offset = self.text.count("\n", 0, match.start())
        first_word = match.group().split()[0]
        for number, line in enumerate(self.source[offset:], offset):
            if first_word in line:
                return self.line + number
        return self.line + offset


class Vocabulary:
    """The words to avoid, each with its replacements."""

    def __init__(self, replacements: Mapping[str, str]) -> None:
        self.replacements = dict(replacements)
        longest_first = sorted(self.replacements, key=len, reverse=True)
        phrases = "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest_first)
        self._pattern = re.compile(rf"(?<![A-Za-z])(?:{phrases})(?![A-Za-z])", re.IGNORECASE)
        self._parts = {word: tuple(word.split()) for word in longest_first}

    @classmethod
    def from_file(cls, path: Path = VOCABULARY_FILE) -> "Vocabulary":
        """Load a file with one entry per line: word, tab, replacements. Lines that start with `#` are comments."""
        lines = path.read_text(encoding="utf-8").splitlines()
        entries = (line.partition("\t") for line in lines if line.strip() and not line.startswith("#"))
        return cls({word.strip(): replacement.strip() for word, _, replacement in entries})

    def find_in_text(self, passage: Passage) -> Iterator[Occurrence]:
        """Yield the uses of vocabulary words in a text; where two entries overlap, the longer one."""
        for match in self._pattern.finditer(passage.text):
            word = " ".join(match.group().lower().split())
            yield Occurrence(passage.path, passage.line_of(match), word, self.replacements[word])

    def find_in_identifier(self, identifier: str) -> Iterator[str]:
        """Yield the entries whose words are consecutive parts of a snake_case or camelCase identifier."""
        parts = tuple(part.lower() for part in _PART.findall(identifier))
        for word, wanted in self._parts.items():
            if any(parts[start : start + len(wanted)] == wanted for start in range(len(parts))):
                yield word


@dataclass(slots=True)
class Usage:
    """The vocabulary words of a group of texts."""

    group: str
    words: int = 0
    occurrences: list[Occurrence] = field(default_factory=list)

    @property
    def per_thousand(self) -> float:
        """Vocabulary words per 1,000 words."""
        return 1000 * len(self.occurrences) / self.words if self.words else 0.0

    def __str__(self) -> str:
        return f"{self.group}: {len(self.occurrences)} of {self.words} words ({self.per_thousand:.1f} per 1,000)"


# Measurement


def is_excluded(path: str) -> bool:
    """Whether the text of a file is not scanned."""
    return any(path == entry or (entry.endswith("/") and path.startswith(entry)) for entry in EXCLUDED)


def is_allowed(occurrence: Occurrence, allowed: Iterable[Allowance]) -> bool:
    """Whether an exception permits this use."""
    return any(each.word == occurrence.word and each.path == occurrence.path for each in allowed)


def prose_usage(
    files: Iterable[SourceFile], vocabulary: Vocabulary, allowed: Sequence[Allowance] = ALLOWED
) -> list[Usage]:
    """Measure docstrings and comments per package, the documents, and the contract's descriptions."""
    passages = (passage for file in files if not is_excluded(file.path) for passage in prose(file))
    return _measure(passages, vocabulary, allowed)


def message_usage(
    files: Iterable[SourceFile], vocabulary: Vocabulary, allowed: Sequence[Allowance] = ALLOWED
) -> list[Usage]:
    """Measure the messages and templates of the four packages, per package."""
    scanned = (file for file in files if file.package in PACKAGES and not is_excluded(file.path))
    return _measure((passage for file in scanned for passage in messages(file)), vocabulary, allowed)


def identifier_usage(
    files: Iterable[SourceFile], vocabulary: Vocabulary, allowed: Sequence[Allowance] = ALLOWED
) -> list[Occurrence]:
    """List the identifiers that contain a vocabulary word, each use of each."""
    cache: dict[str, list[str]] = {}
    uses = []
    for file in files:
        if file.is_python and not is_excluded(file.path):
            for identifier, line in identifiers(file):
                if identifier not in cache:
                    cache[identifier] = list(vocabulary.find_in_identifier(identifier))
                uses += [
                    Occurrence(file.path, line, word, vocabulary.replacements[word], identifier)
                    for word in cache[identifier]
                ]
    return [use for use in uses if not is_allowed(use, allowed)]


def _measure(passages: Iterable[Passage], vocabulary: Vocabulary, allowed: Sequence[Allowance]) -> list[Usage]:
    usage: dict[str, Usage] = {}
    for passage in passages:
        group = usage.setdefault(passage.group, Usage(passage.group))
        group.words += len(_WORD.findall(passage.text))
        group.occurrences += [use for use in vocabulary.find_in_text(passage) if not is_allowed(use, allowed)]
    return sorted(usage.values(), key=lambda group: group.group)


# Text of a file


def prose(file: SourceFile) -> Iterator[Passage]:
    """Yield the docstrings and comments of code, the text of a document, the descriptions of the contract."""
    if file.is_python:
        yield from _docstring_passages(file)
        yield from _comment_passages(file, f"{file.package} comments", _python_comments(file))
    elif file.suffix == ".md":
        yield Passage("documents", file.path, 1, file.text)
    elif file.suffix in (".yaml", ".yml"):
        yield from _yaml_passages(file)
    elif not file.is_template:
        yield from _comment_passages(file, f"{file.package} comments", hash_comments(file.text))


def messages(file: SourceFile) -> Iterator[Passage]:
    """Yield the string literals that contain a space, docstrings excluded, and the text of a template."""
    group = f"{file.package} messages"
    if file.is_template:
        yield Passage(group, file.path, 1, file.text)
    elif file.is_python:
        for node, text in _literals(file):
            if " " in text:
                yield _literal_passage(file, group, node, text)


def identifiers(file: SourceFile) -> Iterator[tuple[str, int]]:
    """Yield (identifier, line) of every use of a name in a Python file; the parts of its path have line 1."""
    for part in file.path.removesuffix(".py").split("/"):
        yield part, 1
    for node in file.nodes:
        for name in _IDENTIFIER_FIELDS.get(type(node), ()):
            value = getattr(node, name)
            for identifier in value if isinstance(value, list) else [value]:
                if identifier is not None:
                    yield identifier, _name_line(node)


def _name_line(node: ast.AST) -> int:
    """The line of a node's name: an attribute is on the last line of its expression."""
    return int(getattr(node, "end_lineno" if isinstance(node, ast.Attribute) else "lineno", 1))


def _docstring_passages(file: SourceFile) -> Iterator[Passage]:
    for node in file.docstrings:
        yield _literal_passage(file, f"{file.package} docstrings", node, str(node.value))


def _literal_passage(file: SourceFile, group: str, node: ast.expr, text: str) -> Passage:
    return Passage(group, file.path, node.lineno, text, tuple(file.lines[node.lineno - 1 : node.end_lineno]))


def _literals(file: SourceFile) -> Iterator[tuple[ast.expr, str]]:
    """Yield every string literal that is not a docstring; an f-string is one literal, with {} for its expressions."""
    covered: set[ast.AST] = set(file.docstrings)
    for node in file.nodes:
        if isinstance(node, ast.JoinedStr):
            constants = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            covered.update(node.values)
            yield node, "".join(map(str, constants))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in covered:
            yield node, node.value


# Comments


def _python_comments(file: SourceFile) -> Iterator[tuple[int, str]]:
    for token in file.tokens:
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def hash_comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, comment) of a shell script, makefile or TOML file. A `#` within quotes starts no comment."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in _HASH.finditer(line):
            code = line[: match.start()]
            if code.count("'") % 2 == code.count('"') % 2 == 0:
                yield number, line[match.start() :]
                break


def _comment_passages(file: SourceFile, group: str, comments: Iterable[tuple[int, str]]) -> Iterator[Passage]:
    """Yield comments on consecutive lines as one text, so that a phrase may span two lines."""
    block: list[str] = []
    start = 0
    for line, comment in comments:
        if block and line != start + len(block):
            yield Passage(group, file.path, start, "\n".join(block))
            block = []
        start = start if block else line
        block.append(comment.lstrip("#! "))
    if block:
        yield Passage(group, file.path, start, "\n".join(block))


# YAML


def _yaml_passages(file: SourceFile) -> Iterator[Passage]:
    nodes = list(_nodes(yaml.compose(file.text, Loader=yaml.CSafeLoader)))
    group = "contract" if file.path == CONTRACT else f"{file.package} comments"
    yield from _comment_passages(file, group, hash_comments(_without_scalars(file.text, nodes)))
    if file.path == CONTRACT:
        for node in nodes:
            yield from _descriptions(file, group, node)


def _descriptions(file: SourceFile, group: str, node: yaml.Node) -> Iterator[Passage]:
    """Yield the descriptions that a mapping of the contract has itself. A property of that name has no text."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value in PROSE_KEYS and isinstance(value, yaml.ScalarNode):
            first, last = value.start_mark.line, value.end_mark.line
            yield Passage(group, file.path, first + 1, value.value, tuple(file.lines[first : last + 1]))


def _nodes(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """Yield a node of YAML and all nodes below it."""
    if node is None:
        return
    yield node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _nodes(key)
            yield from _nodes(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _nodes(item)


def _without_scalars(text: str, nodes: Iterable[yaml.Node]) -> str:
    """Blank the scalars of a YAML text, so that every `#` that remains starts a comment."""
    characters = list(text)
    for node in nodes:
        if isinstance(node, yaml.ScalarNode):
            for index in range(node.start_mark.index, node.end_mark.index):
                if characters[index] != "\n":
                    characters[index] = " "
    return "".join(characters)
