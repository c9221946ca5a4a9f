"""Steps of a sequence: requests in terms of named records, so that a sequence can be repeated with new records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from conformance.checks.support.values import truncate


class Action(StrEnum):
    """What a step does."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RETRIEVE = "retrieve"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class RecordName:
    """A record of the sequence, such as ``Agent 1``; in a body or query it is replaced by the key."""

    resource: str
    number: int

    def __str__(self) -> str:
        return f"{self.resource} {self.number}"


@dataclass(frozen=True, slots=True)
class Step:
    """One request.

    `record`: the created, updated, deleted or retrieved record. `body`: fields of a write; a write adds the required
    ones. `query`: parameters of a read; a list is a repeated or comma-separated parameter. `parent`: the record in the
    path of a create. `operation`: operationId of an update, if the resource has several; "" for the first one.
    """

    action: Action
    resource: str
    record: RecordName | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    parent: RecordName | None = None
    operation: str = ""

    def rename(self, names: Mapping[RecordName, RecordName]) -> "Step":
        """Return the step with other names of records; names that are not in `names` are unchanged."""
        return Step(
            self.action,
            self.resource,
            names.get(self.record, self.record) if self.record else None,
            replace_names(self.body, lambda name: names.get(name, name)),
            replace_names(self.query, lambda name: names.get(name, name)),
            names.get(self.parent, self.parent) if self.parent else None,
            self.operation,
        )

    def __str__(self) -> str:
        subject = str(self.record) if self.record is not None else self.resource
        subject += f" of {self.parent}" if self.parent is not None else ""
        subject += f" by {self.operation}" if self.operation else ""
        arguments = self.body if self.has_body else self.query
        shown = ", ".join(f"{name}: {_format(value)}" for name, value in arguments.items())
        return f"{self.action} {subject} {{{shown}}}" if shown or self.has_body else f"{self.action} {subject}"

    @property
    def has_body(self) -> bool:
        """Whether the request has a body."""
        return self.action in (Action.CREATE, Action.UPDATE)


def _format(value: Any) -> str:
    if isinstance(value, RecordName):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_format, value))}]"
    return truncate(value)


def find_names(value: Any) -> list[RecordName]:
    """Return the records that a body or query refers to."""
    if isinstance(value, RecordName):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [name for item in items for name in find_names(item)]


def replace_names(value: Any, replacement: Callable[[RecordName], Any]) -> Any:
    """Replace the names of records in a body or query."""
    if isinstance(value, RecordName):
        return replacement(value)
    if isinstance(value, Mapping):
        return {name: replace_names(item, replacement) for name, item in value.items()}
    return [replace_names(item, replacement) for item in value] if isinstance(value, (list, tuple)) else value
