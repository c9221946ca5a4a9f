"""Check at the end of a run that the records which it created and did not delete still exist."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import has_action
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.session.write_log import RecordKey
from conformance.transport.messages import GONE_STATUSES, Exchange
from spec.model import Contract, Operation

MAX_PAGES = 5  # of a list that is searched for the records
MAX_RETRIEVED = 20  # records that the list does not contain


def _applies(contract: Contract, operation: Operation) -> bool:
    is_retrieve: bool = has_action("retrieve")(contract, operation)
    return is_retrieve and contract.find_create_operation(operation.resource or "") is not None


@check(
    "created-records-remain",
    "A record exists until it, or a record that it refers to, is deleted.",
    Category.SIDE_EFFECTS,
    _applies,
    writes=True,
    reads_all_responses=True,
)
def check_remaining_records(case: Case) -> Iterator[CheckResult]:
    """List the records of the run, and retrieve those that the list does not contain."""
    records = case.session.write_log.list_undeleted(case.operation.resource or "")
    if not records:
        raise SkipCheck(insufficient_data("the run created no record that it has not deleted"))
    listed = _list_keys(case)
    unlisted = [record for record in records if str(record.key) not in listed][:MAX_RETRIEVED]
    gone = [(record, exchange) for record, exchange in _retrieve(case, unlisted) if _is_gone(exchange)]
    if not gone:
        yield case.build_result(case.build_requirement(), "")
        return
    record, exchange = gone[0]
    count = f"{len(gone)} of {len(records)} records that the run created and did not delete are gone"
    message = f"retrieve of {record.resource} {record.key}: got {exchange.response.status}, expected 2xx ({count})"
    yield replace(case.build_result(case.build_requirement(), message, exchange), is_contradiction=True)


def _list_keys(case: Case) -> set[str]:
    """Return the keys on the first pages of the list; empty if there is none."""
    session, resource = case.session, case.session.operations.resource(case.operation)
    listing = session.operations.find(resource.name, "list")
    keys: set[str] = set()
    with suppress(SkipCheck):
        for row in session.records.rows(listing, {}, pages=MAX_PAGES) if listing is not None else ():
            keys.add(str(row.get(resource.key_attribute)))
    return keys


def _retrieve(case: Case, records: list[RecordKey]) -> Iterator[tuple[RecordKey, Exchange]]:
    for record in records:
        yield record, case.session.client.retrieve(record.resource, record.key)


def _is_gone(exchange: Exchange) -> bool:
    return exchange.response.status in GONE_STATUSES
