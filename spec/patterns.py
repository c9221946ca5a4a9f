"""Rejects patterns that cannot be compiled or whose matches may take very long."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from spec.errors import ContractError, invalid_value

MAX_BACKTRACKING_CHARS = 1_000
BACKTRACK_LIMIT = 100_000  # steps of one match, some milliseconds


def check_pattern(node: Mapping[str, Any], pointer: str) -> None:
    """Raise ContractError for a `pattern` that cannot be compiled, or whose matches may take very long.

    Without lookaround and back-references a match takes linear time, whatever the pattern. With them it may take
    quadratic time and more, so the text must be short.
    """
    pattern, location = node.get("pattern"), f"{pointer}/pattern"
    if "pattern" not in node or is_linear(pattern):
        return
    if not _is_regular_expression(pattern):
        raise ContractError(location, invalid_value(pattern), "a regular expression")
    max_length = node.get("maxLength")
    if not isinstance(max_length, int) or max_length > MAX_BACKTRACKING_CHARS:
        problem = f"{invalid_value(pattern)} with lookaround or a back-reference"
        raise ContractError(location, problem, f"a maxLength of at most {MAX_BACKTRACKING_CHARS} next to it")


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
