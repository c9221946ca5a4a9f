"""Checks of the members of a tenant: they see its records as their owner does, and change what the contract permits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import is_list
from conformance.checks.support.members import (
    find_home_tenants,
    iter_viewer_problems,
    list_common_properties,
    list_tenant_keys,
    require_member,
)
from conformance.checks.support.values import (
    accepts_any_text,
    describe_change,
    equal,
    iter_round_trip_fields,
    truncate,
)
from conformance.checks.writes.changes import describe_effect, fetch_attributes, path_of
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.tenant import TenantScope
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Operation, Resource

TOTAL_COMPARISONS = 3  # of different totals, since another client may write between two requests
MAX_TENANTS = 5  # tenants that are retrieved with the token of the member
DENIED_STATUSES = (403, 404)


def _is_in_tenant(contract: Contract, operation: Operation) -> bool:
    """Whether an operation is one of the tenant resource, or of a resource whose records belong to a tenant."""
    resource = contract.resources.get(operation.resource or "")
    return resource is not None and (bool(resource.tenant_path) or resource is contract.tenant_resource)


# Reads


@check(
    "members-see-the-same-record",
    "All members of a tenant can retrieve its records, with the same values; a record states who of them owns it.",
    Category.TENANCY,
    lambda c, o: o.action == "retrieve" and _is_in_tenant(c, o) and o.envelope.view_name is not None,
    writes=True,
    needs_member_token=True,
)
def check_retrieve(case: Case) -> Iterator[CheckResult]:
    """Retrieve a record with both tokens in turn, so that a response that is cached for one of them shows."""
    require_member(case.session)
    key, is_created = _find_record(case)
    view = case.session.contract.views[case.operation.envelope.view_name or ""]
    bodies: dict[Actor, Mapping[str, Any]] = {}
    for actor in (Actor.OWNER, Actor.MEMBER, Actor.OWNER):
        exchange = case.session.client.retrieve(case.operation.resource or "", key, actor=actor)
        body = case.session.operations.data(case.operation, exchange)
        if actor is Actor.MEMBER:
            status = exchange.response.status
            message = "" if exchange.response.ok else f"request of another member: got {status}, expected 2xx"
            yield case.build_result(case.build_requirement(parameter="visible"), message, exchange)
        if not exchange.response.ok or not isinstance(body, Mapping):
            return
        yield from _evaluate_viewer(case, body, actor, exchange, is_created=is_created)
        bodies[actor] = body
        if actor is Actor.MEMBER:
            for name in list_common_properties(case.session.contract, view):
                yield from _compare(case, name, bodies[Actor.OWNER], body, exchange)


def _find_record(case: Case) -> tuple[Any, bool]:
    """Return the key of a tenant of both tokens, or of a record in it; and whether the run created it."""
    session, resource = case.session, case.session.operations.resource(case.operation)
    if resource is session.contract.tenant_resource:
        return min(find_home_tenants(session) & list_tenant_keys(session, Actor.MEMBER), key=str), False
    return session.records.shared_record(resource.name).key, True


def _evaluate_viewer(
    case: Case, body: Mapping[str, Any], actor: Actor, exchange: Exchange, *, is_created: bool
) -> Iterator[CheckResult]:
    view = case.session.contract.views[case.operation.envelope.view_name or ""]
    for derived, problem, is_shown in iter_viewer_problems(case.session, view, body, actor, is_created=is_created):
        requirement = case.build_requirement(derived.pointer, None, f"{derived.name} {actor}")
        result = case.build_result(requirement, problem, exchange)
        yield _as_contradiction(result) if is_shown else result


def _as_contradiction(result: CheckResult) -> CheckResult:
    return replace(result, is_contradiction=bool(result.message))


def _compare(
    case: Case, name: str, expected: Mapping[str, Any], actual: Mapping[str, Any], exchange: Exchange
) -> Iterator[CheckResult]:
    """Compare one property of two responses; a property that moves with the clock differs in both."""
    if name not in expected or name not in actual:
        return
    attribute = case.session.operations.resource(case.operation).attributes[name]
    problem = describe_change(name, expected[name], actual[name]) if not equal(expected[name], actual[name]) else ""
    message = f"{problem} for another member" if problem else ""
    yield _as_contradiction(case.build_result(case.build_requirement(attribute.pointer, None, name), message, exchange))


@check(
    "members-list-the-same-records",
    "The list of each member of a tenant contains its records.",
    Category.TENANCY,
    lambda c, o: is_list(c, o) and _is_in_tenant(c, o),
    writes=True,
    needs_member_token=True,
)
def check_list(case: Case) -> Iterator[CheckResult]:
    """Search the list of the member for a record of the run, or for the tenants that the member can retrieve."""
    require_member(case.session)
    resource = case.session.operations.resource(case.operation)
    query = case.session.records.required_query(case.operation)
    yield from _compare_totals(case)
    expected = _list_expected_keys(case, resource)
    exchange = case.session.client.send(case.operation, query=query, actor=Actor.MEMBER)
    rows = {
        str(row.get(resource.key_attribute)): row
        for row in case.session.records.rows(case.operation, query, actor=Actor.MEMBER)
    }
    for key, is_retrieved in expected:
        row = rows.get(str(key))
        message = "" if row is not None else f"the list of another member does not contain {resource.name} {key}"
        result = case.build_result(case.build_requirement(parameter="rows"), message, exchange)
        yield _as_contradiction(result) if is_retrieved else result
        if message:
            return
        if row is not None:
            is_created = resource is not case.session.contract.tenant_resource
            yield from _evaluate_viewer(case, row, Actor.MEMBER, exchange, is_created=is_created)


def _compare_totals(case: Case) -> Iterator[CheckResult]:
    """Compare the number of records in a tenant of both tokens, where the list can be restricted to it."""
    session, tenant = case.session, case.session.contract.tenant_resource
    key = min(find_home_tenants(session) & list_tenant_keys(session, Actor.MEMBER), key=str)
    filters = TenantScope(session.contract, tenant, key).query_filter(case.operation) if tenant is not None else {}
    if not filters:
        return
    query = {**session.records.required_query(case.operation), **filters}
    totals: list[Any] = []
    for actor in (Actor.OWNER, *(Actor.MEMBER, Actor.OWNER) * TOTAL_COMPARISONS):
        exchange = session.client.send(case.operation, query=query, actor=actor)
        totals.append(case.operation.envelope.read_page_values(exchange.response.json).get("total"))
        if totals[:2] == totals[:1] * 2:
            break
    if None in totals or len({*totals[::2]}) > 1 or len({*totals[1::2]}) > 1:
        return  # another client writes
    message = f"total in the same {tenant.name if tenant else 'tenant'}: got {totals[1]} for another member"
    message = f"{message}, expected {totals[0]}" if totals[1] != totals[0] else ""
    yield _as_contradiction(case.build_result(case.build_requirement(parameter="total"), message, exchange))


def _list_expected_keys(case: Case, resource: Resource) -> list[tuple[Any, bool]]:
    """Return (key, whether the member can retrieve it) of records that the list of the member must contain."""
    session = case.session
    if resource is not session.contract.tenant_resource:
        key = session.records.shared_record(resource.name).key
        return [(key, _can_retrieve(case, resource, key))]
    own = sorted(list_tenant_keys(session, Actor.OWNER), key=str)[:MAX_TENANTS]
    keys = [(key, True) for key in own if _can_retrieve(case, resource, key)]
    if not keys:
        raise SkipCheck(insufficient_data(f"the member can retrieve no {resource.name} of the token of the run"))
    return keys


def _can_retrieve(case: Case, resource: Resource, key: Any) -> bool:
    if case.session.operations.find(resource.name, "retrieve") is None:
        return False
    return case.session.client.retrieve(resource.name, key, actor=Actor.MEMBER).response.ok


# Writes


@check(
    "members-write-what-they-may",
    "Members of a tenant can change its records, unless only their owner may.",
    Category.TENANCY,
    lambda c, o: o.action in ("update", "delete") and _is_in_tenant(c, o) and not o.effects,
    writes=True,
    needs_member_token=True,
)
def check_writes(case: Case) -> Iterator[CheckResult]:
    """Update or delete a record with the token of the member.

    A tenant, which the run does not create, is updated with the value that it has, and is not deleted.
    """
    require_allowed(case)
    require_member(case.session)
    resource = case.session.operations.resource(case.operation)
    if resource is case.session.contract.tenant_resource:
        yield _evaluate_tenant_update(case, resource)
        return
    record = case.session.records.create(resource.name)
    has_retrieve = case.session.operations.find(resource.name, "retrieve") is not None
    before = fetch_attributes(case.session, resource.name, record.key) if has_retrieve else {}
    body = build_changes(case, record) if case.operation.action == "update" else None
    path = path_of(case.operation, record.key)
    exchange = case.session.client.send(case.operation, path=path, body=body, actor=Actor.MEMBER)
    requirement = case.build_requirement(parameter=resource.writers)
    if resource.writers == "owner":
        message = _describe_missing_denial(exchange)
        if not message and before:
            message = describe_effect(case.session, resource.name, record.key, before)
    else:
        status = exchange.response.status
        message = "" if exchange.response.ok else f"request of another member: got {status}, expected 2xx"
        if not message and body is not None and has_retrieve:
            message = _describe_lost_change(case, record, body)
    yield case.build_result(requirement, message, exchange)


def build_changes(case: Case, record: CreatedRecord) -> dict[str, Any]:
    """Return the body of an update with another text. Raises SkipCheck."""
    session, resource = case.session, case.session.operations.resource(case.operation)
    for field, attribute in iter_round_trip_fields(case, resource):
        if accepts_any_text(session, field, attribute):
            value = session.payloads.generate_value(field.schema, field.name)
            return session.records.build_update(case.operation, resource.name, record.key, {field.name: value})
    raise SkipCheck(not_testable("the contract defines no free text field that is returned"))


def _describe_lost_change(case: Case, record: CreatedRecord, body: Mapping[str, Any]) -> str:
    current = fetch_attributes(case.session, record.resource, record.key)
    lost = (name for name, value in body.items() if name in current and not equal(current[name], value))
    name = next(lost, None)
    return "" if name is None else f"{name} is {truncate(current[name])} after an update by another member"


def _evaluate_tenant_update(case: Case, resource: Resource) -> CheckResult:
    """Update the tenant with its own values. Raises SkipCheck."""
    if case.operation.action == "delete" or resource.writers != "owner":
        raise SkipCheck(not_testable(f"the run changes no {resource.name} that it did not create"))
    session = case.session
    key = min(find_home_tenants(session) & list_tenant_keys(session, Actor.MEMBER), key=str)
    current = fetch_attributes(session, resource.name, key)
    member_body = session.operations.data(
        session.operations.require(resource.name, "retrieve"),
        session.client.retrieve(resource.name, key, actor=Actor.MEMBER),
    )
    account = session.contract.account_resource
    owner = (
        member_body.get(resource.owner_path[0]) if isinstance(member_body, Mapping) and resource.owner_path else None
    )
    owner_key = owner.get(account.key_attribute) if isinstance(owner, Mapping) and account is not None else None
    if account is not None and owner_key == session.client.identity(Actor.MEMBER).get(account.key_attribute):
        raise SkipCheck(f"the token of the member owns the {resource.name}: --member-token-env")
    fields = case.operation.body_fields.values()
    body = {f.name: current[f.name] for f in fields if isinstance(current.get(f.name), str) and not f.relation_setter}
    required = {f.name for f in fields if f.required}
    body = {name: value for name, value in body.items() if name in required} or dict(list(body.items())[:1])
    if not body or not required <= body.keys():
        raise SkipCheck(not_testable(f"the contract defines no text of a {resource.name} that an update accepts"))
    exchange = session.client.send(case.operation, path=path_of(case.operation, key), body=body, actor=Actor.MEMBER)
    message = _describe_missing_denial(exchange)
    return case.build_result(case.build_requirement(parameter=resource.writers), message, exchange)


def _describe_missing_denial(exchange: Exchange) -> str:
    status = exchange.response.status
    return "" if status in DENIED_STATUSES else f"request of a member who is not the owner: got {status}, expected 403"
