"""Laws on the stamps that a server sets: created never moves, updated never goes back."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from conformance.laws.law import Case, Law
from conformance.laws.own import ROUNDED, instant, retrieved, scratch, writable
from conformance.outcome import Outcome
from spec.contract import Contract, Operation


def _stamped(stamp: str) -> Callable[[Contract, Operation], bool]:
    """Whether an operation updates a record that carries a stamp."""

    def applies(contract: Contract, operation: Operation) -> bool:
        resource = contract.resources.get(operation.resource or "")
        return operation.action == "update" and resource is not None and bool(resource.stamped(stamp))

    return applies


def _created_stays(case: Case) -> Iterator[Outcome]:
    yield from _over_updates(case, "created", lambda was, now: abs(was - now) <= ROUNDED, "moved")


def _updated_goes_on(case: Case) -> Iterator[Outcome]:
    yield from _over_updates(case, "updated", lambda was, now: was <= now + ROUNDED, "went back")


def _over_updates(case: Case, stamp: str, holds: Callable[[datetime, datetime], bool], wrong: str) -> Iterator[Outcome]:
    """The stamps of a record before and after two updates, to the second."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    mine = scratch(case)
    seen: list[Mapping[str, Any]] = [mine.shown]
    field = next(writable(case, resource), None)
    for _ in range(2):
        body = {field[0].name: session.bodies.value(field[0].schema, field[0].name)} if field else {}
        exchange = session.send(operation, path={operation.path_parameters[0]: mine.key}, body=body)
        seen.append(retrieved(session, mine.resource, mine.key)[0])
    for name in resource.stamped(stamp):
        promise = case.promise(resource.own[name].pointer, "x-stamp", name)
        times = [(shown[name], at) for shown in seen if (at := instant(shown.get(name))) is not None]
        broken = [(a, b) for (a, was), (b, now) in pairwise(times) if not holds(was, now)]
        said = f"{name} {wrong}: from {broken[0][0]} to {broken[0][1]}" if broken else ""
        yield case.judged(promise, said, exchange) if len(times) > 1 else case.not_judged(promise, "it is not shown")


LAWS = (
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
)
