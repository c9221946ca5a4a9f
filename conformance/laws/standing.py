"""The law on where own records stand in a list that is sorted by when they were changed."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.laws.law import Case, Law
from conformance.laws.lists import Answer, Finding, Listing, Row, found, is_list
from conformance.laws.own import exact, scratch, writable
from conformance.laws.stamps import RESOLUTION, told_to_the_second
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord
from spec.contract import Contract, Operation

MOMENT = 0.05  # seconds, between stamps that have fractions


def _by_change(contract: Contract, operation: Operation) -> bool:
    """Whether a list can be sorted, both ways, by when its records were last changed."""
    if not is_list(contract, operation):
        return False
    stamps = contract.resources[operation.resource or ""].attributes_with_stamp("updated")
    roles = {p.x_query.role: p for p in operation.query_parameters if p.x_query}
    sort = roles.get("sort")
    return sort is not None and "direction" in roles and any(name in sort.schema.get("enum", ()) for name in stamps)


def _changed_is_last(case: Case) -> Iterator[CheckResult]:
    """The older of two own records is changed: then it stands behind the other, and before it descending."""
    session, listing = case.session, Listing(case.session, case.operation)
    update = session.require_operation(listing.resource.name, "update")
    sort, direction = listing.needed("sort"), listing.needed("direction")
    field = next(iter(writable(Case(case.law, session, update), listing.resource)), None)
    if field is None:
        raise SkipCheck(not_testable("the contract has no field to change that is shown"))
    made = []
    for _ in range(2):
        made.append(scratch(case))
        stamps = [made[-1].shown.get(name) for name in listing.resource.attributes_with_stamp("updated")]
        session.sleep(RESOLUTION if told_to_the_second(stamps) else MOMENT)
    body = {field[0].name: session.payloads.generate_value(field[0].schema, field[0].name)}
    exchange = session.send(update, path={update.path_parameter_names[0]: made[0].key}, body=body)
    if not exchange.response.ok:
        raise SkipCheck(f"{update.id} answered {exchange.response.status}")
    for name in listing.resource.attributes_with_stamp("updated"):
        if name not in sort.schema.get("enum", ()):
            continue

        def find(name: str = name) -> Finding:
            shown: list[Answer] = []

            def look() -> str:
                # Newest first, so that the run's own stand on the first page however long the list is.
                shown[:] = [listing.ask(*listing.largest(), (sort.name, name), (direction.name, "desc"))]
                rows = {key: row for row, key in zip(shown[0].rows, listing.keys(shown[0].rows), strict=True)}
                return _misplaced(made, rows, name)

            said = session.wait_until(look)
            return said, (exchange, shown[0].exchange)

        yield found(case, case.promise(f"{sort.pointer}/schema", "enum", f"{sort.name}={name}"), find)


def _misplaced(made: list[CreatedRecord], rows: Mapping[Any, Row], name: str) -> str:
    """What is wrong with the places of records of which the first was changed last, or ""."""
    keys = list(rows)
    first, second = (exact(rows.get(mine.key, {}).get(name)) for mine in made)
    if first is not None and second is not None and second > first:  # it has gone on by itself meanwhile
        raise SkipCheck(f"the run's records of {made[0].resource} change by themselves")
    places = [keys.index(mine.key) if mine.key in keys else len(keys) for mine in made]
    if min(places) == len(keys):  # a seed may have stamps in the future
        raise SkipCheck(f"none of the run's records is among the first by {name}, descending")
    if places[0] > min(places[1:]):
        return f"{made[0].key}, which was changed last, stands behind {made[1].key} by {name}, descending"
    return ""


LAWS: tuple[Law, ...] = (
    Law(
        "changed-last-stands-last",
        "Sorted by when it was last changed, a record moves behind those that were changed before it.",
        _by_change,
        _changed_is_last,
        writes=True,
    ),
)
