"""Check of what a share permits: for each permission, for the default one, and for the members of a tenant."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from conformance.checks.access.sharing import HIDDEN_STATUSES, is_share_action
from conformance.checks.support.action_calls import build_action_body, find_access_grant, perform_action
from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.embedded_records import find_hidden_records
from conformance.checks.support.members import find_member_reason, iter_viewer_problems, list_tenant_keys
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import accepts_any_text, equal, iter_round_trip_fields, truncate
from conformance.checks.writes.changes import fetch_attributes, path_of
from conformance.errors import NO_MEMBER_TOKEN, SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Actor, Exchange
from spec.model import AccessGrant, Operation, Relation, Resource

REFUSED_SHARE_STATUSES = (403, 404, 409, 422)  # of an unknown recipient, or one with whom the record is shared
FIRST_LABEL = "default"
SECOND_RECIPIENT = "second recipient"
REPEATED = "repeated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of a record of the run. `label`: names the kind of recipient and the permission in results.

    `permission`: that of the request, or else the default. `is_default`: the request has none.
    """

    label: str
    record: CreatedRecord
    recipient: Actor
    permission: Any
    is_default: bool
    exchange: Exchange


@check(
    "share-permissions-apply",
    "A recipient can do with a shared record what the permission allows, and nothing else.",
    Category.SHARING,
    is_share_action,
    writes=True,
    needs_second_token=True,
)
def check_share_permissions(case: Case) -> Iterator[CheckResult]:
    """Share records with another user, with each permission, and with a tenant; send requests of the recipient.

    One is shared again with another permission, and one with another user.
    """
    require_allowed(case)
    reason = find_shared_tenant_reason(case.session)
    if reason:
        raise SkipCheck(reason)
    other_shares: list[Share] = []
    for label, create_share in _iter_share_factories(case):
        try:
            share = create_share(label)
        except SkipCheck as skip:
            yield case.skip(case.build_requirement(parameter=label), skip.reason)
            continue
        yield from _evaluate_permission(case, share)
        yield from _evaluate_reads(case, share)
        yield from _evaluate_filters(case, share)
        yield from _evaluate_writes(case, share)
        if label == FIRST_LABEL:
            yield from _evaluate_private_records(case, share)
        elif share.recipient is Actor.OTHER_TENANT and not share.is_default:
            other_shares.append(share)
    for share in other_shares[:1]:
        yield from _evaluate_repeated_share(case, share)
    yield from _evaluate_second_recipient(case)


# Shares


def _get_grant(case: Case) -> AccessGrant:
    grant = find_access_grant(case.session.contract, case.operation)
    if grant is None:
        raise SkipCheck(not_testable("the operation returns no share"))
    return grant


def _get_share_resource(case: Case) -> Resource:
    contract = case.session.contract
    return contract.resources[contract.views[case.operation.envelope.view_name or ""].resource]


def _iter_share_factories(case: Case) -> Iterator[tuple[str, Any]]:
    """Yield (label, function that creates the share). The first is the share that all checks use.

    Each of the others is one more call, which `--max-effect-calls` may not allow.
    """
    grant = _get_grant(case)
    yield FIRST_LABEL, partial(_use_first_share, case, grant)
    for value in _list_permissions(case, grant)[1:]:
        yield str(value), partial(_share_with_account, case, grant, value)
    tenant = case.session.contract.tenant_resource
    if tenant is not None and tenant.name in _get_share_resource(case).relations[grant.entity].targets:
        yield tenant.name, partial(_share_with_tenant, case, grant, tenant)


def _list_permissions(case: Case, grant: AccessGrant) -> list[Any]:
    """Return the permissions that a request can have."""
    field = case.operation.body_fields.get(grant.permission)
    return list(case.session.payloads.resolve_schema(field.schema).get("enum", ())) if field is not None else []


def _use_first_share(case: Case, grant: AccessGrant, label: str) -> Share:
    action = perform_action(case)
    if action.record is None:
        raise SkipCheck(not_testable("the path of the share operation contains no record"))
    return _build_share(case, grant, label, action.record, Actor.OTHER_TENANT, action.exchange)


def _share_with_account(case: Case, grant: AccessGrant, value: Any, label: str) -> Share:
    record = case.session.records.create(case.operation.resource or "")
    return _share_record(case, grant, record, value, label)


