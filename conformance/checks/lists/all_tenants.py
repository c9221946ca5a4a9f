"""Check that a list without a filter by tenant covers all tenants of the caller."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import is_list
from conformance.checks.support.members import list_tenant_keys
from conformance.checks.support.values import equal
from conformance.errors import READ_ONLY, SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.tenant import TenantScope
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Operation, Parameter

MAX_TENANTS = 3  # of the caller, in which a record is created


@dataclass(frozen=True, slots=True)
class TenantRows:
    """What a list contains with a filter by tenant. `record`: a record that the run created there, if it can."""

    scope: TenantScope
    exchange: Exchange
    total: Any
    record: CreatedRecord | None


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
    writes=True,
    affected_by_other_clients=True,
)
def check_tenants(case: Case) -> Iterator[CheckResult]:
    """Create a record in each tenant; compare the list with those that are filtered by each tenant."""
    session, parameter = case.session, _find_filter(case.session.contract, case.operation)
    if parameter is None or session.client.tenant is not None:
        raise SkipCheck(not_testable("the run is restricted to one tenant: --tenant"))
    if session.options.read_only:
        raise SkipCheck(READ_ONLY)
    keys = sorted(list_tenant_keys(session, Actor.OWNER), key=str)[:MAX_TENANTS]
    if len(keys) < 2:
        raise SkipCheck(insufficient_data("the account has only one tenant"))
    tenants = [_read_tenant(case, key) for key in keys]
    exchange = session.client.send(case.operation)
    if not exchange.response.ok or not all(tenant.exchange.response.ok for tenant in tenants):
        raise SkipCheck(f"{case.operation.id} returned {exchange.response.status}")
    yield from _evaluate_rows(case, parameter, tenants, exchange)
    total, expected = _read_total(case, exchange), [tenant.total for tenant in tenants]
    if isinstance(total, int) and all(isinstance(value, int) for value in expected):
        message = f"total without {parameter.name}: got {total}, expected at least {sum(expected)}, the sum for "
        message = f"{message}{len(expected)} values of {parameter.name}" if total < sum(expected) else ""
        requirement = case.build_requirement(parameter.pointer, None, f"{parameter.name} total")
        result = case.build_result(requirement, message, exchange, *(tenant.exchange for tenant in tenants))
        yield replace(result, is_contradiction=bool(message))


def _read_tenant(case: Case, key: Any) -> TenantRows:
    """Create a record in a tenant, if the create names the tenant, and list the records of the tenant."""
    session, tenant = case.session, case.session.contract.tenant_resource
    assert tenant is not None
    scope = TenantScope(session.contract, tenant, key)
    record = _create_in_tenant(case, scope, case.operation.resource or "")
    exchange = session.client.send(case.operation, query=scope.query_filter(case.operation))
    return TenantRows(scope, exchange, _read_total(case, exchange), record)


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


def _read_total(case: Case, exchange: Exchange) -> Any:
    return case.operation.envelope.read_page_values(exchange.response.json).get("total")


def _evaluate_rows(
    case: Case, parameter: Parameter, tenants: list[TenantRows], exchange: Exchange
) -> Iterator[CheckResult]:
    """The list contains the record of each tenant that the list with the filter contains."""
    created = [(tenant, tenant.record) for tenant in tenants if tenant.record is not None]
    if not created:
        return
    listed = _list_keys(case, {})
    requirement = case.build_requirement(parameter.pointer, None, f"{parameter.name} rows")
    for tenant, record in created:
        if not any(equal(record.key, key) for key in listed):
            message = (
                f"got no {record.resource} {record.key} of {parameter.name}={tenant.scope.key} without this filter"
            )
            yield case.build_result(requirement, message, exchange, record.exchange)
            return
    yield case.build_result(requirement, "", exchange)


def _list_keys(case: Case, query: Mapping[str, Any]) -> list[Any]:
    """Return the keys of all rows."""
    name = case.session.operations.resource(case.operation).key_attribute
    return [row.get(name) for row in case.session.records.rows(case.operation, query)]
