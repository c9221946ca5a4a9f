"""The law on what another tenant can find: no search and no filter leads it to the run's own record."""

from collections.abc import Iterator
from typing import Any

from conformance.checks.access.auth import is_public
from conformance.checks.support.bad_requests import find_blocking_reason
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Listing, is_list
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import format_query_value, get_values_at, retrieve_record
from conformance.checks.writes.text_roundtrip import accepts_any_text
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from spec.loader import Contract, Operation, Parameter

NARROWING_ROLES = ("search", "filter")


def _is_searchable_tenant_list(contract: Contract, operation: Operation) -> bool:
    """Whether a list of what lies in a tenant can be searched or filtered."""
    if not is_list(contract, operation) or not contract.resources[operation.resource or ""].tenant_path:
        return False
    return any(p.x_query and p.x_query.role in NARROWING_ROLES for p in operation.query_parameters)


def _check_no_leak(case: Case) -> Iterator[CheckResult]:
    """Everything that a list can be narrowed by, with what the run's own record shows of it."""
    session, listing = case.session, Listing(case.session, case.operation)
    reason = find_blocking_reason(case) or find_shared_tenant_reason(session)
    if reason:
        raise SkipCheck(reason)
    record = _create_searchable_record(session, listing)
    if is_public(listing.resource, record):
        raise SkipCheck("the record is public")
    body = dict(record.body)
    if session.operation(record.resource, "retrieve") is not None:
        body = dict(retrieve_record(session, record.resource, record.key)[0])
    for parameter, path, value in _iter_narrowing_values(case.operation, body):
        requirement = case.build_requirement(parameter=f"{parameter.name}:{'.'.join(path)}")
        query = {**session.required_query(case.operation), parameter.name: value}
        query |= dict(listing.build_largest_page_query())
        exchange = session.send(case.operation, query=query, actor="other")
        rows = session.data(case.operation, exchange) if exchange.response.ok else []
        valid_rows = rows if isinstance(rows, list) else []
        is_found = any(
            isinstance(row, dict) and row.get(listing.resource.key_attribute) == record.key for row in valid_rows
        )
        message = (
            f"{parameter.name}={value} leads the other token to {listing.resource.name} {record.key}"
            if is_found
            else ""
        )
        yield case.build_result(requirement, message, exchange)


def _create_searchable_record(session: Session, listing: Listing) -> CreatedRecord:
    """A record with a text that nobody else has in each property that is searched. Raises CannotMake."""
    search_parameter, create_operation = listing.find_parameter("search"), session.creator(listing.resource.name)
    paths = search_parameter.x_query.paths if search_parameter and search_parameter.x_query else ()
    fields = (
        create_operation.request_body.fields
        if create_operation.request_body and not create_operation.path_parameter_names
        else {}
    )
    changes: dict[str, Any] = {}
    for path in paths:
        field, attribute = fields.get(path[0]), listing.resource.attributes.get(path[0])
        if len(path) == 1 and field and attribute and accepts_any_text(session, field, attribute):
            changes[field.name] = session.payloads.generate_value(field.schema, field.name)
    return session.create(listing.resource.name, changes)


def _iter_narrowing_values(
    operation: Operation, record: dict[str, Any]
) -> Iterator[tuple[Parameter, tuple[str, ...], str]]:
    """(parameter, path, value) of what a record shows and its list can be narrowed by."""
    for parameter in operation.query_parameters:
        x_query = parameter.x_query
        if x_query is None or x_query.role not in NARROWING_ROLES or x_query.operator != "eq":
            continue
        for path in x_query.paths:
            values = [
                v for v in get_values_at(record, path) or () if v not in (None, "") and not isinstance(v, (dict, list))
            ]
            for value in values[:1]:
                query_value = format_query_value(value)
                yield parameter, path, query_value.split()[-1] if x_query.role == "search" else query_value


CHECKS: tuple[Check, ...] = (
    Check(
        "search-hides-other-tenants",
        "Searches and filters do not return records of another tenant.",
        Category.TENANCY,
        _is_searchable_tenant_list,
        _check_no_leak,
        provenance_independent=True,
        writes=True,
        needs_second_token=True,
    ),
)
