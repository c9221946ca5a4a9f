"""Check that a member of a tenant reads what another member has written, also if it has read the record before."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.access.members import build_changes
from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.members import require_member
from conformance.checks.support.values import equal, truncate
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import GONE_STATUSES, Actor, Exchange
from spec.model import Contract, Operation


def _applies(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not resource.tenant_path or operation.action not in ("update", "delete"):
        return False
    return not operation.effects and contract.find_operation(resource.name, "retrieve") is not None


@check(
    "member-reads-are-not-stale",
    "After a member of a tenant updates or deletes a record, another member who has read it before gets the new state, "
    "not a cached one.",
    Category.TENANCY,
    _applies,
    writes=True,
    needs_member_token=True,
    compares_responses=True,
)
def check_reads(case: Case) -> Iterator[CheckResult]:
    """Read a record and the list with the token of the member before and after a write with the token of the run."""
    require_allowed(case)
    require_member(case.session)
    record = case.session.records.create(case.operation.resource or "")
    body = build_changes(case, record) if case.operation.action == "update" else None
    if not _retrieve(case, record, Actor.MEMBER).response.ok:
        raise SkipCheck(f"the member cannot retrieve the {record.resource}")
    has_list = case.session.operations.find(record.resource, "list") is not None
    missing = case.session.client.wait_until(lambda: _describe_missing_row(case, record)) if has_list else ""
    exchange = case.session.client.send(case.operation, path=path_of(case.operation, record.key), body=body)
    if not exchange.response.ok:
        raise SkipCheck(f"{case.operation.id} returned {exchange.response.status}: {exchange.response.excerpt}")
    expected = _read_record(case, _retrieve(case, record, Actor.OWNER))
    reads: list[Exchange] = []

    def find_problem() -> str:
        reads.append(_retrieve(case, record, Actor.MEMBER))
        return _describe_difference(case, "retrieve", (expected, _read_record(case, reads[-1])), body or {})

    message = case.session.client.wait_until(find_problem)
    requirement = case.build_requirement(parameter="retrieve")
    yield case.build_result(requirement, message, exchange, reads[-1])
    if not has_list:
        return

    def find_list_problem() -> str:
        return _describe_difference(case, "list", (expected, _find_row(case, record)), body or {})

    message = missing or case.session.client.wait_until(find_list_problem)
    yield case.build_result(case.build_requirement(parameter="list"), message, exchange)


def _retrieve(case: Case, record: CreatedRecord, actor: Actor) -> Exchange:
    return case.session.client.retrieve(record.resource, record.key, actor=actor)


def _read_record(case: Case, exchange: Exchange) -> Mapping[str, Any] | None:
    """Return a retrieved record; None if there is none. Raises SkipCheck for another response."""
    if exchange.response.status in GONE_STATUSES:
        return None
    retrieve = case.session.operations.require(case.operation.resource or "", "retrieve")
    data = case.session.operations.data(retrieve, exchange)
    if not exchange.response.ok or not isinstance(data, Mapping):
        raise SkipCheck(f"{retrieve.id} returned {exchange.response.status}")
    return data


def _describe_missing_row(case: Case, record: CreatedRecord) -> str:
    """Return a message if the list of the member does not contain a record, which the member can retrieve."""
    message = f"list of another member: got no row of {record.resource} {record.key}"
    return "" if _find_row(case, record) is not None else f"{message}, expected one (its retrieve succeeds)"


def _find_row(case: Case, record: CreatedRecord) -> Mapping[str, Any] | None:
    """Return the row of a record in the list of the member."""
    session = case.session
    listing = session.operations.find(record.resource, "list")
    if listing is None:
        return None
    key_attribute = session.contract.resources[record.resource].key_attribute
    rows = session.records.rows(listing, {}, actor=Actor.MEMBER)
    return next((row for row in rows if row.get(key_attribute) == record.key), None)


def _describe_difference(
    case: Case,
    read: str,
    records: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None],
    body: Mapping[str, Any],
) -> str:
    """Describe what another member reads, compared with what the token of the run reads after its write.

    `read`: "retrieve" or "list". `records`: what the token of the run reads, and what the other member reads.
    """
    expected, actual = records
    if expected is None or actual is None:
        if (expected is None) == (actual is None):
            return ""
        difference = "got no record, expected the record"
        if expected is None:
            difference = "got the deleted record, expected none"
        return f"{read} by another member after {case.operation.id}: {difference}"
    changes = [
        f"{name} after {case.operation.id}: got {truncate(actual[name])} for another member, "
        f"expected {truncate(expected[name])}"
        for name in body
        if name in expected and name in actual and not equal(expected[name], actual[name])
    ]
    return "; ".join(changes)
