"""Checks of delete operations: the record is removed from every response."""

from collections.abc import Callable, Iterator

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.values import has_action, new_record
from conformance.checks.writes.changes import path_of
from conformance.checks.writes.create import find_listed_row, iter_parent_filters
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.transport.messages import Exchange


def _check_delete(case: Case) -> Iterator[CheckResult]:
    """Delete a record: retrieving it and deleting it again return 404, and the list does not contain it."""
    session, operation = case.session, case.operation
    created = new_record(case)
    exchange = session.delete(created.resource, created.key)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status if exchange else 'no response'}")
    if session.operation(created.resource, "retrieve") is not None:
        yield _evaluate_gone(case, "retrieve", lambda: session.retrieve(created.resource, created.key))
    listing = session.operation(created.resource, "list")
    if listing is not None:
        query = next(iter_parent_filters(case, listing, created), ("", {}))[1]
        message = session.wait_until(
            lambda: f"{listing.id} still lists {created.key}" if find_listed_row(case, listing, created, query) else ""
        )
        yield case.build_result(case.build_requirement(parameter="list"), message, exchange)
    yield _evaluate_gone(case, "delete", lambda: session.send(operation, path=path_of(operation, created.key)))


def _evaluate_gone(case: Case, label: str, send: Callable[[], Exchange]) -> CheckResult:
    """Whether a request for the deleted record returns 404 or 410 within the consistency timeout."""
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        exchanges.append(send())
        status = exchanges[-1].response.status
        return "" if status in (404, 410) else f"{label} after the delete: got {status}, expected 404"

    message = case.session.wait_until(find_problem)
    return case.build_result(case.build_requirement(parameter=label), message, exchanges[-1])


_is_delete = has_action("delete")

CHECKS: tuple[Check, ...] = (
    Check(
        "delete-removes-record",
        "A deleted record cannot be retrieved, listed or deleted again.",
        Category.WRITES,
        _is_delete,
        _check_delete,
        writes=True,
    ),
)
