"""Checks of server-set timestamps: creation is constant and correct, an update advances the update timestamp."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from operator import eq, lt
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.values import (
    equal,
    has_action,
    is_create,
    iter_changed_names,
    iter_round_trip_fields,
    new_record,
    parse_instant,
    parse_instant_to_second,
    retrieve_record,
    select_least_certain,
)
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.payloads import attribute_fields
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation, Relation, Resource

ZONE_STEP = timedelta(minutes=15)  # time zone offsets are multiples of this
MAX_CLOCK_SKEW = timedelta(minutes=2)  # between the clocks of one server
MAX_ZONE_OFFSET = timedelta(hours=15)
Predicate = Callable[[Contract, Operation], bool]
WITNESS_PAUSE = 1.1  # seconds between a create and an update, if timestamps have whole seconds
MAX_PARTS = 6  # parts of a record of one resource that are updated alone
CLOCK_RESOLUTION = 0.02  # seconds: some operating systems update their clock every 16 ms


def _has_stamp(is_applicable: Predicate, stamp: str) -> Predicate:
    """Build a predicate: whether an operation is applicable and its resource has such a timestamp."""
    return lambda contract, operation: (
        is_applicable(contract, operation)
        and bool(contract.resources[operation.resource or ""].attributes_with_stamp(stamp))
    )


@check(
    "created-timestamp-constant",
    "The creation timestamp does not change.",
    Category.WRITES,
    _has_stamp(has_action("update"), "created"),
    writes=True,
)
def check_created_constant(case: Case) -> Iterator[CheckResult]:
    yield from _check_over_update(case, "created", eq, "no change")


@check(
    "updated-timestamp-advances",
    "An update advances the update timestamp.",
    Category.WRITES,
    _has_stamp(has_action("update"), "updated"),
    writes=True,
)
def check_updated_advances(case: Case) -> Iterator[CheckResult]:
    yield from _check_over_update(case, "updated", lt, "a later time")


def _check_over_update(
    case: Case, stamp: str, is_valid: Callable[[datetime, datetime], bool], expected: str
) -> Iterator[CheckResult]:
    """Compare the timestamps of a record before and after an update, and those of the update response."""
    session, operation = case.session, case.operation
    resource = session.operations.resource(operation)
    field = next((field for field, _ in iter_round_trip_fields(case, resource)), None)
    if field is None:
        raise SkipCheck(not_testable("the contract defines no field that can be updated and is returned"))
    record = new_record(case)
    before = retrieve_record(session, record.resource, record.key)[0]
    names = resource.attributes_with_stamp(stamp)
    precision = max(_find_precision(before.get(name)) for name in names).total_seconds()
    session.client.sleep(max(CLOCK_RESOLUTION, 1.1 * precision))  # until a new timestamp differs from the old
    changes = {field.name: session.payloads.generate_value(field.schema, field.name)}
    body = session.records.build_update(operation, record.resource, record.key, changes)
    exchange = session.client.send(operation, path=path_of(operation, record.key), body=body)
    if not exchange.response.ok:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status}")
    returned = session.operations.data(operation, exchange)

    def find_problem(name: str) -> str:
        after = retrieve_record(session, record.resource, record.key)[0]
        first, second = parse_instant(before.get(name)), parse_instant(after.get(name))
        if first is not None and second is not None and not is_valid(first, second):
            return f"{name} was {before[name]}, after the update {after[name]}, expected {expected}"
        return _find_echo_problem(resource, name, after, returned)

    for name in names:
        requirement = case.build_requirement(resource.attributes[name].pointer, "x-stamp", name)
        if parse_instant(before.get(name)) is None:
            yield case.skip(requirement, f"the record has no {name}")
        else:  # a read may show the update later
            message = session.client.wait_until(partial(find_problem, name))
            result = case.build_result(requirement, message, exchange)
            is_contradiction = bool(message) and stamp == "updated" and _advances_elsewhere(session, resource, name)
            yield replace(result, is_contradiction=is_contradiction)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a record that an update can change alone. `shown_name`: the property that shows it."""

    field: BodyField
    relation: Relation | None = None

    @property
    def shown_name(self) -> str:
        """The relation, or else the attribute."""
        return self.relation.name if self.relation is not None else self.field.name


