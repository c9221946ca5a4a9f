"""Check that a list without a filter by tenant covers all tenants of the caller."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import is_list
from conformance.checks.support.members import list_tenant_keys
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.tenant import TenantScope
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Operation, Parameter, Resource

MAX_TENANTS = 3  # of the caller that are compared


def _find_filter(contract: Contract, operation: Operation) -> Parameter | None:
    """Return the optional query parameter that restricts a list to one tenant."""
    if contract.tenant_resource is None:
        return None
    names = TenantScope(contract, contract.tenant_resource, "").query_filter(operation)
    return next((p for p in operation.query_parameters if p.name in names and not p.required), None)


@check(
    "list-covers-all-tenants",
    "A list that is not filtered by tenant contains the records of all tenants of the caller.",
    Category.LISTS,
    lambda c, o: is_list(c, o) and _find_filter(c, o) is not None,
    affected_by_other_clients=True,
)
def check_tenants(case: Case) -> Iterator[CheckResult]:
    """Find a new record of each tenant in the unfiltered list; compare its total with the sum of the filtered ones.

    Limited to `MAX_TENANTS` tenants. A read-only run creates no records and compares only the totals.
    """
    session, parameter = case.session, _find_filter(case.session.contract, case.operation)
    if parameter is None or session.client.tenant is not None:
        raise SkipCheck(not_testable("the run is restricted to one tenant: --tenant"))
    keys = sorted(list_tenant_keys(session, Actor.OWNER), key=str)[:MAX_TENANTS]
    if len(keys) < 2:
        raise SkipCheck(insufficient_data("the account has only one tenant"))
    scopes = [TenantScope(session.contract, _get_tenant(case), key) for key in keys]
    if not session.options.read_only:
        yield from _evaluate_rows(case, parameter, scopes)
    if any(role == "total" for _, role in case.operation.envelope.page_property_paths):
        yield from _evaluate_total(case, parameter, scopes)


def _get_tenant(case: Case) -> Resource:
    tenant = case.session.contract.tenant_resource
    assert tenant is not None  # because the list has a filter by tenant
    return tenant


def _create_in_tenant(case: Case, scope: TenantScope, resource: str) -> CreatedRecord | None:
    """Create a record in a tenant that its create, or that of its parent, names; None if neither does.

    Raises SkipCheck.
    """
    records, contract = case.session.records, case.session.contract
    creator, tenant_path = contract.find_create_operation(resource), contract.resources[resource].tenant_path
    if creator is None or creator.effects:
        return None
    fields = scope.create_fields(creator)
    if fields:
        return records.create(resource, fields)
    if creator.path_parameter_names:
        parent = _create_in_tenant(case, scope, creator.resource or "")
        return records.create(resource, parent_key=parent.key) if parent is not None else None
    for field in creator.body_fields.values() if len(tenant_path) > 1 else ():
        setter = field.relation_setter
        targets = contract.resources[resource].relations[tenant_path[0]].targets
        if setter is not None and setter.relation == tenant_path[0] and setter.discriminator is None:
            parent = _create_in_tenant(case, scope, targets[0])
            return records.create(resource, {field.name: parent.key}) if parent is not None else None
    return None


def _evaluate_rows(case: Case, parameter: Parameter, scopes: Sequence[TenantScope]) -> Iterator[CheckResult]:
    """The list contains a new record of each tenant in which the run can create one."""
    resource = case.session.operations.resource(case.operation)
    requirement = case.build_requirement(parameter.pointer, None, f"{parameter.name} rows")
    try:
        created = [(scope, _create_in_tenant(case, scope, resource.name)) for scope in scopes]
    except SkipCheck as skip:
        yield case.skip(requirement, skip.reason)
        return
    records = [(scope, record) for scope, record in created if record is not None]

    def find_problem() -> str:
        listed = {str(row.get(resource.key_attribute)) for row in case.session.records.rows(case.operation, {})}
        for scope, record in records:
            if str(record.key) not in listed:
                return f"got no {resource.name} {record.key} of {parameter.name}={scope.key} without this filter"
        return ""

    if records:
        message = case.session.client.wait_until(find_problem)
        yield case.build_result(requirement, message, *(record.exchange for _, record in records))


def _evaluate_total(case: Case, parameter: Parameter, scopes: Sequence[TenantScope]) -> Iterator[CheckResult]:
    """The total of the list is at least the sum of the totals with the filter, since a record has one tenant."""
    exchanges: list[Exchange] = []

    def read_total(query: Mapping[str, Any]) -> int:
        exchanges.append(case.session.client.send(case.operation, query=query))
        total = case.operation.envelope.read_page_values(exchanges[-1].response.json).get("total")
        if not isinstance(total, int):
            raise SkipCheck(f"{case.operation.id} returned {exchanges[-1].response.status} without a total")
        return total

    def find_problem() -> str:
        exchanges.clear()
        total, expected = read_total({}), sum(read_total(scope.query_filter(case.operation)) for scope in scopes)
        problem = f"total without {parameter.name}: got {total}, expected at least {expected}, the sum for "
        return f"{problem}{len(scopes)} values of {parameter.name}" if total < expected else ""

    requirement = case.build_requirement(parameter.pointer, None, f"{parameter.name} total")
    try:
        message = case.session.client.wait_until(find_problem)
    except SkipCheck as skip:
        yield case.skip(requirement, skip.reason)
        return
    yield replace(case.build_result(requirement, message, *exchanges), is_contradiction=bool(message))