def _share_record(case: Case, grant: AccessGrant, record: CreatedRecord, permission: Any, label: str) -> Share:
    body = {**(build_action_body(case.session, case.operation) or {}), grant.permission: permission}
    return _build_share(case, grant, label, record, Actor.OTHER_TENANT, _send(case, record, body))


def _evaluate_repeated_share(case: Case, share: Share) -> Iterator[CheckResult]:
    """Share a record with the same user again, with another permission: it applies unless the target rejects the share.

    If the new permission is read-only, no update is sent: a target may store both shares and apply the first one.
    """
    session, grant = case.session, _get_grant(case)
    permission = next(value for value in _list_permissions(case, grant) if value != share.permission)
    try:
        repeated = _share_record(case, grant, share.record, permission, REPEATED)
    except SkipCheck as skip:
        yield case.skip(case.build_requirement(parameter=REPEATED), skip.reason)
        return
    yield from _evaluate_permission(case, repeated)
    update = session.operations.find(share.record.resource, "update")
    if update is not None and not update.effects and repeated.permission in grant.writers:
        yield from _evaluate_update(case, repeated, share.record, update, f"{REPEATED} update")


def _evaluate_second_recipient(case: Case) -> Iterator[CheckResult]:
    """Share the record of the first share with another user too: the first recipient still has access."""
    session, grant = case.session, _get_grant(case)
    requirement = case.build_requirement(parameter=SECOND_RECIPIENT)
    account = session.contract.account_resource
    try:
        first = _use_first_share(case, grant, FIRST_LABEL)
        if account is None or find_member_reason(session):
            raise SkipCheck(NO_MEMBER_TOKEN)
        key = session.operations.key_of(account.name, session.client.identity(Actor.MEMBER))
        before = session.client.retrieve(first.record.resource, first.record.key, actor=first.recipient)
        if not before.response.ok:
            raise SkipCheck(f"the first recipient got {before.response.status} before the second share")
        second = _send(case, first.record, _build_entity_body(case, grant, account, key))
    except SkipCheck as skip:
        yield case.skip(requirement, skip.reason)
        return
    after = session.client.retrieve(first.record.resource, first.record.key, actor=first.recipient)
    status = after.response.status
    message = "" if after.response.ok else f"request of the first recipient after another share: got {status}"
    result = case.build_result(requirement, message, first.exchange, second, after)
    yield replace(result, is_contradiction=bool(message))
    yield from _evaluate_filters(case, replace(first, label=SECOND_RECIPIENT))


def _share_with_tenant(case: Case, grant: AccessGrant, tenant: Resource, label: str) -> Share:
    """Share a record of a tenant that the member does not see with one that it does; or else with another tenant."""
    session = case.session
    member_tenants = set() if find_member_reason(session) else list_tenant_keys(session, Actor.MEMBER)
    own_tenants = list_tenant_keys(session, Actor.OWNER)
    setter = _find_tenant_field(case)
    hidden, common = own_tenants - member_tenants, own_tenants & member_tenants
    if hidden and common and setter is not None:
        record = session.records.create(case.operation.resource or "", {setter: min(hidden, key=str)})
        recipient, key = Actor.MEMBER, min(common, key=str)
    else:
        foreign = list_tenant_keys(session, Actor.OTHER_TENANT) - own_tenants
        if not foreign:
            raise SkipCheck(f"no {tenant.name} of another user is known")
        record = session.records.create(case.operation.resource or "")
        recipient, key = Actor.OTHER_TENANT, min(foreign, key=str)
    before = session.client.retrieve(record.resource, record.key, actor=recipient)
    if before.response.status not in HIDDEN_STATUSES:
        raise SkipCheck(f"the recipient can retrieve the {record.resource} before it is shared")
    exchange = _send(case, record, _build_entity_body(case, grant, tenant, key))
    return _build_share(case, grant, label, record, recipient, exchange)


def _find_tenant_field(case: Case) -> str | None:
    """Return the field of a create that sets the tenant of a record; None if there is none."""
    resource = case.session.operations.resource(case.operation)
    for field in case.session.operations.creator(resource.name).body_fields.values():
        setter = field.relation_setter
        if setter is not None and (setter.relation,) == resource.tenant_path and setter.discriminator is None:
            return field.name
    return None


