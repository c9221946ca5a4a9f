"""Check that searches and filters do not return records of another tenant."""

from collections.abc import Iterator
from typing import Any

from conformance.checks.access.auth import is_public
from conformance.checks.support.bad_requests import find_blocking_reason
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import Listing, is_list
from conformance.checks.support.parameters import find_parameter
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import accepts_any_text, format_query_value, get_values_at, retrieve_record
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.transport.messages import Actor
from spec.model import Contract, Operation, Parameter

NARROWING_ROLES = ("search", "filter")


def _is_searchable_tenant_list(contract: Contract, operation: Operation) -> bool:
    """Whether an operation lists records of a tenant and has a search or filter parameter."""
    if not is_list(contract, operation) or not contract.resources[operation.resource or ""].tenant_path:
        return False
    return any(p.x_query and p.x_query.role in NARROWING_ROLES for p in operation.query_parameters)


@check(
    "search-hides-other-tenants",
    "Searches and filters do not return records of another tenant.",
    Category.TENANCY,
    _is_searchable_tenant_list,
    provenance_independent=True,
    writes=True,
    needs_second_token=True,
)
def check_no_leak(case: Case) -> Iterator[CheckResult]:
    """Search and filter the list as the other tenant, with values of a record of the run."""
    session, listing = case.session, Listing(case.session, case.operation)
    reason = find_blocking_reason(case) or find_shared_tenant_reason(session)
    if reason:
        raise SkipCheck(reason)
    record = _create_searchable_record(session, listing)
    if is_public(listing.resource, record):
        raise SkipCheck("the record is public")
    body = dict(record.body)
    if session.operations.find(record.resource, "retrieve") is not None:
        body = dict(retrieve_record(session, record.resource, record.key)[0])
    for parameter, path, value in _iter_narrowing_values(case.operation, body):
        query = {**session.records.required_query(case.operation), parameter.name: value}
        query |= dict(listing.build_largest_page_query())
        exchange = session.client.send(case.operation, query=query, actor=Actor.OTHER_TENANT)
        data = session.operations.data(case.operation, exchange) if exchange.response.ok else None
        rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
        is_found = any(row.get(listing.resource.key_attribute) == record.key for row in rows)
        leak = f"{parameter.name}={value} returns {record.resource} {record.key} to another tenant"
        message = leak if is_found else ""
        requirement = case.build_requirement(parameter=f"{parameter.name}:{'.'.join(path)}")
        yield case.build_result(requirement, message, exchange)


def _create_searchable_record(session: Session, listing: Listing) -> CreatedRecord:
    """Create a record with a unique text in each property that the search covers. Raises SkipCheck."""
    search, operation = find_parameter(listing.operation, "search"), session.operations.creator(listing.resource.name)
    paths = search.x_query.paths if search and search.x_query else ()
    fields = {} if operation.path_parameter_names else operation.body_fields
    changes: dict[str, Any] = {}
    for path in paths:
        field, attribute = fields.get(path[0]), listing.resource.attributes.get(path[0])
        if len(path) == 1 and field and attribute and accepts_any_text(session, field, attribute):
            changes[field.name] = session.payloads.generate_value(field.schema, field.name)
    return session.records.create(listing.resource.name, changes)


def _iter_narrowing_values(
    operation: Operation, record: dict[str, Any]
) -> Iterator[tuple[Parameter, tuple[str, ...], str]]:
    """Yield (parameter, path, value) of each search and filter that a property of the record matches."""
    for parameter in operation.query_parameters:
        x_query = parameter.x_query
        if x_query is None or x_query.role not in NARROWING_ROLES or x_query.operator != "eq":
            continue
        for path in x_query.paths:
            values = [v for v in get_values_at(record, path) or () if not isinstance(v, (dict, list))]
            for value in [v for v in values if v not in (None, "")][:1]:
                text = format_query_value(value)
                yield parameter, path, text.split()[-1] if x_query.role == "search" else text
