"""Laws on the stamps that a server sets: created never moves, updated never goes back."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.values import (
    MAX_ROUNDING,
    is_create,
    iter_round_trip_fields,
    new_record,
    parse_instant,
    parse_instant_to_second,
    retrieve_record,
)
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.payloads import attribute_fields
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange
from spec.loader import Contract, Operation

ZONE_STEP = timedelta(minutes=15)  # what zones differ by
MAX_CLOCK_SKEW = timedelta(minutes=2)  # what two clocks of one server may differ by
MAX_ZONE_OFFSET = timedelta(hours=15)  # the farthest zone
StampPredicate = Callable[[datetime, datetime, bool], bool]  # of a stamp before and after; whether both were retrieved
STAMP_RESOLUTION = 1.1  # seconds: a stamp may be told to the second


def _updates_stamped_record(stamp: str) -> Callable[[Contract, Operation], bool]:
    """Whether an operation updates a record that carries a stamp."""

    def applies(contract: Contract, operation: Operation) -> bool:
        resource = contract.resources.get(operation.resource or "")
        return operation.action == "update" and resource is not None and bool(resource.attributes_with_stamp(stamp))

    return applies


def _check_created_constant(case: Case) -> Iterator[CheckResult]:
    """Exactly the same as soon as it is retrieved; an update comes a second after, where stamps are told so."""
    yield from _check_over_updates(
        case,
        "created",
        lambda before, after, is_exact: before == after if is_exact else abs(before - after) <= MAX_ROUNDING,
        "moved",
    )


def _check_updated_monotonic(case: Case) -> Iterator[CheckResult]:
    yield from _check_over_updates(
        case, "updated", lambda before, after, is_exact: before <= after + MAX_ROUNDING, "went back"
    )


def has_second_precision(values: Iterable[Any]) -> bool:
    """Whether no stamp has a fraction, so that one that moves within a second would not be seen to."""
    return all(re.search(r"\.0*[1-9]", str(value)) is None for value in values)


def _check_over_updates(
    case: Case, stamp: str, is_valid: Callable[[datetime, datetime, bool], bool], violation: str
) -> Iterator[CheckResult]:
    """The stamps of a record as created, as retrieved, and after two updates, to the second."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    record = new_record(case)
    snapshots: list[Mapping[str, Any]] = [record.body, retrieve_record(session, record.resource, record.key)[0]]
    if has_second_precision(snapshots[-1].get(name) for name in resource.attributes_with_stamp(stamp)):
        session.sleep(STAMP_RESOLUTION)
    field = next(attribute_fields(operation), None)
    for _ in range(2):
        body = {field.name: session.payloads.generate_value(field.schema, field.name)} if field else {}
        exchange = session.send(operation, path={operation.path_parameter_names[0]: record.key}, body=body)
        snapshots.append(retrieve_record(session, record.resource, record.key)[0])
    echoed_record = session.data(operation, exchange)
    stamp_names = (*resource.attributes_with_stamp("created"), *resource.attributes_with_stamp("updated"))
    precision = max(_find_precision(stamp_names, snapshots[1:]), _find_precision(stamp_names, [echoed_record]))
    for name in resource.attributes_with_stamp(stamp):
        requirement = case.build_requirement(resource.attributes[name].pointer, "x-stamp", name)
        instants = [
            (snapshot[name], instant)
            for snapshot in snapshots
            if (instant := parse_instant(snapshot.get(name))) is not None
        ]
        # What create answers a database may round; what is retrieved twice is told in the same way.
        violations = [
            (a, b)
            for i, ((a, before), (b, after)) in enumerate(pairwise(instants))
            if not is_valid(before, after, i > 0)
        ]
        message = (
            f"{name} {violation}: from {violations[0][0]} to {violations[0][1]}"
            if violations
            else _find_echo_problem(name, snapshots[-1], echoed_record, precision)
        )
        yield (
            case.build_result(requirement, message, exchange)
            if len(instants) > 1
            else case.skip(requirement, "it is not shown")
        )


def _find_echo_problem(name: str, stored_record: Mapping[str, Any], echoed_record: Any, precision: timedelta) -> str:
    """What the answer to an update says of a stamp that is not what is retrieved after it, or "".

    A database may round what the answer tells in full, to what stamps are `precision` to.
    """
    echoed_value, stored_value = (
        echoed_record.get(name) if isinstance(echoed_record, Mapping) else None,
        stored_record.get(name),
    )
    echoed_instant, stored_instant = parse_instant(echoed_value), parse_instant(stored_value)
    if echoed_instant is None or stored_instant is None or abs(echoed_instant - stored_instant) <= precision:
        return ""
    return f"{name} is {echoed_value} in the answer to the update, and {stored_value} as it is retrieved"


