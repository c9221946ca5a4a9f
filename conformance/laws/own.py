"""What laws on writes share: a record's own values as an answer shows them, and when two values say the same."""

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.law import Case
from conformance.session import CreatedRecord, Session
from spec.contract import Attribute, BodyField, Contract, Operation, Resource

ROUNDED = timedelta(seconds=1)  # a database may round what the answer to the write cut off
TOLD = 80  # characters of a value in a message


def creates(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates a record of its resource."""
    return contract.find_created_resource(operation) is not None


def does(*actions: str) -> Any:
    """What tells whether an operation does one of these generic actions on a resource."""

    def applies(contract: Contract, operation: Operation) -> bool:
        return operation.resource in contract.resources and operation.action in actions

    return applies


def own(contract: Contract, operation: Operation, shown: Any, *, stamps: bool = True) -> dict[str, Any]:
    """The stored properties that an operation's answer shows of a record; without `stamps`: not the updated one."""
    view = contract.views.get(operation.envelope.view_name or "")
    if view is None or not isinstance(shown, Mapping):
        return {}
    resource = contract.resources[view.resource]
    skipped = set(view.derived_properties) | set(() if stamps else resource.attributes_with_stamp("updated"))
    if all((o.resource, o.action) != (resource.name, "create") for o in contract.operations.values()):
        skipped |= resource.attributes.keys() - sendable(contract, resource.name)  # the server goes on working at it
    return {
        name: shown[name]
        for name in view.property_names
        if name in resource.attributes and name in shown and name not in skipped
    }


def sendable(contract: Contract, resource: str) -> set[str]:
    """What a client may send of a resource."""
    bodies = (o.request_body for o in contract.operations.values() if o.resource == resource and o.request_body)
    return {name for body in bodies for name, field in body.fields.items() if field.x_query is None}


def retrieved(session: Session, resource: str, key: Any) -> tuple[Any, Exchange]:
    """A record as it is retrieved. Raises CannotMake when it is not."""
    operation = session.require_operation(resource, "retrieve")
    exchange = session.retrieve(resource, key)
    shown = session.data(operation, exchange)
    if not exchange.response.ok or not isinstance(shown, dict):
        raise SkipCheck(f"{operation.id} answered {exchange.response.status} for the run's own {resource}")
    return shown, exchange


def scratch(case: Case, changes: Mapping[str, Any] | None = None) -> CreatedRecord:
    """A fresh record of the resource that the case's operation is about. Raises CannotMake."""
    return case.session.create(case.operation.resource or "", changes)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The names whose values do not say the same."""
    for name in before.keys() & after.keys():
        if not same(before[name], after[name]):
            yield name


def told(name: str, before: Any, after: Any) -> str:
    """A change of one property, for people."""
    return f"{name} was {brief(before)} and is {brief(after)}"


def brief(value: Any) -> str:
    """A value, cut to what a line takes."""
    text = repr(value)
    return text if len(text) <= TOLD else f"{text[:TOLD]}... ({len(text)} characters)"


def same(one: Any, other: Any) -> bool:
    """Whether two values say the same: 1.0 is 1, order of keys and the spelling of an instant do not matter."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, str) and isinstance(other, str):
        times = instant(one), instant(other)
        near = times[0] is not None and times[1] is not None and abs(times[0] - times[1]) <= ROUNDED
        return near or _text(one) == _text(other)
    if {type(one), type(other)} == {list, dict} and not one and not other:
        return True  # PHP writes an empty object as an empty list
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def stored(sent: Any, shown: Any) -> bool:
    """Whether what was sent stands in what is shown; the server may add to objects."""
    if isinstance(sent, Mapping) and isinstance(shown, Mapping):
        return all(name in shown and stored(value, shown[name]) for name, value in sent.items())
    if isinstance(sent, list) and isinstance(shown, list):
        return len(sent) == len(shown) and all(map(stored, sent, shown))
    return same(sent, shown)


def instant(value: Any) -> datetime | None:
    """The instant, in whole seconds, that a text says; None when it says none."""
    at = exact(value)
    return None if at is None else at.replace(microsecond=0)


def exact(value: Any) -> datetime | None:
    """The same to the last digit; UTC where it names no zone."""
    if not isinstance(value, str) or len(value) < 10 or not value[:4].isdigit():
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _text(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def writable(case: Case, resource: Resource) -> Iterator[tuple[BodyField, Attribute]]:
    """The fields of the operation's body that are shown properties of the record, and come back as they were sent."""
    view = case.session.contract.views[case.operation.envelope.view_name or ""]
    for field in case.operation.request_body.fields.values() if case.operation.request_body else ():
        named = resource.attributes.get(field.name)
        if (
            field.relation_setter is not None
            or field.x_query is not None
            or named is None
            or named.write_only
            or named.stamp
        ):
            continue
        is_file = isinstance(named.faker, Mapping) and "file" in named.faker  # a server may keep its own copy
        if named.name in view.property_names and named.name not in view.derived_properties and not is_file:
            yield field, named


def weakest(case: Case, *places: tuple[str, str | None]) -> tuple[str, str | None]:
    """Of places that a promise rests on, the one least known."""
    for pointer, keyword in places:
        if case.promise(pointer, keyword).provenance == "inferred":
            return pointer, keyword
    return places[0]