def _build_entity_body(case: Case, grant: AccessGrant, resource: Resource, key: Any) -> dict[str, Any]:
    """Return the body of a share with a record: a tenant or an account."""
    body = build_action_body(case.session, case.operation) or {}

    def get_entity(relation: Relation) -> tuple[str, Any]:
        return resource.name, key

    for field in case.operation.body_fields.values():
        if field.relation_setter is not None and field.relation_setter.relation == grant.entity:
            body |= case.session.payloads.build_field(case.operation, field, get_entity)
    return body


def _send(case: Case, record: CreatedRecord, body: Mapping[str, Any]) -> Exchange:
    """Send a share; the recipient of a tenant may be unknown to the target. Raises SkipCheck."""
    session, operation = case.session, case.operation
    session.client.charge_call(operation)
    exchange = session.client.send(operation, path=path_of(operation, record.key), body=body)
    if exchange.response.status in REFUSED_SHARE_STATUSES:
        session.client.effects.refund(operation)
    if not exchange.response.ok:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status}: {exchange.response.excerpt}")
    return exchange


def _build_share(
    case: Case, grant: AccessGrant, label: str, record: CreatedRecord, recipient: Actor, exchange: Exchange
) -> Share:
    sent = exchange.request.body if isinstance(exchange.request.body, Mapping) else {}
    attribute = _get_share_resource(case).attributes[grant.permission]
    permission = sent.get(grant.permission, attribute.default)
    is_default = grant.permission not in sent
    return Share(
        label=label,
        record=record,
        recipient=recipient,
        permission=permission,
        is_default=is_default,
        exchange=exchange,
    )


# Requests of the recipient


def _evaluate_permission(case: Case, share: Share) -> Iterator[CheckResult]:
    """The share has the permission of the request, or the default one."""
    name = _get_grant(case).permission
    attribute, body = (
        _get_share_resource(case).attributes[name],
        case.session.operations.data(case.operation, share.exchange),
    )
    if not isinstance(body, Mapping) or name not in body or share.permission is None:
        return
    source = "the default" if share.is_default else "as sent"
    is_equal = equal(body[name], share.permission)
    message = (
        "" if is_equal else f"{name}: got {truncate(body[name])}, expected {truncate(share.permission)} ({source})"
    )
    result = case.build_result(
        case.build_requirement(attribute.pointer, None, f"{share.label} {name}"), message, share.exchange
    )
    yield result if share.is_default else replace(result, is_contradiction=bool(message))


def _evaluate_reads(case: Case, share: Share) -> Iterator[CheckResult]:
    """The recipient can retrieve and list the record, and no other one."""
    session, record = case.session, share.record
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        exchanges.append(session.client.retrieve(record.resource, record.key, actor=share.recipient))
        response = exchanges[-1].response
        return "" if response.ok else f"request of the recipient: got {response.status}, expected 2xx"

    message = session.client.wait_until(find_problem)
    yield case.build_result(
        case.build_requirement(parameter=f"{share.label} visible"), message, share.exchange, exchanges[-1]
    )
    if message:
        return
    retrieve = session.operations.require(record.resource, "retrieve")
    body = session.operations.data(retrieve, exchanges[-1])
    view = session.contract.views.get(retrieve.envelope.view_name or "")
    if view is not None and isinstance(body, Mapping):
        for derived, problem, _ in iter_viewer_problems(session, view, body, share.recipient, is_created=True):
            requirement = case.build_requirement(derived.pointer, None, f"{share.label} {derived.name}")
            yield case.build_result(requirement, problem, exchanges[-1])
        hidden = list(find_hidden_records(case, view, [body], share.recipient))
        names = sorted({".".join(item.path) for item, _ in hidden})
        message = f"the recipient cannot retrieve the embedded {', '.join(names)}" if names else ""
        requirement = case.build_requirement(parameter=f"{share.label} embedded")
        yield case.build_result(requirement, message, exchanges[-1], *[exchange for _, exchange in hidden])
    yield from _evaluate_list(case, share)
    other = session.records.shared_record(record.resource)
    if share.recipient is Actor.OTHER_TENANT and other.key != record.key:
        exchange = session.client.retrieve(record.resource, other.key, actor=share.recipient)
        status = exchange.response.status
        message = (
            "" if status in HIDDEN_STATUSES else f"request for a record that is not shared: got {status}, expected 404"
        )
        yield case.build_result(case.build_requirement(parameter=f"{share.label} other record"), message, exchange)


