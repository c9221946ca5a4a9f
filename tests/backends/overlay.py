"""Applies an overlay of the OpenAPI Initiative (Overlay 1.0) to a document.

A target is a JSONPath of names, indexes, ``*`` and filters by one text: ``$.paths['/a'].get.parameters[?@.name=='b']``.
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
    """Change the document. Raises OverlayError for a target that selects nothing, since the document has changed."""
    for action in overlay["actions"]:
        places = list(find_places(document, action["target"]))
        if not places:
            raise OverlayError(f"{action['target']}: got no match, expected at least one")
        for parent, key in reversed(places):
            if action.get("remove"):
                del parent[key]
            else:
                parent[key] = merge(parent[key], action["update"])


def find_places(document: dict[str, Any], target: str) -> Iterator[tuple[Any, Any]]:
    """Yield (parent, key) of each value that a target selects. Raises OverlayError for an unsupported target."""
    root = {"$": document}
    places: list[tuple[Any, Any]] = [(root, "$")]
    position = 1
    while position < len(target):
        step = _STEP.match(target, position)
        if step is None or not target.startswith("$"):
            expected = "names, indexes, * and [?@.name=='text']"
            raise OverlayError(f"{target}: unsupported at {target[position:]!r} (expected {expected})")
        places = [place for parent, key in places for place in _select(parent[key], step)]
        position = step.end()
    yield from places


def _select(value: Any, step: re.Match[str]) -> Iterator[tuple[Any, Any]]:
    """Yield the places of a value that one step selects."""
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
