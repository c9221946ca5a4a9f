"""The condition `path` of rules and of recorded requests: a path of the contract, in which ``*`` is any part."""

import re
from collections.abc import Iterator

from mock_server.web.routing import Routes
from spec.model import Contract

ANY_PART = "*"
MAX_RECEIVED_CHARS = 100  # of a value in a message
_PATH_PARAMETER = re.compile(r"(\{[^{}]+\})")
_PARAMETER_CHARACTER = None  # in the list of a template's characters


def remove_base_path(contract: Contract, path: str) -> str:
    """Return a path below the base path, which it may start with."""
    return path.removeprefix(contract.base_path) if path.startswith(f"{contract.base_path}/") else path


def find_path_problem(contract: Contract, path: str, field: str) -> str | None:
    """Return what is wrong with a path that no request to the contract can have; None if one can have it."""
    pattern = remove_base_path(contract, path)
    templates = {operation.path for operation in contract.operations.values()}
    if not _has_syntax_problem(pattern) and any(can_match(pattern, template) for template in templates):
        return None
    return _describe_problem(contract, path, field)


def find_syntax_problem(contract: Contract, path: str, field: str) -> str | None:
    """Return what is wrong with a path that no request at all can have; None if one can have it.

    A recorded request may have a path that the contract does not have.
    """
    if path.startswith(("/", ANY_PART)) and not _has_syntax_problem(path):
        return None
    return _describe_problem(contract, path, field)


def _has_syntax_problem(pattern: str) -> bool:
    """Whether a pattern contains a query, a fragment, or a path parameter."""
    return any(character in pattern for character in "?#{}")


def _describe_problem(contract: Contract, path: str, field: str) -> str:
    """Return the message for a path that cannot match, with the most similar paths of the contract."""
    pattern = remove_base_path(contract, path)
    templates = {operation.path for operation in contract.operations.values()}
    if any(can_match(_PATH_PARAMETER.sub(ANY_PART, pattern), template) for template in templates):
        hint = f"did you mean {_PATH_PARAMETER.sub(ANY_PART, pattern)}?"
    else:
        plain_path = pattern.partition("?")[0].strip("/")
        similar = Routes.from_contract(contract).find_similar(f"{contract.base_path}/{plain_path}")
        candidates = [route.path for route in similar] or sorted(templates)[:1]
        names = " or ".join(_PATH_PARAMETER.sub(ANY_PART, candidate) for candidate in candidates)
        hint = f"did you mean {names}?" if similar else f"for example {names}"
    query = "; conditions on the query are in `query`" if "?" in pattern else ""
    expected = f"a path of the contract below {contract.base_path or '/'}, with {ANY_PART} for any part"
    received = path[:MAX_RECEIVED_CHARS]
    return f'The {field} field matches no path (received "{received}", expected {expected}{query}; {hint}).'


def can_match(pattern: str, template: str) -> bool:
    """Whether a pattern matches a path of a template, for example ``/agents/*`` one of ``/agents/{agent}``."""
    pattern = pattern if pattern.endswith(ANY_PART) else pattern.rstrip("/")
    positions = _skip_any_parts(pattern, {0})
    for character in _iter_characters(template):
        if character is not None:
            positions = _advance(pattern, positions, character)
            continue
        reached: set[int] = set()
        while positions := _advance(pattern, positions, _PARAMETER_CHARACTER) - reached:
            reached |= positions
        positions = reached
    return len(pattern) in positions


def _iter_characters(template: str) -> Iterator[str | None]:
    """Yield the characters of a template, and None for each path parameter."""
    for part in _PATH_PARAMETER.split(template):
        if part.startswith("{"):
            yield _PARAMETER_CHARACTER
        else:
            yield from part


def _advance(pattern: str, positions: set[int], character: str | None) -> set[int]:
    """Return the positions in a pattern after one more character; None: any but a slash."""
    advanced: set[int] = set()
    for position in positions:
        expected = pattern[position : position + 1]
        if expected == ANY_PART:
            advanced.add(position)
        elif expected and (expected == character if character is not None else expected != "/"):
            advanced.add(position + 1)
    return _skip_any_parts(pattern, advanced)


def _skip_any_parts(pattern: str, positions: set[int]) -> set[int]:
    """Add the positions after each ``*``, which also matches nothing."""
    skipped = set(positions)
    for position in positions:
        while pattern[position : position + 1] == ANY_PART:
            position += 1
            skipped.add(position)
    return skipped
