"""Decides whether a difference is a contradiction: the target showed both sides, whatever the contract means."""

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
    """The last write to a record, and the record in a response after it.

    `is_confirmed`: a read between the last two writes to the record showed the expected value.
    """

    operation: Operation
    exchange: Exchange
    body: Mapping[str, Any]
    is_confirmed: bool

    @property
    def sent(self) -> Mapping[str, Any]:
        """The body of the request."""
        body = self.exchange.request.body
        return body if isinstance(body, Mapping) else {}


def contradicts_write(model: Model, write: ObservedWrite, mismatch: Mismatch) -> bool:
    """Whether the write stored another value than it sent, or changed a property that it did not send.

    So does a value that the write sent for a property which it cannot set, and that is stored.
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
    is_sent = equal(write.sent[name], mismatch.expected)
    return is_sent and (is_other_value(mismatch.expected, mismatch.actual) or _is_cut_by_bytes(model, mismatch))


def _contradicts_reference(model: Model, write: ObservedWrite, mismatch: Mismatch, fields: Sequence[str]) -> bool:
    """Whether a relation is another one than the request set, or was cleared by a request without it."""
    sent = [write.sent[name] for name in fields if name in write.sent]
    if not sent:
        return bool(fields) and _is_unsent_change(write, mismatch)
    if sent[0] in EMPTY_VALUES:
        references = (record.references.get(mismatch.path[0], ...) for record in model.records.values())
        return any(reference in EMPTY_VALUES for reference in references)  # the target shows that it can be empty
    return True


def _is_unsent_change(write: ObservedWrite, mismatch: Mismatch) -> bool:
    """Whether an update changed a property that it did not send: PATCH replaces only what it sends.

    PUT may replace the record, so that all omitted properties are reset: it contradicts itself if one of them is kept.
    A server may derive one property from another: only resets count, or any change by an empty update.
    """
    if write.operation.action != "update" or not write.is_confirmed:
        return False
    resource, name = mismatch.record.resource, mismatch.path[0]
    is_reset = _is_empty_or_default(resource.attributes.get(name), mismatch.actual)
    if not is_reset and write.sent:
        return False
    return write.operation.method == "patch" or not write.sent or _keeps_other(write, mismatch)


def _is_empty_or_default(attribute: Attribute | None, value: Any) -> bool:
    is_default = attribute is not None and attribute.has_default and contains(attribute.default, value)
    return value in EMPTY_VALUES or is_default


def _keeps_other(write: ObservedWrite, mismatch: Mismatch) -> bool:
    """Whether an update kept another property that it did not send and that is not empty."""
    record = mismatch.record
    for attribute in iter_writable_attributes(record.resource, write.operation):
        known = record.attributes.get(attribute.name)
        if attribute.name in write.sent or attribute.name == mismatch.path[0] or attribute.name not in write.body:
            continue
        if not _is_empty_or_default(attribute, known) and equal(known, write.body[attribute.name]):
            return True
    return False


def _has_null_elsewhere(model: Model, mismatch: Mismatch) -> bool:
    """Whether the property is null in another record, as a response showed it."""
    records = (r for r in model.records.values() if r.resource is mismatch.record.resource)
    return any(r.attributes.get(mismatch.path[0], ...) is None for r in records if r is not mismatch.record)


def _is_cut_by_bytes(model: Model, mismatch: Mismatch) -> bool:
    """Whether a text is cut although a longer one is stored in the same property of another record."""
    expected, actual, name = mismatch.expected, mismatch.actual, mismatch.path[0]
    if not (isinstance(expected, str) and isinstance(actual, str) and actual):
        return False
    is_cut = len(actual) < len(expected.strip()) and expected.strip().startswith(actual.strip())
    others = (r.attributes.get(name) for r in model.records.values() if r.resource is mismatch.record.resource)
    return is_cut and any(isinstance(other, str) and len(other.strip()) >= len(expected) for other in others)


def evaluate_rows(derived: DerivedProperty, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Compute a count, sum or maximum from the rows of the related records; None if a row lacks a property."""
    names = {*derived.where, *derived.path[1:]}
    if any(name not in row for name in names for row in rows):
        return None
    matching = [row for row in rows if all(row[name] in allowed for name, allowed in derived.where.items())]
    if derived.kind == "count":
        return len(matching)
    values = [row[derived.path[1]] for row in matching if row[derived.path[1]] is not None]
    return sum(values) if derived.kind == "sum" else max(values, default=None)


def find_derived(resource: Resource, path: Sequence[str]) -> DerivedProperty | None:
    """Return the computed property at the end of a path; a group has parts."""
    for properties in (resource.derived_properties, *(d.parts for d in resource.derived_properties.values())):
        if path[-1] in properties:
            return properties[path[-1]]
    return None