def _find_precision(names: Iterable[str], records: Iterable[Any]) -> timedelta:
    """What the last digit of the finest of some stamps stands for: zeros may be all that a database keeps."""
    stamps = [
        str(record[name]) for record in records if isinstance(record, Mapping) for name in names if name in record
    ]
    digits = max((len(match[1]) for stamp in stamps if (match := re.search(r"\.(\d*[1-9])", stamp))), default=0)
    return timedelta(seconds=10.0**-digits)


def _check_updated_advances(case: Case) -> Iterator[CheckResult]:
    """After an update it is later than before; where it is told to the second only, a second is waited for."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    record = new_record(case)
    before = retrieve_record(session, record.resource, record.key)[0]
    field = next(iter_round_trip_fields(case, resource), None)
    if field is None:
        raise SkipCheck(not_testable("the contract has no field to change that is shown"))
    for delay in (0.0, STAMP_RESOLUTION):
        if delay:
            session.sleep(delay)
        body = {field[0].name: session.payloads.generate_value(field[0].schema, field[0].name)}
        exchange = session.send(operation, path={operation.path_parameter_names[0]: record.key}, body=body)
        after = retrieve_record(session, record.resource, record.key)[0]
        unchanged = [
            name
            for name in resource.attributes_with_stamp("updated")
            if name in before and after.get(name) == before[name]
        ]
        if not unchanged or not exchange.response.ok:
            break
    for name in resource.attributes_with_stamp("updated"):
        requirement = case.build_requirement(resource.attributes[name].pointer, "x-stamp", name)
        if not exchange.response.ok:
            yield case.skip(requirement, f"{operation.id} answered {exchange.response.status}")
        else:
            message = f"{name} is {before[name]} before and after an update" if name in unchanged else ""
            yield case.build_result(requirement, message, exchange)


def _creates_stamped_record(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    return is_create(contract, operation) and resource is not None and bool(resource.attributes_with_stamp("created"))


def _check_created_now(case: Case) -> Iterator[CheckResult]:
    """The created stamp against the answer's own Date: off by whole quarters of an hour, it is in another zone.

    Any other distance says nothing: a target for tests may have a clock of its own.
    """
    resource = case.session.resource(case.operation)
    record = new_record(case)
    response_time = _parse_date_header(record.exchange)
    for name in resource.attributes_with_stamp("created"):
        requirement = case.build_requirement(resource.attributes[name].pointer, "x-stamp", name)
        stamp = parse_instant_to_second(record.body.get(name))
        if response_time is None or stamp is None:
            yield case.skip(requirement, "the answer has no Date" if response_time is None else "it is not shown")
            continue
        offset = stamp - response_time
        quarters = round(offset / ZONE_STEP)
        if abs(offset - quarters * ZONE_STEP) > MAX_CLOCK_SKEW or abs(offset) > MAX_ZONE_OFFSET:
            yield case.skip(requirement, f"the target's clock and its Date are {abs(offset)} apart")
        else:
            message = (
                f"{name} is {record.body[name]}, and the answer's Date is {record.exchange.response.headers['date']}"
            )
            yield case.build_result(
                requirement, f"{message}: a shift as between time zones" if quarters else "", record.exchange
            )


def _parse_date_header(exchange: Exchange) -> datetime | None:
    """When an answer was given, by its Date; None where it says nothing of the kind."""
    try:
        parsed = parsedate_to_datetime(exchange.response.headers.get("date", ""))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None


CHECKS = (
    Check(
        "created-timestamp-correct",
        "The creation timestamp is the time of creation in its stated time zone.",
        Category.WRITES,
        _creates_stamped_record,
        _check_created_now,
        writes=True,
    ),
    Check(
        "created-timestamp-constant",
        "The creation timestamp does not change.",
        Category.WRITES,
        _updates_stamped_record("created"),
        _check_created_constant,
        writes=True,
    ),
    Check(
        "updated-timestamp-monotonic",
        "The update timestamp does not decrease.",
        Category.WRITES,
        _updates_stamped_record("updated"),
        _check_updated_monotonic,
        writes=True,
    ),
    Check(
        "updated-timestamp-advances",
        "An update advances the update timestamp.",
        Category.WRITES,
        _updates_stamped_record("updated"),
        _check_updated_advances,
        writes=True,
    ),
)
