"""Parsing of YAML as JSON values, with the scalars of YAML 1.2."""

import math
import re
from typing import Any

import yaml

from spec.errors import ContractError, invalid_value

_TAG_PREFIX = "tag:yaml.org,2002:"
_NUMBER_STARTS = list("-+.0123456789")
# Scalars without quotes that are no strings: kind -> pattern and possible first characters (core schema of YAML 1.2,
# section 10.3). YAML 1.1 has many more: `NO`, `on`, `10:30`, `01234`, `2024-01-15`, which users write as strings.
SCALAR_PATTERNS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", _NUMBER_STARTS),
    "float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        _NUMBER_STARTS,
    ),
    "merge": (r"<<", ["<"]),
}


class StrictLoader(yaml.CSafeLoader):
    """Accepts the subset of YAML that maps to JSON values, with any scalar as key; rejects duplicate keys."""

    # Without the resolvers of YAML 1.1, and without constructors: those of unknown tags reject (!!binary, !!set ...).
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML declares it
    yaml_constructors = {  # noqa: RUF012
        tag: constructor
        for tag, constructor in yaml.CSafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG_PREFIX) in ("null", "str", "seq", "map")
    }

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.duplicates: list[tuple[int, ContractError]] = []  # with their lines

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ContractError(format_line(key), "list or mapping as a key", "a scalar")
            self.on_key(key)
            if key.value in names:
                error = ContractError(format_line(key), f"duplicate key {key.value!r}", "unique keys")
                self.duplicates.append((key.start_mark.line, error))
            names.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def on_key(self, key: yaml.ScalarNode) -> None:
        """Called for each key before it is constructed."""


class StringKeyLoader(StrictLoader):
    """Converts every key to a string, for contracts (``200:``)."""

    def on_key(self, key: yaml.ScalarNode) -> None:
        if key.tag != f"{_TAG_PREFIX}merge":
            key.tag = f"{_TAG_PREFIX}str"


def format_line(node: yaml.Node) -> str:
    """Return where a node starts."""
    return f"line {node.start_mark.line + 1}"


def _parse_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _parse_int(text: str) -> int | float:
    base = {"0o": 8, "0x": 16}.get(text[:2])
    return parse_integer(text) if base is None else limit_integer(int(text[2:], base))


def _parse_float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1:].isalpha() else text)


def parse_integer(text: str) -> int | float:
    """Return the number that a text in decimal notation states; infinity if it is too long."""
    return limit_integer(int(text)) if len(text) <= MAX_INTEGER_CHARS else float(text)


def limit_integer(value: int) -> int | float:
    """Return an integer of more than 64 bits as a float: JSON libraries do not write such integers."""
    if -(2**63) <= value < 2**64:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf


def check_finite(value: Any, text: str, location: str) -> Any:
    """Return a number. Raises ContractError if it is infinite or no number."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractError(location, invalid_value(text), "a finite number")
    return value


def _construct_scalar(loader: Any, node: yaml.ScalarNode) -> Any:
    """Construct a boolean or a number; reject infinity and invalid scalars (``!!int x``)."""
    parse = _PARSERS[node.tag.removeprefix(_TAG_PREFIX)]
    try:
        value = parse(loader.construct_scalar(node).lower())
    except (ValueError, LookupError):
        raise ContractError(format_line(node), invalid_value(node.value), f"a value of {node.tag}") from None
    return check_finite(value, node.value, format_line(node))


MAX_INTEGER_CHARS = 400  # `int` raises ValueError for more than 4,300 digits; a float has at most 309
_PARSERS = {"bool": _parse_bool, "int": _parse_int, "float": _parse_float}
for _kind, (_pattern, _first) in SCALAR_PATTERNS.items():
    StrictLoader.add_implicit_resolver(f"{_TAG_PREFIX}{_kind}", re.compile(f"(?:{_pattern})$"), _first)
for _kind in _PARSERS:
    StrictLoader.add_constructor(f"{_TAG_PREFIX}{_kind}", _construct_scalar)
