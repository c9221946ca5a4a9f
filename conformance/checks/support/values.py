"""What laws on writes share: a record's own values as an answer shows them, and when two values say the same."""

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from conformance.checks.support.check import Case
from conformance.errors import SkipCheck
from conformance.session.session import CreatedRecord, Session
from conformance.transport.messages import Exchange
from spec.loader import Attribute, BodyField, Contract, Operation, Resource

MAX_ROUNDING = timedelta(seconds=1)  # a database may round what the answer to the write cut off
MAX_VALUE_CHARS = 80  # characters of a value in a message


def is_create(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates a record of its resource."""
    return contract.find_created_resource(operation) is not None


def has_action(*actions: str) -> Any:
    """What tells whether an operation does one of these generic actions on a resource."""

    def applies(contract: Contract, operation: Operation) -> bool:
        return operation.resource in contract.resources and operation.action in actions

    return applies


def get_stored_attributes(
    contract: Contract, operation: Operation, record: Any, *, include_updated: bool = True
) -> dict[str, Any]:
    """The stored properties that an operation's answer shows of a record; without `include_updated`: not the updated one."""
    view = contract.views.get(operation.envelope.view_name or "")
    if view is None or not isinstance(record, Mapping):
        return {}
    resource = contract.resources[view.resource]
    excluded = set(view.derived_properties) | set(() if include_updated else resource.attributes_with_stamp("updated"))
    if all((o.resource, o.action) != (resource.name, "create") for o in contract.operations.values()):
        excluded |= resource.attributes.keys() - find_sendable_names(
            contract, resource.name
        )  # the server goes on working at it
    return {
        name: record[name]
        for name in view.property_names
        if name in resource.attributes and name in record and name not in excluded
    }


def find_sendable_names(contract: Contract, resource: str) -> set[str]:
    """What a client may send of a resource."""
    bodies = (o.request_body for o in contract.operations.values() if o.resource == resource and o.request_body)
    return {name for body in bodies for name, field in body.fields.items() if field.x_query is None}


def retrieve_record(session: Session, resource: str, key: Any) -> tuple[Any, Exchange]:
    """A record as it is retrieved. Raises CannotMake when it is not."""
    operation = session.require_operation(resource, "retrieve")
    exchange = session.retrieve(resource, key)
    record = session.data(operation, exchange)
    if not exchange.response.ok or not isinstance(record, dict):
        raise SkipCheck(f"{operation.id} answered {exchange.response.status} for the run's own {resource}")
    return record, exchange


def new_record(case: Case, changes: Mapping[str, Any] | None = None) -> CreatedRecord:
    """A fresh record of the resource that the case's operation is about. Raises CannotMake."""
    return case.session.create(case.operation.resource or "", changes)


def iter_changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The names whose values do not say the same."""
    for name in before.keys() & after.keys():
        if not equal(before[name], after[name]):
            yield name


def describe_change(name: str, before: Any, after: Any) -> str:
    """A change of one property, for people."""
    return f"{name} was {truncate(before)} and is {truncate(after)}"


def truncate(value: Any) -> str:
    """A value, cut to what a line takes."""
    text = repr(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}... ({len(text)} characters)"


def equal(left: Any, right: Any) -> bool:
    """Whether two values say the same: 1.0 is 1, order of keys and the spelling of an instant do not matter."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, str) and isinstance(right, str):
        instants = parse_instant_to_second(left), parse_instant_to_second(right)
        is_close = (
            instants[0] is not None and instants[1] is not None and abs(instants[0] - instants[1]) <= MAX_ROUNDING
        )
        return is_close or _normalize_text(left) == _normalize_text(right)
    if {type(left), type(right)} == {list, dict} and not left and not right:
        return True  # PHP writes an empty object as an empty list
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def contains(expected: Any, actual: Any) -> bool:
    """Whether what was sent stands in what is shown; the server may add to objects."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return all(name in actual and contains(value, actual[name]) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(contains, expected, actual))
    return equal(expected, actual)


def parse_instant_to_second(value: Any) -> datetime | None:
    """The instant, in whole seconds, that a text says; None when it says none."""
    parsed = parse_instant(value)
    return None if parsed is None else parsed.replace(microsecond=0)


def parse_instant(value: Any) -> datetime | None:
    """The same to the last digit; UTC where it names no zone."""
    if not isinstance(value, str) or len(value) < 10 or not value[:4].isdigit():
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def _normalize_text(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def iter_round_trip_fields(case: Case, resource: Resource) -> Iterator[tuple[BodyField, Attribute]]:
    """The fields of the operation's body that are shown properties of the record, and come back as they were sent."""
    view = case.session.contract.views[case.operation.envelope.view_name or ""]
    for field in case.operation.request_body.fields.values() if case.operation.request_body else ():
        attribute = resource.attributes.get(field.name)
        if (
            field.relation_setter is not None
            or field.x_query is not None
            or attribute is None
            or attribute.write_only
            or attribute.stamp
        ):
            continue
        is_file = isinstance(attribute.faker, Mapping) and "file" in attribute.faker  # a server may keep its own copy
        if attribute.name in view.property_names and attribute.name not in view.derived_properties and not is_file:
            yield field, attribute


def select_least_certain(case: Case, *locations: tuple[str, str | None]) -> tuple[str, str | None]:
    """Of places that a promise rests on, the one least known."""
    for pointer, keyword in locations:
        if case.build_requirement(pointer, keyword).provenance == "inferred":
            return pointer, keyword
    return locations[0]
