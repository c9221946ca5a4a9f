"""Laws on the stamps that a server sets: created never moves, updated never goes back."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

from conformance.bodies import attribute_fields
from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.law import Case, Law
from conformance.laws.own import ROUNDED, creates, exact, instant, retrieved, scratch, writable
from conformance.outcome import CheckResult
from spec.contract import Contract, Operation

QUARTER = timedelta(minutes=15)  # what zones differ by
APART = timedelta(minutes=2)  # what two clocks of one server may differ by
FARTHEST = timedelta(hours=15)  # the farthest zone
Holds = Callable[[datetime, datetime, bool], bool]  # of a stamp before and after; whether both were retrieved
RESOLUTION = 1.1  # seconds: a stamp may be told to the second


def _stamped(stamp: str) -> Callable[[Contract, Operation], bool]:
    """Whether an operation updates a record that carries a stamp."""

    def applies(contract: Contract, operation: Operation) -> bool:
        resource = contract.resources.get(operation.resource or "")
        return operation.action == "update" and resource is not None and bool(resource.attributes_with_stamp(stamp))

    return applies


def _created_stays(case: Case) -> Iterator[CheckResult]:
    """Exactly the same as soon as it is retrieved; an update comes a second after, where stamps are told so."""
    yield from _over_updates(
        case, "created", lambda was, now, exact: was == now if exact else abs(was - now) <= ROUNDED, "moved"
    )


def _updated_goes_on(case: Case) -> Iterator[CheckResult]:
    yield from _over_updates(case, "updated", lambda was, now, exact: was <= now + ROUNDED, "went back")


def told_to_the_second(shown: Iterable[Any]) -> bool:
    """Whether no stamp has a fraction, so that one that moves within a second would not be seen to."""
    return all(re.search(r"\.0*[1-9]", str(value)) is None for value in shown)


def _over_updates(
    case: Case, stamp: str, holds: Callable[[datetime, datetime, bool], bool], wrong: str
) -> Iterator[CheckResult]:
    """The stamps of a record as created, as retrieved, and after two updates, to the second."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    mine = scratch(case)
    seen: list[Mapping[str, Any]] = [mine.body, retrieved(session, mine.resource, mine.key)[0]]
    if told_to_the_second(seen[-1].get(name) for name in resource.attributes_with_stamp(stamp)):
        session.sleep(RESOLUTION)
    field = next(attribute_fields(operation), None)
    for _ in range(2):
        body = {field.name: session.payloads.generate_value(field.schema, field.name)} if field else {}
        exchange = session.send(operation, path={operation.path_parameter_names[0]: mine.key}, body=body)
        seen.append(retrieved(session, mine.resource, mine.key)[0])
    echoed = session.data(operation, exchange)
    stamps = (*resource.attributes_with_stamp("created"), *resource.attributes_with_stamp("updated"))
    told = max(_told_to(stamps, seen[1:]), _told_to(stamps, [echoed]))
    for name in resource.attributes_with_stamp(stamp):
        promise = case.promise(resource.attributes[name].pointer, "x-stamp", name)
        times = [(shown[name], at) for shown in seen if (at := exact(shown.get(name))) is not None]
        # What create answers a database may round; what is retrieved twice is told in the same way.
        broken = [(a, b) for i, ((a, was), (b, now)) in enumerate(pairwise(times)) if not holds(was, now, i > 0)]
        said = (
            f"{name} {wrong}: from {broken[0][0]} to {broken[0][1]}" if broken else _echo(name, seen[-1], echoed, told)
        )
        yield case.judged(promise, said, exchange) if len(times) > 1 else case.not_judged(promise, "it is not shown")


def _echo(name: str, stored: Mapping[str, Any], echoed: Any, told: timedelta) -> str:
    """What the answer to an update says of a stamp that is not what is retrieved after it, or "".

    A database may round what the answer tells in full, to what stamps are `told` to.
    """
    said, kept = echoed.get(name) if isinstance(echoed, Mapping) else None, stored.get(name)
    one, other = exact(said), exact(kept)
    if one is None or other is None or abs(one - other) <= told:
        return ""
    return f"{name} is {said} in the answer to the update, and {kept} as it is retrieved"


