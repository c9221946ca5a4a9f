"""Decides whether a difference is a contradiction: two responses, or request and response, that disagree.

A contradiction is an error of the target even if the contract only infers the requirement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.values import contains, equal
from conformance.model.comparison import Mismatch, is_other_value
from conformance.model.specification import Model, iter_setters, iter_writable_attributes
from conformance.transport.messages import Exchange
from spec.model import Attribute, DerivedProperty, Operation, Resource

EMPTY_VALUES: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True)
class ObservedWrite:
    """The last write to a record.

    `body`: the record in a response after the write. `is_confirmed`: whether a read between the last two writes to the
    record returned the expected value.
    """

    operation: Operation
    exchange: Exchange
    body: Mapping[str, Any]
    is_confirmed: bool

    @property
    def sent(self) -> Mapping[str, Any]:
        """Return the JSON object of the request; empty for another body."""
        body = self.exchange.request.body
        return body if isinstance(body, Mapping) else {}


def contradicts_write(model: Model, write: ObservedWrite, mismatch: Mismatch) -> bool:
    """Whether a mismatch shows that the target contradicts the last write.

    The target stored another value than the write sent, changed a property that the write did not send, or stored a
    value for a property that the write cannot set.
    """
    if len(mismatch.path) != 1:
        return False
    name = mismatch.path[0]
    if name in write.sent and name not in write.operation.body_fields:
        return equal(write.sent[name], mismatch.actual)
    if mismatch.keyword is not None:
        return False
    fields = [n for n, relation, _ in iter_setters(mismatch.record.resource, write.operation) if relation.name == name]
    if name in mismatch.record.resource.relations:
        return _contradicts_reference(model, write, mismatch, fields)
    if name not in write.sent:
        return _is_unsent_change(write, mismatch)
    if write.sent[name] is None and mismatch.expected is None:
        return mismatch.actual not in EMPTY_VALUES and _has_null_elsewhere(model, mismatch)
    # The server adds the stored members of an object that was sent in part.
    is_sent = contains(write.sent[name], mismatch.expected)
    is_other = is_other_value(write.sent[name], mismatch.actual) or _is_other_enum_value(mismatch)
    return is_sent and (is_other or _is_truncated(model, mismatch))


def _is_other_enum_value(mismatch: Mismatch) -> bool:
    """Whether the expected and the actual value are two values of an enum, which no server normalizes."""
    attribute = mismatch.record.resource.attributes.get(mismatch.path[0])
    values = (attribute.enum_values or ()) if attribute is not None else ()
    return mismatch.expected in values and mismatch.actual in values


def _contradicts_reference(model: Model, write: ObservedWrite, mismatch: Mismatch, fields: Sequence[str]) -> bool:
    """Whether a relation differs from that of the request, or was cleared although the request did not send it.

    `fields`: body fields that set the relation.
    """
    sent = [write.sent[name] for name in fields if name in write.sent]
    if not sent:
        return bool(fields) and _is_unsent_change(write, mismatch)
    if sent[0] in EMPTY_VALUES:
        references = (record.references.get(mismatch.path[0], ...) for record in model.records.values())
        return any(reference in EMPTY_VALUES for reference in references)  # the target returns empty references
    return True


def _is_unsent_change(write: ObservedWrite, mismatch: Mismatch) -> bool:
    """Whether an update changed a property that it did not send.

    PATCH replaces only the properties in its body. PUT may replace the record and reset all omitted properties: it is
    inconsistent only if it leaves one of them unchanged. Since a server may compute one property from another, other
    changes than a reset count only for an empty update.
    """
    if write.operation.action != "update" or not write.is_confirmed:
        return False
    resource, name = mismatch.record.resource, mismatch.path[0]
    is_reset = _is_empty_or_default(resource.attributes.get(name), mismatch.actual)
    if not is_reset and write.sent:
        return False
    return write.operation.method == "patch" or not write.sent or _keeps_unsent_property(write, mismatch)


def _is_empty_or_default(attribute: Attribute | None, value: Any) -> bool:
    is_default = attribute is not None and attribute.has_default and contains(attribute.default, value)
    return value in EMPTY_VALUES or is_default


def _keeps_unsent_property(write: ObservedWrite, mismatch: Mismatch) -> bool:
    """Whether an update left another property unchanged that it did not send and that has a value."""
    record = mismatch.record
    for attribute in iter_writable_attributes(record.resource, write.operation):
        known = record.attributes.get(attribute.name)
        if attribute.name in write.sent or attribute.name == mismatch.path[0] or attribute.name not in write.body:
            continue
        if not _is_empty_or_default(attribute, known) and equal(known, write.body[attribute.name]):
            return True
    return False


def _has_null_elsewhere(model: Model, mismatch: Mismatch) -> bool:
    """Whether the target returned null for the property of another record."""
    records = (r for r in model.records.values() if r.resource is mismatch.record.resource)
    return any(r.attributes.get(mismatch.path[0], ...) is None for r in records if r is not mismatch.record)


def _is_truncated(model: Model, mismatch: Mismatch) -> bool:
    """Whether a text is truncated although another record has a longer one in the same property.

    This is the case if the target limits the number of bytes instead of characters.
    """
    expected, actual, name = mismatch.expected, mismatch.actual, mismatch.path[0]
    if not (isinstance(expected, str) and isinstance(actual, str) and actual):
        return False
    is_prefix = len(actual) < len(expected.strip()) and expected.strip().startswith(actual.strip())
    others = (r.attributes.get(name) for r in model.records.values() if r.resource is mismatch.record.resource)
    return is_prefix and any(isinstance(other, str) and len(other.strip()) >= len(expected) for other in others)


def compute_aggregate(derived: DerivedProperty, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Compute a count, sum or maximum from the rows of the related records; None if a row lacks a required property."""
    names = {*derived.where, *derived.path[1:]}
    if any(name not in row for name in names for row in rows):
        return None
    matching = [row for row in rows if all(row[name] in allowed for name, allowed in derived.where.items())]
    if derived.kind == "count":
        return len(matching)
    values = [row[derived.path[1]] for row in matching if row[derived.path[1]] is not None]
    return sum(values) if derived.kind == "sum" else max(values, default=None)


def find_derived_property(resource: Resource, path: Sequence[str]) -> DerivedProperty | None:
    """Return the computed property that the last name of a path refers to, also within a group; None if none."""
    for properties in (resource.derived_properties, *(d.parts for d in resource.derived_properties.values())):
        if path[-1] in properties:
            return properties[path[-1]]
    return None
