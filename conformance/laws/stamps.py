"""Laws on the stamps that a server sets: created never moves, updated never goes back."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from conformance.bodies import readable
from conformance.errors import CannotMake
from conformance.exchange import Exchange
from conformance.laws.law import Case, Law
from conformance.laws.own import ROUNDED, instant, retrieved, scratch, writable
from conformance.outcome import Outcome
from spec.contract import Contract, Operation

RESOLUTION = 1.1  # seconds: a stamp may be told to the second


def _stamped(stamp: str) -> Callable[[Contract, Operation], bool]:
    """Whether an operation updates a record that carries a stamp."""

    def applies(contract: Contract, operation: Operation) -> bool:
        resource = contract.resources.get(operation.resource or "")
        return operation.action == "update" and resource is not None and bool(resource.stamped(stamp))

    return applies


def _created_stays(case: Case) -> Iterator[Outcome]:
    yield from _over_updates(case, "created", lambda was, now: abs(was - now) <= ROUNDED, "moved")
    yield from _created_stays_later(case)


def _created_stays_later(case: Case) -> Iterator[Outcome]:
    """The same over an update a second later, as a stamp may be told to the second: as two retrieves show it."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    kept = session.recall(_later(operation))  # the law that waits for a second has asked already
    before, after, exchange = kept if kept is not None else _updated_later(case)
    for name in resource.stamped("created"):
        if name in before and name in after:
            promise = case.promise(resource.own[name].pointer, "x-stamp", f"{name} later")
            said = f"{name} moved: from {before[name]} to {after[name]}" if before[name] != after[name] else ""
            yield case.judged(promise, said, exchange)


def _later(operation: Operation) -> tuple[str, str]:
    return "an update a second later", operation.id


def _updated_later(case: Case) -> tuple[Mapping[str, Any], Mapping[str, Any], Exchange]:
    """A record before and after an update that comes a second after it was made, and the update."""
    session, operation = case.session, case.operation
    mine = scratch(case)
    before = retrieved(session, mine.resource, mine.key)[0]
    session.pause(RESOLUTION)
    field = next(readable(operation), None)
    body = {field.name: session.bodies.value(field.schema, field.name)} if field else {}
    exchange = session.send(operation, path={operation.path_parameters[0]: mine.key}, body=body)
    return before, retrieved(session, mine.resource, mine.key)[0], exchange


def _updated_goes_on(case: Case) -> Iterator[Outcome]:
    yield from _over_updates(case, "updated", lambda was, now: was <= now + ROUNDED, "went back")


def _over_updates(case: Case, stamp: str, holds: Callable[[datetime, datetime], bool], wrong: str) -> Iterator[Outcome]:
    """The stamps of a record before and after two updates, to the second."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    mine = scratch(case)
    seen: list[Mapping[str, Any]] = [mine.shown]
    field = next(readable(operation), None)
    for _ in range(2):
        body = {field.name: session.bodies.value(field.schema, field.name)} if field else {}
        exchange = session.send(operation, path={operation.path_parameters[0]: mine.key}, body=body)
        seen.append(retrieved(session, mine.resource, mine.key)[0])
    for name in resource.stamped(stamp):
        promise = case.promise(resource.own[name].pointer, "x-stamp", name)
        times = [(shown[name], at) for shown in seen if (at := instant(shown.get(name))) is not None]
        broken = [(a, b) for (a, was), (b, now) in pairwise(times) if not holds(was, now)]
        said = f"{name} {wrong}: from {broken[0][0]} to {broken[0][1]}" if broken else ""
        yield case.judged(promise, said, exchange) if len(times) > 1 else case.not_judged(promise, "it is not shown")


def _updated_moves(case: Case) -> Iterator[Outcome]:
    """After an update it is later than before; where it is told to the second only, a second is waited for."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    mine = scratch(case)
    before = retrieved(session, mine.resource, mine.key)[0]
    field = next(writable(case, resource), None)
    if field is None:
        raise CannotMake("the contract has no field to change that is shown")
    for wait in (0.0, RESOLUTION):
        if wait:
            session.pause(wait)
        body = {field[0].name: session.bodies.value(field[0].schema, field[0].name)}
        exchange = session.send(operation, path={operation.path_parameters[0]: mine.key}, body=body)
        after = retrieved(session, mine.resource, mine.key)[0]
        stuck = [name for name in resource.stamped("updated") if name in before and after.get(name) == before[name]]
        if not stuck or not exchange.response.ok:
            break
    session.remember(_later(operation), (before, after, exchange))
    for name in resource.stamped("updated"):
        promise = case.promise(resource.own[name].pointer, "x-stamp", name)
        if not exchange.response.ok:
            yield case.not_judged(promise, f"{operation.id} answered {exchange.response.status}")
        else:
            said = f"{name} is {before[name]} before and after an update" if name in stuck else ""
            yield case.judged(promise, said, exchange)


LAWS = (
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
    Law(
        "created-stamp-never-moves",
        "When a record was created does not change.",
        _stamped("created"),
        _created_stays,
        writes=True,
    ),
)
