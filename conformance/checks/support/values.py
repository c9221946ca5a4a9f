"""Values of records: which attributes are compared, how texts and instants are parsed, when two values are equal."""

import math
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeGuard

from conformance.checks.support.check import Case
from conformance.errors import SkipCheck
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.document import Document
from spec.model import Attribute, BodyField, Contract, Operation, Resource

MAX_ROUNDING = timedelta(seconds=1)  # a database may round an instant that the write response truncated
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-9, 1e-6  # of fractions; single precision is less exact
SCALAR_TYPES = frozenset({str, int, float, bool, type(None)})
MAX_VALUE_CHARS = 80  # characters of a value in a message
MIN_FREE_TEXT_CHARS = 20  # a field with a smaller maxLength may not hold the unique text of a check

# Operations and records


def is_create(contract: Contract, operation: Operation) -> bool:
    """Return whether an operation creates a record of its resource."""
    return contract.find_created_resource(operation) is not None


def has_action(*actions: str) -> Any:
    """Build a predicate: whether an operation has one of these generic actions on a resource."""

    def applies(contract: Contract, operation: Operation) -> bool:
        return operation.resource in contract.resources and operation.action in actions

    return applies


def get_stored_attributes(
    contract: Contract, operation: Operation, record: Any, *, include_updated: bool = True
) -> dict[str, Any]:
    """Return the attributes of a record in an operation's response, without derived properties.

    `include_updated`: with the update timestamp. A record that cannot be created, such as a run of an agent, may still
    be changed by the server: only the attributes that a request body can set are returned.
    """
    view = contract.views.get(operation.envelope.view_name or "")
    if view is None or not isinstance(record, Mapping):
        return {}
    resource = contract.resources[view.resource]
    excluded = set(view.derived_properties) | set(() if include_updated else resource.attributes_with_stamp("updated"))
    if all((o.resource, o.action) != (resource.name, "create") for o in contract.operations.values()):
        excluded |= resource.attributes.keys() - find_sendable_names(contract, resource.name)
    names = [name for name in view.property_names if name in resource.attributes and name not in excluded]
    return {name: record[name] for name in names if name in record}


def find_sendable_names(contract: Contract, resource: str) -> set[str]:
    """Return the names of all body fields of a resource's operations."""
    bodies = (o.request_body for o in contract.operations.values() if o.resource == resource and o.request_body)
    return {name for body in bodies for name, field in body.fields.items() if field.x_query is None}


def retrieve_record(session: Session, resource: str, key: Any) -> tuple[Any, Exchange]:
    """Retrieve a record. Raises SkipCheck if the response has none."""
    operation = session.operations.require(resource, "retrieve")
    exchange = session.client.retrieve(resource, key)
    record = session.operations.data(operation, exchange)
    if not exchange.response.ok or not isinstance(record, dict):
        raise SkipCheck(f"{operation.id} returned {exchange.response.status} for a {resource} of this run")
    return record, exchange


def new_record(case: Case, changes: Mapping[str, Any] | None = None) -> CreatedRecord:
    """Create a record of the resource of the case's operation. Raises SkipCheck."""
    return case.session.records.create(case.operation.resource or "", changes)


def iter_round_trip_fields(case: Case, resource: Resource) -> Iterator[tuple[BodyField, Attribute]]:
    """Yield the body fields whose value a response returns unchanged, each with its attribute.

    It is the response of the operation, or that of the retrieve if the operation returns nothing (204).
    """
    retrieve = case.session.operations.find(resource.name, "retrieve")
    names = (case.operation.envelope.view_name, retrieve.envelope.view_name if retrieve is not None else None)
    view = next((case.session.contract.views[name] for name in names if name), None)
    if view is None:
        return
    for field in case.operation.body_fields.values():
        attribute = resource.attributes.get(field.name)
        if field.relation_setter or field.x_query or attribute is None or attribute.write_only or attribute.stamp:
            continue
        is_file = isinstance(attribute.faker, Mapping) and "file" in attribute.faker  # a server may store a copy
        if attribute.name in view.property_names and attribute.name not in view.derived_properties and not is_file:
            yield field, attribute


def accepts_any_text(session: Session, field: BodyField, attribute: Attribute) -> bool:
    """Return whether a field accepts any text: a long enough string without format, enum or pattern."""
    schema = session.payloads.resolve_schema(field.schema)
    is_text = schema.get("type") == "string" and attribute.type == "string"
    is_long_enough = int(schema.get("maxLength", MIN_FREE_TEXT_CHARS)) >= MIN_FREE_TEXT_CHARS
    return is_text and not schema.keys() & {"enum", "format", "pattern"} and is_long_enough


def select_least_certain(case: Case, *locations: tuple[str, str | None]) -> tuple[str, str | None]:
    """Return the first (pointer, keyword) with inferred provenance, or else the first."""
    for pointer, keyword in locations:
        if case.build_requirement(pointer, keyword).provenance == "inferred":
            return pointer, keyword
    return locations[0]


