"""Check that all lists of an API have the same default order and default direction, which no contract states."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.listing import is_list
from conformance.errors import SkipCheck, not_testable
from conformance.model.orders import iter_orders
from conformance.model.queries import find_inversion
from conformance.results import CheckResult, Requirement
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

MIN_OTHER_LISTS = 2  # whose order is compared with that of a list
ASCENDING, DESCENDING = "ascending", "descending"
DEFAULT_ORDER, DEFAULT_DIRECTION = "order by time of creation", "direction of a sorted list"


@dataclass(frozen=True, slots=True)
class ObservedOrder:
    """The order of a list in a response. `order`: `ASCENDING` or `DESCENDING`."""

    order: str
    exchange: Exchange


Observations = Mapping[tuple[str, str], ObservedOrder]  # (operationId, subject)


def _observe_lists(case: Case) -> Observations:
    """Request each list without parameters, and sorted without a direction."""
    observations: dict[tuple[str, str], ObservedOrder] = {}
    for operation in case.session.contract.operations.values():
        if not is_list(case.session.contract, operation):
            continue
        for subject, name, query in _build_requests(case.session.contract, operation):
            with suppress(SkipCheck):
                observed = _observe(case.session, operation, name, query)
                observations |= {(operation.id, subject): observed} if observed else {}
    return observations


OBSERVED_ORDERS = Fixture("orders of all lists", FixtureScope.RUN, _observe_lists)


def _build_requests(contract: Contract, operation: Operation) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (subject, property, query) of the requests whose order the contract does not state."""
    stamps = contract.resources[operation.resource or ""].attributes_with_stamp("created")
    if stamps:
        yield DEFAULT_ORDER, stamps[0], {}
    orders = list(iter_orders(operation))
    has_choice = any(order.direction is not None for order in orders)
    undirected = [order for order in orders if order.direction is None and order.is_descending is None]
    if has_choice and undirected:
        yield DEFAULT_DIRECTION, undirected[0].name, undirected[0].query


def _observe(session: Session, operation: Operation, name: str, query: Mapping[str, Any]) -> ObservedOrder | None:
    """Return the order of the first page by a property; None if it is neither or both. Raises SkipCheck."""
    exchange = session.client.send(operation, query={**session.records.required_query(operation), **query})
    rows = session.operations.data(operation, exchange)
    values = [row.get(name) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    is_ascending, is_descending = (find_inversion(values, descending=flag) is None for flag in (False, True))
    if is_ascending == is_descending or not exchange.response.ok:
        return None
    return ObservedOrder(ASCENDING if is_ascending else DESCENDING, exchange)


@check(
    "lists-agree-on-defaults",
    "A list has the default order and the default direction that all other lists of the API have.",
    Category.LISTS,
    is_list,
    affected_by_other_clients=True,
)
def check_defaults(case: Case) -> Iterator[CheckResult]:
    """Compare the order of the list with that of the other lists; skipped unless these agree."""
    observations = case.use(OBSERVED_ORDERS)
    for subject in (DEFAULT_ORDER, DEFAULT_DIRECTION):
        own = observations.get((case.operation.id, subject))
        other_orders = {
            name: observed.order
            for (name, other_subject), observed in observations.items()
            if other_subject == subject and name != case.operation.id
        }
        if own is None or len(other_orders) < MIN_OTHER_LISTS or len(set(other_orders.values())) > 1:
            yield case.skip(_build_requirement(case, subject), not_testable("the other lists have no common order"))
            continue
        expected = next(iter(other_orders.values()))
        message = (
            f"got {own.order}, expected {expected} as in {len(other_orders)} other lists such as {min(other_orders)}"
        )
        yield case.build_result(
            _build_requirement(case, subject), message if own.order != expected else "", own.exchange
        )


def _build_requirement(case: Case, subject: str) -> Requirement:
    """Build the requirement on a default; always inferred, since no part of a contract states it."""
    return replace(case.build_requirement(parameter=subject), provenance="inferred")
