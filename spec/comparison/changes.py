"""A change of a contract: its kind, its location and its text."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

_DOCUMENTATION = ("summary", "description", "title", "tags", "deprecated", "externalDocs")


class ChangeKind(Enum):
    BREAKING = "breaking"
    COMPATIBLE = "compatible"
    DOCUMENTATION = "documentation"


class Flow(Enum):
    REQUEST = "request"
    RESPONSE = "response"


Flows = frozenset[Flow]


@dataclass(frozen=True, slots=True)
class Change:
    """A difference. `location`: an operation or component, and the way from there."""

    kind: ChangeKind
    location: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


def judge(flows: Flows, *, narrows: bool) -> ChangeKind:
    """Return the kind of a change that accepts fewer values (`narrows`) or more."""
    breaks = Flow.REQUEST if narrows else Flow.RESPONSE
    return ChangeKind.BREAKING if breaks in flows else ChangeKind.COMPATIBLE


def build_added(location: str, what: str, *, required: bool) -> Change:
    """Return the change for a new part, which breaks requests if it is required."""
    kind = ChangeKind.BREAKING if required else ChangeKind.COMPATIBLE
    return Change(kind, location, f"{'required' if required else 'optional'} {what} added")


def compare_required(old: Mapping[str, Any], new: Mapping[str, Any], location: str, flow: Flow) -> Iterator[Change]:
    """Compare the `required` of parameters, request bodies or headers."""
    required = bool(new.get("required"))
    if bool(old.get("required")) != required:
        yield build_requirement(location, frozenset({flow}), required=required)


def build_requirement(location: str, flows: Flows, *, required: bool) -> Change:
    """Return the change for a part that became required or optional."""
    return Change(judge(flows, narrows=required), location, f"now {'required' if required else 'optional'}")


def compare_texts(old: Mapping[str, Any], new: Mapping[str, Any], location: str) -> Iterator[Change]:
    """Report the keywords that only document, in one change."""
    keywords = [keyword for keyword in _DOCUMENTATION if old.get(keyword) != new.get(keyword)]
    if _list_examples(old) != _list_examples(new):
        keywords.append("examples")
    if keywords:
        yield Change(ChangeKind.DOCUMENTATION, location, f"changed: {', '.join(keywords)}")


def _list_examples(node: Mapping[str, Any]) -> Any:
    """Return the examples of a node. A schema has `example` in OpenAPI 3.0 and `examples` in 3.1."""
    return [node["example"]] if "example" in node else node.get("examples")


def describe_edit(keyword: str, old: Any, new: Any) -> str:
    """Return the text for a keyword that was added (`old` is None), removed (`new` is None) or changed."""
    if old is None:
        return f"{keyword} {format_value(new)} added"
    if new is None:
        return f"{keyword} {format_value(old)} removed"
    if isinstance(old, dict) and isinstance(new, dict):
        return f"{keyword} changed"
    return f"{keyword}: {format_value(old)} to {format_value(new)}"


def format_value(value: Any) -> str:
    """Return a JSON value as text; a schema is named."""
    return name_schema(value) if isinstance(value, dict) else json.dumps(value, ensure_ascii=False)


def name_schema(schema: Any) -> str:
    """Return the name or the type of a schema."""
    if not isinstance(schema, dict):
        return format_value(schema)
    types = schema.get("type", "a schema")
    return get_name(schema.get("$ref", "")) or (" or ".join(types) if isinstance(types, list) else types)


def get_name(reference: str) -> str:
    """Return the last part of a reference."""
    return reference.rpartition("/")[2]