def _evaluate_list(case: Case, share: Share) -> Iterator[CheckResult]:
    session, record = case.session, share.record
    listing = session.operations.find(record.resource, "list")
    if listing is None or any(parameter.required for parameter in listing.query_parameters):
        return
    key = session.contract.resources[record.resource].key_attribute
    rows = session.records.rows(listing, {}, actor=share.recipient)
    is_listed = any(equal(row.get(key), record.key) for row in rows)
    message = "" if is_listed else f"{listing.id} of the recipient does not contain {record.resource} {record.key}"
    exchange = session.client.retrieve(record.resource, record.key, actor=share.recipient)
    yield case.build_result(case.build_requirement(parameter=f"{share.label} listed"), message, exchange)


def _evaluate_filters(case: Case, share: Share) -> Iterator[CheckResult]:
    """A list with a filter by whether a record has shares contains the record once, for the token of the run."""
    session, record = case.session, share.record
    listing, resource = session.operations.find(record.resource, "list"), session.contract.resources[record.resource]
    for parameter in listing.query_parameters if listing is not None else ():
        x_query = parameter.x_query
        is_filter = x_query is not None and (x_query.role, x_query.operator) == ("filter", "exists")
        relation = resource.relations.get(x_query.paths[0][0]) if x_query is not None and is_filter else None
        if listing is None or relation is None or relation.targets != (_get_share_resource(case).name,):
            continue
        rows = session.records.rows(listing, {parameter.name: True})
        count = sum(equal(row.get(resource.key_attribute), record.key) for row in rows)
        requirement = case.build_requirement(parameter.pointer, None, f"{share.label} {parameter.name}")
        message = f"{listing.id} with {parameter.name}=true contains the shared {record.resource} {record.key}"
        message = f"{message} {count} times, expected once" if count != 1 else ""
        yield case.build_result(requirement, message, share.exchange)


def _evaluate_private_records(case: Case, share: Share) -> Iterator[CheckResult]:
    """Records that refer to the shared one, but belong to a tenant themselves, are hidden from the recipient."""
    session, resource = case.session, case.operation.resource or ""
    for source, relation in session.contract.find_relations_to(resource):
        retrieve = session.operations.find(source.name, "retrieve")
        is_own = bool(source.tenant_path) and source.tenant_path[0] != relation.name and not relation.to_many
        if retrieve is None or not is_own or len(relation.targets) != 1:
            continue
        try:
            key = _create_referrer(case, source, relation, share.record).key
        except SkipCheck:
            continue
        exchange = session.client.retrieve(source.name, key, actor=share.recipient)
        status = exchange.response.status
        message = f"request for a {source.name} of the shared {resource}: got {status}, expected 404"
        requirement = case.build_requirement(retrieve.pointer, None, f"{share.label} {source.name}")
        yield case.build_result(requirement, "" if status in HIDDEN_STATUSES else message, share.exchange, exchange)


def _create_referrer(case: Case, source: Resource, relation: Relation, record: CreatedRecord) -> CreatedRecord:
    """Create a record that refers to another. Raises SkipCheck."""
    session = case.session
    creator = session.operations.creator(source.name)
    if creator.effects:
        raise SkipCheck(not_testable("the create has effects"))
    if creator.path_parameter_names:
        if creator.resource != record.resource:
            raise SkipCheck(not_testable(f"a {source.name} is created below another record"))
        return session.records.create(source.name, parent_key=record.key)
    for field in creator.body_fields.values():
        setter = field.relation_setter
        if setter is not None and setter.relation == relation.name and setter.discriminator is None:
            return session.records.create(source.name, {field.name: record.key})
    raise SkipCheck(not_testable(f"no create sets the {relation.name} of a {source.name}"))


def _evaluate_writes(case: Case, share: Share) -> Iterator[CheckResult]:
    """The recipient can update the record if the permission allows it, and can neither share nor delete it.

    The same applies to the records that belong to it, which the share covers too.
    """
    yield from _evaluate_writes_of(case, share, share.record)
    share_body = build_action_body(case.session, case.operation)
    yield _evaluate_denial(case, share, share.record, case.operation, share_body)
    for source, relation in case.session.contract.find_relations_to(share.record.resource):
        is_covered = source.tenant_path[:1] == (relation.name,) and len(relation.targets) == 1
        if is_covered and source.access_grant is None:
            with suppress(SkipCheck):
                yield from _evaluate_writes_of(
                    case, share, _create_referrer(case, source, relation, share.record), f"{source.name} "
                )