@check(
    "updated-timestamp-covers-parts",
    "An update that changes only one relation, object, array or boolean advances the update timestamp.",
    Category.WRITES,
    _has_stamp(has_action("update"), "updated"),
    writes=True,
)
def check_each_part_advances(case: Case) -> Iterator[CheckResult]:
    """Change one part after another; only changes that a read then shows count."""
    session, operation = case.session, case.operation
    resource = session.operations.resource(operation)
    retrieve = session.operations.require(resource.name, "retrieve")
    parts = _list_parts(case, resource)
    if not parts:
        raise SkipCheck(not_testable("the contract defines no relation, object, array or boolean that can be updated"))
    record = new_record(case)
    before, _ = retrieve_with_relations(session, retrieve, record.key)
    stamps = [name for name in resource.attributes_with_stamp("updated") if parse_instant(_get(before, name))]
    if not stamps:
        raise SkipCheck(insufficient_data("the record has no update timestamp"))
    for part in parts:
        body = session.records.build_update(operation, record.resource, record.key, {})
        values = [{part.field.name: value} for value in _iter_other_values(case, part, _get(before, part.shown_name))]
        precision = max(_find_precision(_get(before, name)) for name in stamps).total_seconds()
        session.client.sleep(max(CLOCK_RESOLUTION, 1.1 * precision) if values else 0)
        for value in values:
            exchange = session.client.send(operation, path=path_of(operation, record.key), body={**body, **value})
            if exchange.response.ok:
                session.records.log_accepted(record.resource, record.key, {**body, **value})
                break
        else:
            continue
        after: list[Any] = [None]

        def find_problem(before: Any = before, after: list[Any] = after) -> str:
            after[0], _ = retrieve_with_relations(session, retrieve, record.key)
            return next((name for name in stamps if not _is_later(_get(before, name), _get(after[0], name))), "")

        session.client.wait_until(find_problem)
        yield from _evaluate_part(case, part, stamps, before, after[0], exchange)
        before = after[0]


def _evaluate_part(
    case: Case, part: _Part, stamps: list[str], before: Any, after: Any, exchange: Exchange
) -> Iterator[CheckResult]:
    """Yield a result for each timestamp, if the update has changed the part."""
    resource = case.session.operations.resource(case.operation)
    values = [_get(before, part.shown_name), _get(after, part.shown_name)]
    if part.relation is not None:
        values = [_list_keys(case.session, part.relation, value) for value in values]
    for name in stamps:
        stamp = (resource.attributes[name].pointer, "x-stamp")
        # That a change of a relation changes the record itself is no more certain than the relation.
        location = select_least_certain(case, stamp, *([(part.field.pointer, None)] if part.relation else []))
        requirement = case.build_requirement(*location, parameter=f"{name} {part.field.name}")
        first, second = _get(before, name), _get(after, name)
        if parse_instant(second) is None or equal(*values):
            yield case.skip(requirement, insufficient_data(f"no read shows that {part.field.name} has changed"))
            continue
        changed = f"an update changed {part.shown_name} only"
        message = "" if _is_later(first, second) else f"{changed}: {name} is still {second}, expected a later time"
        yield case.build_result(requirement, message, exchange)


