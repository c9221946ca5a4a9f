"""Applies an overlay (Overlay Specification 1.0) to a document.

A target is a JSONPath of names, indexes, ``*`` and filters that compare a property with a string, such as
``$.paths['/a'].get.parameters[?@.name=='b']``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>[\w$-]+)
      | \['(?P<quoted>[^']*)'\]
      | \[(?P<index>\d+)\]
      | \[\?@\.(?P<property>[\w-]+)\s*==\s*'(?P<text>[^']*)'\]
      | (?P<all>\.\*|\[\*\])""",
    re.VERBOSE,
)


class OverlayError(Exception):
    """An action that cannot be applied."""


def apply_overlay(document: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    """Apply all actions to the document. Raises OverlayError if a target is unsupported or selects nothing."""
    for action in overlay["actions"]:
        locations = list(find_locations(document, action["target"]))
        if not locations:
            raise OverlayError(f"{action['target']}: got no match, expected at least one")
        for parent, key in reversed(locations):
            if action.get("remove"):
                del parent[key]
            else:
                parent[key] = merge(parent[key], action["update"])


def find_locations(document: dict[str, Any], target: str) -> Iterator[tuple[Any, Any]]:
    """Yield (parent, key) of each selected value. Raises OverlayError for an unsupported target."""
    root = {"$": document}
    locations: list[tuple[Any, Any]] = [(root, "$")]
    position = 1
    while position < len(target):
        step = _STEP.match(target, position)
        if step is None or not target.startswith("$"):
            expected = "names, indexes, * and [?@.name=='text']"
            raise OverlayError(f"{target}: unsupported at {target[position:]!r} (expected {expected})")
        locations = [location for parent, key in locations for location in _select(parent[key], step)]
        position = step.end()
    yield from locations


def _select(value: Any, step: re.Match[str]) -> Iterator[tuple[Any, Any]]:
    """Yield (parent, key) of each child of a value that one step selects."""
    is_list = isinstance(value, list)
    keys: list[Any] = list(range(len(value))) if is_list else list(value) if isinstance(value, dict) else []
    if step["all"]:
        yield from ((value, key) for key in keys)
    elif step["property"]:
        for key in keys:
            if isinstance(value[key], dict) and value[key].get(step["property"]) == step["text"]:
                yield value, key
    else:
        key = int(step["index"]) if step["index"] else step["name"] or step["quoted"]
        if key in keys:
            yield value, key


def merge(value: Any, update: Any) -> Any:
    """Merge objects recursively, append lists, and replace any other value."""
    if isinstance(value, dict) and isinstance(update, Mapping):
        return {**value, **{name: merge(value[name], u) if name in value else u for name, u in update.items()}}
    return [*value, *update] if isinstance(value, list) and isinstance(update, list) else update
