"""Checks of create, update and delete operations, and that reads change nothing."""

from collections.abc import Iterator

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.values import get_stored_attributes, has_action, retrieve_record
from conformance.checks.writes import create, delete, isolation, timestamps, update
from conformance.checks.writes.changes import describe_changes
from conformance.results import CheckResult


def _check_read_has_no_effect(case: Case) -> Iterator[CheckResult]:
    """Retrieve, list twice and retrieve: the record is unchanged, including its update timestamp."""
    session, operation = case.session, case.operation
    created = session.shared_record(operation.resource or "")
    before, _ = retrieve_record(session, created.resource, created.key)
    listing = session.operation(created.resource, "list")
    for _ in range(2):
        if listing is not None:
            session.send(listing, query=session.required_query(listing))
    after, exchange = retrieve_record(session, created.resource, created.key)
    attributes = [get_stored_attributes(session.contract, operation, record) for record in (before, after)]
    yield case.build_result(case.build_requirement(), describe_changes(*attributes), exchange)


_is_retrieve = has_action("retrieve")

CHECKS: tuple[Check, ...] = (
    Check(
        "reads-have-no-side-effects",
        "Retrieving and listing records changes nothing.",
        Category.SIDE_EFFECTS,
        _is_retrieve,
        _check_read_has_no_effect,
        provenance_independent=True,
        writes=True,
    ),
    *create.CHECKS,
    *update.CHECKS,
    *timestamps.CHECKS,
    *isolation.CHECKS,
    *delete.CHECKS,
)