def _get(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else None


def _is_later(before: Any, after: Any) -> bool:
    first, second = parse_instant(before), parse_instant(after)
    return first is not None and second is not None and first < second


def _list_parts(case: Case, resource: Resource) -> list[_Part]:
    """Return the relations, then the objects and arrays, then the first boolean, of the body of an update."""
    fields = case.operation.body_fields.values()
    relations = [
        _Part(f, resource.relations[f.relation_setter.relation])
        for f in fields
        if f.relation_setter
        and f.relation_setter.relation in resource.relations
        and not f.relation_setter.discriminator
    ]
    by_type: dict[str, list[_Part]] = {}
    for field, _ in iter_round_trip_fields(case, resource):
        json_type = case.session.payloads.resolve_schema(field.schema).get("type", "object")
        by_type.setdefault(json_type, []).append(_Part(field))
    attributes = [*by_type.get("object", ()), *by_type.get("array", ()), *by_type.get("boolean", ())[:1]]
    return [*[part for part in relations if part.relation and part.relation.is_stored], *attributes][:MAX_PARTS]


def _list_keys(session: Session, relation: Relation, value: Any) -> list[str]:
    """Return the keys of the embedded records of a relation."""
    names = {session.contract.resources[target].key_attribute for target in relation.targets}
    rows = [row for row in (value if isinstance(value, list) else [value]) if isinstance(row, Mapping)]
    return sorted(str(row[name]) for row in rows for name in names if name in row)


def _iter_other_values(case: Case, part: _Part, current: Any) -> Iterator[Any]:
    """Yield values of a part that differ from the current one."""
    session, validator = case.session, case.session.schemas.get_field(part.field, "write")
    if part.relation is None:
        candidates = _iter_other_members(case, part.field, current)
        yield from (value for value in candidates if validator.is_valid(value) and not equal(value, current))
        return
    keys = _list_keys(session, part.relation, current)
    with suppress(SkipCheck):
        key = session.records.parent(part.relation)[1]
        if str(key) not in keys:
            yield [key] if part.relation.to_many else key
    if keys:
        empty_values: tuple[Any, ...] = ([], None)
        yield from (value for value in empty_values if validator.is_valid(value))


def _iter_other_members(case: Case, field: BodyField, current: Any) -> Iterator[Any]:
    """Yield an object with one other member, an array with another item, or the other boolean."""
    payloads = case.session.payloads
    schema = payloads.resolve_schema(field.schema)
    match schema.get("type", "object"):
        case "boolean":
            yield not current
        case "array":
            item = payloads.generate_value(schema.get("items", {}), field.name)
            yield from ([*(current or ()), item], [item])
        case _:
            members = dict(current) if isinstance(current, Mapping) else {}
            for name, member_schema in schema.get("properties", {}).items():
                yield {**members, name: payloads.generate_value(member_schema, name)}
            yield {**members, payloads.marker: "a value"}


def _advances_elsewhere(session: Session, excluded: Resource, name: str) -> bool:
    """Whether an update of a record of another resource advances its timestamp of the same name."""
    for resource in session.contract.resources.values():
        update = session.operations.find(resource.name, "update")
        if resource is excluded or update is None or name not in resource.attributes_with_stamp("updated"):
            continue
        with suppress(SkipCheck):
            is_advanced = _update_new_record(session, resource, update, name)
            if is_advanced is not None:
                return is_advanced
    return False


def _update_new_record(session: Session, resource: Resource, update: Operation, name: str) -> bool | None:
    """Create and update a record; return whether the timestamp advances, None if unknown. Raises SkipCheck."""
    field = next((f for f in attribute_fields(update) if f.name in resource.attributes), None)
    creator = session.contract.find_create_operation(resource.name)
    if field is None or creator is None or creator.effects or creator.path_parameter_names:
        return None
    record = session.records.create(resource.name)
    before = parse_instant(retrieve_record(session, resource.name, record.key)[0].get(name))
    session.client.sleep(WITNESS_PAUSE)
    changes = {field.name: session.payloads.generate_value(field.schema, field.name)}
    body = session.records.build_update(update, resource.name, record.key, changes)
    if before is None or not session.client.send(update, path=path_of(update, record.key), body=body).response.ok:
        return None
    after = parse_instant(retrieve_record(session, resource.name, record.key)[0].get(name))
    return after is not None and before < after


def _find_echo_problem(resource: Resource, name: str, stored: Mapping[str, Any], returned: Any) -> str:
    """Describe how a timestamp in the update response differs from the one retrieved afterwards, or return "".

    The response may have more digits than the database stores. A record that the server has changed since may differ.
    """
    value, expected = returned.get(name) if isinstance(returned, Mapping) else None, stored.get(name)
    instant, expected_instant = parse_instant(value), parse_instant(expected)
    if instant is None or expected_instant is None or _was_changed_by_server(resource, returned, stored):
        return ""
    if abs(instant - expected_instant) <= max(_find_precision(value), _find_precision(expected)):
        return ""
    return f"{name}: the update returned {value}, retrieving the record returned {expected}"


def _was_changed_by_server(resource: Resource, returned: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether a value that only the server sets, other than a timestamp, differs from the update response."""
    changed = (resource.attributes.get(name) for name in iter_changed_names(returned, stored))
    return any(attribute is not None and attribute.read_only and attribute.stamp is None for attribute in changed)


def _find_precision(value: Any) -> timedelta:
    """Return the unit of the last nonzero digit of a timestamp's fraction; one second without a fraction."""
    match = re.search(r"\.(\d*[1-9])", str(value))
    return timedelta(seconds=10.0 ** -len(match[1]) if match else 1)


@check(
    "created-timestamp-correct",
    "The creation timestamp is the time of creation in its stated time zone.",
    Category.WRITES,
    _has_stamp(is_create, "created"),
    writes=True,
)
def check_created_now(case: Case) -> Iterator[CheckResult]:
    """Compare the creation timestamp with the Date header: a multiple of 15 minutes is a time zone error.

    Other differences are no failure, because a test target may use a simulated clock.
    """
    resource = case.session.operations.resource(case.operation)
    record = new_record(case)
    date = _parse_date_header(record.exchange)
    for name in resource.attributes_with_stamp("created"):
        requirement = case.build_requirement(resource.attributes[name].pointer, "x-stamp", name)
        stamp = parse_instant_to_second(record.body.get(name))
        if date is None or stamp is None:
            yield case.skip(requirement, "the response has no Date" if date is None else f"the record has no {name}")
            continue
        offset = stamp - date
        steps = round(offset / ZONE_STEP)
        if abs(offset - steps * ZONE_STEP) > MAX_CLOCK_SKEW or abs(offset) > MAX_ZONE_OFFSET:
            yield case.skip(requirement, f"the Date header and {name} differ by {abs(offset)}")
            continue
        header = record.exchange.response.headers["date"]
        message = f"{name} is {record.body[name]}, but the Date header is {header}: wrong time zone" if steps else ""
        yield case.build_result(requirement, message, record.exchange)


def _parse_date_header(exchange: Exchange) -> datetime | None:
    """Return the time of a response from its Date header; None if it is missing or invalid."""
    try:
        parsed = parsedate_to_datetime(exchange.response.headers.get("date", ""))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None