def _told_to(names: Iterable[str], shown: Iterable[Any]) -> timedelta:
    """What the last digit of the finest of some stamps stands for: zeros may be all that a database keeps."""
    stamps = [str(record[name]) for record in shown if isinstance(record, Mapping) for name in names if name in record]
    digits = max((len(found[1]) for stamp in stamps if (found := re.search(r"\.(\d*[1-9])", stamp))), default=0)
    return timedelta(seconds=10.0**-digits)


def _updated_moves(case: Case) -> Iterator[CheckResult]:
    """After an update it is later than before; where it is told to the second only, a second is waited for."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    mine = scratch(case)
    before = retrieved(session, mine.resource, mine.key)[0]
    field = next(writable(case, resource), None)
    if field is None:
        raise SkipCheck(not_testable("the contract has no field to change that is shown"))
    for wait in (0.0, RESOLUTION):
        if wait:
            session.sleep(wait)
        body = {field[0].name: session.payloads.generate_value(field[0].schema, field[0].name)}
        exchange = session.send(operation, path={operation.path_parameter_names[0]: mine.key}, body=body)
        after = retrieved(session, mine.resource, mine.key)[0]
        stuck = [
            name
            for name in resource.attributes_with_stamp("updated")
            if name in before and after.get(name) == before[name]
        ]
        if not stuck or not exchange.response.ok:
            break
    for name in resource.attributes_with_stamp("updated"):
        promise = case.promise(resource.attributes[name].pointer, "x-stamp", name)
        if not exchange.response.ok:
            yield case.not_judged(promise, f"{operation.id} answered {exchange.response.status}")
        else:
            said = f"{name} is {before[name]} before and after an update" if name in stuck else ""
            yield case.judged(promise, said, exchange)


def _created(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    return creates(contract, operation) and resource is not None and bool(resource.attributes_with_stamp("created"))


def _created_now(case: Case) -> Iterator[CheckResult]:
    """The created stamp against the answer's own Date: off by whole quarters of an hour, it is in another zone.

    Any other distance says nothing: a target for tests may have a clock of its own.
    """
    resource = case.session.resource(case.operation)
    mine = scratch(case)
    said_at = _date(mine.exchange)
    for name in resource.attributes_with_stamp("created"):
        promise = case.promise(resource.attributes[name].pointer, "x-stamp", name)
        stamp = instant(mine.body.get(name))
        if said_at is None or stamp is None:
            yield case.not_judged(promise, "the answer has no Date" if said_at is None else "it is not shown")
            continue
        off = stamp - said_at
        quarters = round(off / QUARTER)
        if abs(off - quarters * QUARTER) > APART or abs(off) > FARTHEST:
            yield case.not_judged(promise, f"the target's clock and its Date are {abs(off)} apart")
        else:
            told = f"{name} is {mine.body[name]}, and the answer's Date is {mine.exchange.response.headers['date']}"
            yield case.judged(promise, f"{told}: a shift as between time zones" if quarters else "", mine.exchange)


def _date(exchange: Exchange) -> datetime | None:
    """When an answer was given, by its Date; None where it says nothing of the kind."""
    try:
        at = parsedate_to_datetime(exchange.response.headers.get("date", ""))
    except ValueError:
        return None
    return at if at.tzinfo else None


LAWS = (
    Law(
        "created-stamp-is-now",
        "A record says that it was created when it was, in the zone that it names.",
        _created,
        _created_now,
        writes=True,
    ),
    Law(
        "created-stamp-never-moves",
        "When a record was created does not change.",
        _stamped("created"),
        _created_stays,
        writes=True,
    ),
    Law(
        "updated-stamp-never-goes-back",
        "When a record was last changed does not go back.",
        _stamped("updated"),
        _updated_goes_on,
        writes=True,
    ),
    Law(
        "updated-stamp-moves",
        "When a record was last changed moves with a change.",
        _stamped("updated"),
        _updated_moves,
        writes=True,
    ),
)
