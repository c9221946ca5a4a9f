"""Generates a text that matches a regular expression of a schema (ECMA 262).

Lookarounds, word boundaries and back-references are ignored, so that a caller must check the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

MAX_REPEATS = 1_000  # of one part of the expression
_EXTRA_REPEATS = 2  # beyond the minimum of a quantifier
_PRINTABLE = "".join(map(chr, range(32, 127)))
_DIGITS, _SPACE = "0123456789", " "
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = f"{_LETTERS}{_LETTERS.upper()}{_DIGITS}_"
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PROPERTIES = {"L": _LETTERS + _LETTERS.upper(), "Lu": _LETTERS.upper(), "Ll": _LETTERS, "N": _DIGITS, "Nd": _DIGITS}
_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})[?+]?")
_GROUP_PREFIX = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)")
_LOOKAROUND_PREFIX = re.compile(r"\?<?[=!]")
_CODE_POINT = re.compile(r"u\{([0-9A-Fa-f]+)\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})")
_PROPERTY = re.compile(r"([pP])\{([^}]*)\}")


class UnsupportedPattern(Exception):
    """The regular expression is malformed or has an unknown construct."""


@dataclass(frozen=True, slots=True)
class _Characters:
    """One of some characters."""

    options: str

    def sample(self, random: Random) -> str:
        return random.choice(self.options)


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: "Sequence[_Part]"

    def sample(self, random: Random) -> str:
        return "".join(part.sample(random) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Alternatives:
    options: "Sequence[_Part]"

    def sample(self, random: Random) -> str:
        return random.choice(self.options).sample(random)


@dataclass(frozen=True, slots=True)
class _Repetition:
    """`maximum` None: unlimited."""

    part: "_Part"
    minimum: int
    maximum: int | None

    def sample(self, random: Random) -> str:
        highest = self.minimum + _EXTRA_REPEATS
        if self.maximum is not None:
            highest = min(highest, self.maximum)
        count = random.randint(min(self.minimum, MAX_REPEATS), min(highest, MAX_REPEATS))
        return "".join(self.part.sample(random) for _ in range(count))


_Part = _Characters | _Sequence | _Alternatives | _Repetition
_EMPTY = _Sequence(())


def sample_text(pattern: str, random: Random) -> str:
    """Return a text that matches `pattern`, except for what this module ignores. Raises UnsupportedPattern."""
    parser = _Parser(pattern)
    part = parser.parse_alternatives()
    if parser.position != len(pattern):
        raise UnsupportedPattern(pattern)
    return part.sample(random)


@dataclass(slots=True)
class _Parser:
    """A recursive-descent parser of `pattern`."""

    pattern: str
    position: int = 0

    def peek(self) -> str:
        """Return the next character; empty at the end."""
        return self.pattern[self.position : self.position + 1]

    def match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        """Match an expression at the position, and advance."""
        match = expression.match(self.pattern, self.position)
        if match:
            self.position = match.end()
        return match

    def parse_alternatives(self) -> _Part:
        options = [self.parse_sequence()]
        while self.peek() == "|":
            self.position += 1
            options.append(self.parse_sequence())
        return options[0] if len(options) == 1 else _Alternatives(options)

    def parse_sequence(self) -> _Part:
        parts: list[_Part] = []
        while self.peek() not in ("", "|", ")"):
            part = self.parse_atom()
            quantifier = self.match(_QUANTIFIER)
            parts.append(part if quantifier is None else _repeat(part, quantifier))
        return _Sequence(parts)

    def parse_atom(self) -> _Part:
        character = self.peek()
        self.position += 1
        if character in "^$":
            return _EMPTY
        if character == ".":
            return _Characters(_WORD)
        if character == "[":
            return self.parse_class()
        if character == "(":
            return self.parse_group()
        if character == "\\":
            if self.peek() in ("b", "B"):
                self.position += 1
                return _EMPTY
            return _Characters(self.parse_escape())
        return _Characters(character)

    def parse_group(self) -> _Part:
        is_lookaround = self.match(_LOOKAROUND_PREFIX) is not None
        if not is_lookaround and self.match(_GROUP_PREFIX) is None and self.peek() == "?":
            raise UnsupportedPattern(self.pattern)
        part = self.parse_alternatives()
        if self.peek() != ")":
            raise UnsupportedPattern(self.pattern)
        self.position += 1
        return _EMPTY if is_lookaround else part

    def parse_class(self) -> _Part:
        """Parse a class of characters after its opening bracket."""
        is_negated = self.peek() == "^"
        self.position += is_negated
        members = ""
        while self.peek() != "]":
            first = self.parse_class_member()
            if self.peek() == "-" and self.pattern[self.position + 1 : self.position + 2] not in ("]", ""):
                self.position += 1
                last = self.parse_class_member()
                members += _expand_range(first, last)
            else:
                members += first
        self.position += 1
        options = "".join(c for c in _PRINTABLE if c not in members) if is_negated else members
        if not options:
            raise UnsupportedPattern(self.pattern)
        return _Characters(options)

    def parse_class_member(self) -> str:
        character = self.peek()
        self.position += 1
        if character == "":
            raise UnsupportedPattern(self.pattern)
        return self.parse_escape() if character == "\\" else character

    def parse_escape(self) -> str:
        """Parse an escape after its backslash; return the characters that it matches."""
        if code := self.match(_CODE_POINT):
            return chr(int(code[1] or code[2] or code[3], 16))
        if unicode_property := self.match(_PROPERTY):
            options = _PROPERTIES.get(unicode_property[2], _LETTERS)
            return options if unicode_property[1] == "p" else "".join(c for c in _PRINTABLE if c not in options)
        character = self.peek()
        self.position += 1
        if character == "":
            raise UnsupportedPattern(self.pattern)
        if character.lower() in _CLASSES:
            options = _CLASSES[character.lower()]
            return options if character.islower() else "".join(c for c in _PRINTABLE if c not in options)
        return _CONTROLS.get(character, character)


def _repeat(part: _Part, quantifier: re.Match[str]) -> _Repetition:
    symbol, minimum, comma, maximum = quantifier.groups()
    if symbol:
        return _Repetition(part, int(symbol == "+"), 1 if symbol == "?" else None)
    lowest = int(minimum[:6])
    if not comma:
        return _Repetition(part, lowest, lowest)
    return _Repetition(part, lowest, int(maximum[:6]) if maximum else None)


def _expand_range(first: str, last: str) -> str:
    """Return the characters from `first` to `last`, at most 256; both are single characters."""
    if len(first) != 1 or len(last) != 1:
        return f"{first}-{last}"
    return "".join(map(chr, range(ord(first), min(ord(last), ord(first) + 255) + 1)))
