"""Rejects patterns that cannot be compiled, and limits those whose matches may take very long."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from spec.document import escape
from spec.errors import ContractError, invalid_value

MAX_BACKTRACKING_CHARS = 1_000
_HYPHEN_AFTER_CLASS = re.compile(r"(\\[dDsSwW])-")
BACKTRACK_LIMIT = 100_000  # steps of one match, some milliseconds


def iter_pattern_problems(node: Mapping[str, Any], pointer: str, valid_patterns: set[str]) -> Iterator[ContractError]:
    """Yield an error for each pattern of a schema that cannot be compiled. `valid_patterns`: those that can, so far.

    Without lookaround and back-references a match takes linear time, whatever the pattern. With them it may take
    quadratic time and more, so only texts of at most MAX_BACKTRACKING_CHARS are matched.
    """
    patterns = {"pattern": node["pattern"]} if "pattern" in node else {}
    names = node.get("patternProperties")
    patterns |= {f"patternProperties/{escape(n)}": n for n in names} if isinstance(names, dict) else {}
    for key, pattern in patterns.items():
        if pattern in valid_patterns:
            continue
        if is_linear(pattern) or _is_regular_expression(pattern):
            valid_patterns.add(pattern)
        else:
            yield ContractError(f"{pointer}/{key}", invalid_value(pattern), "a regular expression")


def repair_pattern(pattern: str) -> str:
    """Return a pattern in the notation that validators read.

    ECMAScript reads the hyphen after a class (``[\\w-.]``) as a character; other engines reject it without an escape.
    """
    repaired = _HYPHEN_AFTER_CLASS.sub(r"\1\\-", pattern)
    is_repaired = repaired != pattern and not is_linear(pattern) and is_linear(repaired)
    return repaired if is_repaired else pattern


def is_linear(pattern: Any) -> bool:
    """Return whether a pattern matches in linear time."""
    return isinstance(pattern, str) and _compiles(pattern, jsonschema_rs.RegexOptions())


def _is_regular_expression(pattern: Any) -> bool:
    return isinstance(pattern, str) and _compiles(pattern, jsonschema_rs.FancyRegexOptions())


def _compiles(pattern: str, options: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True