def _evaluate_writes_of(case: Case, share: Share, record: CreatedRecord, prefix: str = "") -> Iterator[CheckResult]:
    """Evaluate each operation that updates or deletes a record.

    `prefix`: start of the labels for a record that belongs to the shared one.
    """
    find_all, updates = case.session.operations.find_all, list[CheckResult]()
    for operation in find_all(record.resource, "update"):
        label = f"{share.label} {prefix}update" + (f" with {operation.method.upper()}" if updates else "")
        if not operation.effects:
            updates += _evaluate_update(case, share, record, operation, label)
    is_denied = share.permission not in _get_grant(case).writers and any(not result.message for result in updates)
    for result in updates:  # an update that PUT rejects and PATCH accepts is a contradiction
        is_accepted = bool(result.message) and result.evidence[-1].response.ok
        yield replace(result, is_contradiction=is_denied and is_accepted)
    for operation in find_all(record.resource, "delete"):
        if not operation.effects:
            yield _evaluate_denial(case, share, record, operation, None, prefix)


def _evaluate_denial(
    case: Case, share: Share, record: CreatedRecord, operation: Operation, body: Any, prefix: str = ""
) -> CheckResult:
    """No permission allows the operation."""
    client = case.session.client
    exchange = client.send(operation, path=path_of(operation, record.key), body=body, actor=share.recipient)
    message = _describe_missing_denial(operation, exchange)
    if not message and operation.action == "delete" and case.session.operations.find(record.resource, "retrieve"):
        status = client.retrieve(record.resource, record.key).response.status
        message = f"the delete was rejected, but retrieve then got {status}" if status in HIDDEN_STATUSES else ""
    requirement = case.build_requirement(parameter=f"{share.label} {prefix}{operation.action or 'action'}")
    return case.build_result(requirement, message, share.exchange, exchange)


def _evaluate_update(
    case: Case, share: Share, record: CreatedRecord, update: Operation, label: str
) -> Iterator[CheckResult]:
    session, resource = case.session, case.session.contract.resources[record.resource]
    if resource.writers == "owner" or session.operations.find(record.resource, "retrieve") is None:
        return
    change = _choose_change(replace(case, operation=update), record)
    if change is None:
        return
    name, value = change
    body = session.records.build_update(update, record.resource, record.key, {name: value})
    exchange = session.client.send(update, path=path_of(update, record.key), body=body, actor=share.recipient)
    stored = fetch_attributes(session, record.resource, record.key).get(name)
    if share.permission in _get_grant(case).writers:
        status, is_stored = exchange.response.status, equal(stored, value)
        message = "" if exchange.response.ok else f"{update.id} by the recipient: got {status}, expected 2xx"
        if exchange.response.ok and not is_stored:
            message = f"{update.id} by the recipient: {name} is {truncate(stored)}, expected {truncate(value)}"
    else:
        message = _describe_missing_denial(update, exchange)
        if not message and equal(stored, value):
            message = f"{update.id} was rejected, but {name} is {truncate(value)}"
    yield case.build_result(case.build_requirement(parameter=label), message, share.exchange, exchange)


def _choose_change(case: Case, record: CreatedRecord) -> tuple[str, Any] | None:
    """Return (field, new value) of a text that an update sets and a response returns, or else of a boolean."""
    session = case.session
    fields = list(iter_round_trip_fields(case, session.operations.resource(case.operation)))
    for field, attribute in fields:
        if accepts_any_text(session, field, attribute):
            return field.name, session.payloads.generate_value(field.schema, field.name)
    booleans = [f for f, attribute in fields if attribute.type == "boolean"]
    stored = fetch_attributes(session, record.resource, record.key) if booleans else {}
    return next(((f.name, not stored[f.name]) for f in booleans if f.name in stored), None)


def _describe_missing_denial(operation: Operation, exchange: Exchange) -> str:
    status = exchange.response.status
    is_denied = status in HIDDEN_STATUSES
    return "" if is_denied else f"{operation.id} by the recipient: got {status}, expected 403"