def dereference_schema(document: Document, pointer: str) -> tuple[Mapping[str, Any], str]:
    """Return the schema at a pointer and its own pointer, following references and `allOf`s with one member."""
    schema, resolved = document.dereference(document.resolve(pointer), pointer)
    while len(schema.get("allOf", ())) == 1:
        schema, resolved = document.dereference(schema["allOf"][0], f"{resolved}/allOf/0")
    return schema, resolved


# Messages


def iter_changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of properties in both records whose values are not `equal`."""
    return (name for name in before.keys() & after.keys() if not equal(before[name], after[name]))


def describe_change(name: str, before: Any, after: Any) -> str:
    """Describe the change of one property."""
    return f"{name} was {truncate(before)}, got {truncate(after)}"


_JSON_WORDS = {None: "null", True: "true", False: "false"}


def truncate(value: Any) -> str:
    """Format a value with at most `MAX_VALUE_CHARS` characters; null and booleans as in JSON."""
    text = _JSON_WORDS[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}... ({len(text)} characters)"


# Parsing


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; booleans are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parse_integer(value: Any) -> int | None:
    """Parse an integer that may be a string or a float without fraction."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value) if float(value) == int(float(value)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def format_query_value(value: Any) -> str:
    """Format a query value: booleans as 1 and 0, floats without fraction as integers."""
    is_integral = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if is_integral else str(value)


def get_values_at(row: Any, path: tuple[str, ...]) -> list[Any] | None:
    """Return the values at a path of a row, through lists; None if the row does not have the path."""
    if isinstance(row, list):
        parts = [get_values_at(item, path) for item in row]
        return None if None in parts else [value for part in parts if part is not None for value in part]
    if not path:
        return [row]
    if row is None:
        return []
    if not isinstance(row, dict) or path[0] not in row:
        return None
    return get_values_at(row[path[0]], path[1:])


def parse_datetime(value: Any) -> datetime | None:
    """Parse a date or date-time; None for any other value."""
    # Most texts do not start with a year: the test avoids the exception, 0.2 instead of 0.9 microseconds.
    if not isinstance(value, str) or len(value) < 10 or not value[:4].isdigit():
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def parse_zoned_datetime(value: Any) -> datetime | None:
    """Parse a date-time with a time zone; None for any other value."""
    parsed = parse_datetime(value)
    return parsed if parsed is not None and parsed.tzinfo else None


def parse_utc_date(value: Any) -> date | None:
    """Return the UTC date of a date or a date-time."""
    instant = parse_zoned_datetime(value)
    if instant is not None:
        return instant.astimezone(UTC).date()
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def parse_instant(value: Any) -> datetime | None:
    """Parse a date or date-time to UTC, assuming UTC if it has no time zone; None for any other value."""
    parsed = parse_datetime(value)
    if parsed is None:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def parse_instant_to_second(value: Any) -> datetime | None:
    """Parse an instant like `parse_instant` and truncate it to seconds."""
    parsed = parse_instant(value)
    return None if parsed is None else parsed.replace(microsecond=0)


# Comparison


def equal(left: Any, right: Any) -> bool:
    """Compare stored values: 1.0 equals 1; key order, Unicode form and the notation of an instant do not matter."""
    if type(left) is type(right) and type(left) in SCALAR_TYPES and left == right:
        return True  # most comparisons, so without the tests below
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, str) and isinstance(right, str):
        first, second = parse_instant_to_second(left), parse_instant_to_second(right)
        is_close = first is not None and second is not None and abs(first - second) <= MAX_ROUNDING
        return is_close or _normalize_text(left) == _normalize_text(right)
    if {type(left), type(right)} == {list, dict} and not left and not right:
        return True  # PHP serializes an empty object as an empty list
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _normalize_text(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def contains(expected: Any, actual: Any) -> bool:
    """Return whether a value has what was sent; the server may add properties to objects and round fractions."""
    if type(expected) is type(actual) and type(actual) in SCALAR_TYPES and expected == actual:
        return True
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return all(name in actual and contains(value, actual[name]) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(contains, expected, actual))
    if isinstance(expected, float) and isinstance(actual, (int, float)) and not isinstance(actual, bool):
        with suppress(OverflowError):  # an integer beyond all fractions
            return math.isclose(expected, actual, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
        return False
    return equal(expected, actual)


def loosely_equal(left: Any, right: Any) -> bool:
    """Compare values as a database collation may: ignores case, outer whitespace, time zones, and 1 versus 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left == right and isinstance(left, (bool, int)) and isinstance(right, (bool, int))
    if isinstance(left, str) and isinstance(right, str):
        first, second = parse_zoned_datetime(left), parse_zoned_datetime(right)
        if first is not None and second is not None:
            return first == second
        return left.strip().casefold() == right.strip().casefold()
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(loosely_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(loosely_equal, left, right))
    return bool(left == right)
