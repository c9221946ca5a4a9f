"""Checks of server-set timestamps: creation is constant, update never decreases."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import (
    MAX_ROUNDING,
    equal,
    is_create,
    iter_round_trip_fields,
    new_record,
    parse_instant,
    parse_instant_to_second,
    retrieve_record,
)
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.payloads import attribute_fields
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation, Resource

ZONE_STEP = timedelta(minutes=15)  # time zone offsets are multiples of this
MAX_CLOCK_SKEW = timedelta(minutes=2)  # between the clocks of one server
MAX_ZONE_OFFSET = timedelta(hours=15)
StampPredicate = Callable[[datetime, datetime, bool], bool]  # before, after, whether both were retrieved
STAMP_RESOLUTION = 1.1  # seconds: the server may truncate timestamps to seconds


def _updates_stamped_record(stamp: str) -> Callable[[Contract, Operation], bool]:
    """Build a predicate: whether an operation updates a record with such a timestamp."""

    def applies(contract: Contract, operation: Operation) -> bool:
        resource = contract.resources.get(operation.resource or "")
        return operation.action == "update" and resource is not None and bool(resource.attributes_with_stamp(stamp))

    return applies


@check(
    "created-timestamp-constant",
    "The creation timestamp does not change.",
    Category.WRITES,
    _updates_stamped_record("created"),
    writes=True,
)
def check_created_constant(case: Case) -> Iterator[CheckResult]:
    """Retrieved values must be identical; the create response may be rounded."""
    yield from _check_over_updates(
        case,
        "created",
        lambda before, after, is_exact: before == after if is_exact else abs(before - after) <= MAX_ROUNDING,
        "changed",
    )


@check(
    "updated-timestamp-monotonic",
    "The update timestamp does not decrease.",
    Category.WRITES,
    _updates_stamped_record("updated"),
    writes=True,
)
def check_updated_monotonic(case: Case) -> Iterator[CheckResult]:
    yield from _check_over_updates(
        case, "updated", lambda before, after, is_exact: before <= after + MAX_ROUNDING, "decreased"
    )


def has_second_precision(values: Iterable[Any]) -> bool:
    """Whether no timestamp has a fraction, so that a change within one second is invisible."""
    return all(re.search(r"\.0*[1-9]", str(value)) is None for value in values)


def _send_update(case: Case, key: Any, field: BodyField | None) -> Exchange:
    """Update a field to a generated value; send an empty body without a field."""
    body = {field.name: case.session.payloads.generate_value(field.schema, field.name)} if field else {}
    return case.session.client.send(case.operation, path=path_of(case.operation, key), body=body)


def _check_over_updates(case: Case, stamp: str, is_valid: StampPredicate, violation: str) -> Iterator[CheckResult]:
    """Compare the timestamps of a record as created, as retrieved, and after two updates."""
    session, operation = case.session, case.operation
    resource = session.operations.resource(operation)
    names = resource.attributes_with_stamp(stamp)
    record = new_record(case)
    snapshots: list[Mapping[str, Any]] = [record.body, retrieve_record(session, record.resource, record.key)[0]]
    if has_second_precision(snapshots[-1].get(name) for name in names):
        session.client.sleep(STAMP_RESOLUTION)
    field = next(attribute_fields(operation), None)
    for _ in range(2):
        exchange = _send_update(case, record.key, field)
        snapshots.append(retrieve_record(session, record.resource, record.key)[0])
    returned = session.operations.data(operation, exchange)
    stamp_names = (*resource.attributes_with_stamp("created"), *resource.attributes_with_stamp("updated"))
    precision = max(_find_precision(stamp_names, snapshots[1:]), _find_precision(stamp_names, [returned]))

    def find_echo_problem() -> str:
        problems = (_find_echo_problem(resource, n, snapshots[-1], returned, precision) for n in names)
        return next(filter(None, problems), "")

    def read_again() -> str:
        snapshots[-1] = retrieve_record(session, record.resource, record.key)[0]
        return find_echo_problem()

    if find_echo_problem():  # a read may show the update later
        session.client.wait_until(read_again)
    for name in names:
        requirement = case.build_requirement(resource.attributes[name].pointer, "x-stamp", name)
        parsed = [(snapshot[name], parse_instant(snapshot[name])) for snapshot in snapshots if name in snapshot]
        instants = [(value, instant) for value, instant in parsed if instant is not None]
        if len(instants) < 2:
            yield case.skip(requirement, f"the record has no {name}")
            continue
        # The create response may be rounded; retrieved values all have the same precision.
        violations = [
            f"{name} {violation} from {value} to {next_value}"
            for i, ((value, before), (next_value, after)) in enumerate(pairwise(instants))
            if not is_valid(before, after, i > 0)
        ]
        message = (
            violations[0] if violations else _find_echo_problem(resource, name, snapshots[-1], returned, precision)
        )
        yield case.build_result(requirement, message, exchange)


def _was_changed_by_server(resource: Resource, returned: Any, stored: Mapping[str, Any]) -> bool:
    """Whether a value that only the server sets, other than a timestamp, differs from the update response."""
    names = [n for n, attribute in resource.attributes.items() if attribute.read_only and attribute.stamp is None]
    return isinstance(returned, Mapping) and any(
        n in returned and n in stored and not equal(returned[n], stored[n]) for n in names
    )


def _find_echo_problem(
    resource: Resource, name: str, stored: Mapping[str, Any], returned: Any, precision: timedelta
) -> str:
    """Describe how a timestamp in the update response differs from the one retrieved afterwards, or return "".

    The response may have more digits than the database stores: differences up to `precision` are allowed.
    """
    value, expected = returned.get(name) if isinstance(returned, Mapping) else None, stored.get(name)
    instant, expected_instant = parse_instant(value), parse_instant(expected)
    if instant is None or expected_instant is None or abs(instant - expected_instant) <= precision:
        return ""
    if _was_changed_by_server(resource, returned, stored):
        return ""
    return f"{name}: the update returned {value}, retrieving the record returned {expected}"


def _find_precision(names: tuple[str, ...], records: Iterable[Any]) -> timedelta:
    """Return the unit of the last nonzero digit of the most precise timestamp."""
    stamps = [str(record[n]) for record in records if isinstance(record, Mapping) for n in names if n in record]
    digits = max((len(match[1]) for stamp in stamps if (match := re.search(r"\.(\d*[1-9])", stamp))), default=0)
    return timedelta(seconds=10.0**-digits)


@check(
    "updated-timestamp-advances",
    "An update advances the update timestamp.",
    Category.WRITES,
    _updates_stamped_record("updated"),
    writes=True,
)
def check_updated_advances(case: Case) -> Iterator[CheckResult]:
    """An update increases the timestamp; if it is unchanged, update again after more than a second."""
    session, operation = case.session, case.operation
    resource = session.operations.resource(operation)
    names = resource.attributes_with_stamp("updated")
    record = new_record(case)
    before = retrieve_record(session, record.resource, record.key)[0]
    field = next((field for field, _ in iter_round_trip_fields(case, resource)), None)
    if field is None:
        raise SkipCheck(not_testable("the contract defines no field that can be updated and is returned"))
    for delay in (0.0, STAMP_RESOLUTION):
        if delay:
            session.client.sleep(delay)
        exchange = _send_update(case, record.key, field)
        after = retrieve_record(session, record.resource, record.key)[0]
        unchanged = [name for name in names if name in before and after.get(name) == before[name]]
        if not unchanged or not exchange.response.ok:
            break
    for name in names:
        requirement = case.build_requirement(resource.attributes[name].pointer, "x-stamp", name)
        if not exchange.response.ok:
            yield case.skip(requirement, f"{operation.id} returned {exchange.response.status}")
        else:
            message = f"{name} is {before[name]} before and after the update" if name in unchanged else ""
            yield case.build_result(requirement, message, exchange)


def _creates_stamped_record(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    return is_create(contract, operation) and resource is not None and bool(resource.attributes_with_stamp("created"))


@check(
    "created-timestamp-correct",
    "The creation timestamp is the time of creation in its stated time zone.",
    Category.WRITES,
    _creates_stamped_record,
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
