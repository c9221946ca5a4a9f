"""Check that a request body cannot set properties that only the server sets: computed ones, owners, tenants, relations.

The checks of the model cover keys and timestamps in creates and updates; this check covers them in actions.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.access.auth import is_public
from conformance.checks.support.action_calls import build_action_body, is_action
from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.tenancy import find_shared_tenant_reason, find_tenant_keys
from conformance.checks.support.values import equal, find_sendable_names, has_action, is_create, new_record, truncate
from conformance.checks.writes.changes import path_of
from conformance.errors import NO_SECOND_TOKEN, SkipCheck, SkipReason, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.write_log import is_key
from conformance.transport.messages import GONE_STATUSES, Actor, Exchange
from spec.model import Attribute, Contract, DerivedProperty, Operation, Relation, Resource

ACCESS = "access"  # the parameter of the result about the access of the other tenant
INSTANT, INTEGER, NUMBER = "2001-02-03T04:05:06Z", 4711, 4711.25  # improbable values
REJECTION_STATUSES = (400, 403, 404, 409, 422)
_UNDERSCORE = re.compile("_(.)")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A property that a request body must not set, and the body fields with which the check tries to set it.

    `is_set`: returns whether a retrieved record has the sent value. `is_access`: whether the property is an owner or a
    tenant.
    """

    name: str
    pointer: str
    fields: Mapping[str, Any]
    is_set: Callable[[Mapping[str, Any]], bool]
    is_access: bool = False

    def describe(self) -> str:
        """Return the fields and their values as text for a message."""
        return ", ".join(f"{name}: {truncate(value)}" for name, value in self.fields.items())


def _applies(contract: Contract, operation: Operation) -> bool:
    if operation.request_body is None or operation.resource not in contract.resources or operation.effects:
        return False
    is_item_action = is_action(contract, operation) and len(operation.path_parameter_names) == 1
    return has_action("update")(contract, operation) or is_create(contract, operation) or is_item_action


@check(
    "server-owned-property-not-assignable",
    "A request body cannot set a property that only the server sets, nor an owner or a tenant.",
    Category.TENANCY,
    _applies,
    writes=True,
)
def check_mass_assignment(case: Case) -> Iterator[CheckResult]:
    """Send a valid request with all such fields, or one request for each field if the target rejects that."""
    require_allowed(case)
    session, operation = case.session, case.operation
    retrieve = session.operations.require(operation.resource or "", "retrieve")
    other = _get_other_identity(case)
    control = new_record(case)
    control_body, _ = retrieve_with_relations(session, retrieve, control.key)
    assignments = list(_iter_assignments(case, control_body if isinstance(control_body, Mapping) else {}, other))
    if not assignments:
        raise SkipCheck(not_testable("the contract defines no property that only the server sets"))
    requests = _AssignmentRequests(case, retrieve, control)
    exchange = requests.send(assignments)
    if exchange.response.ok:
        yield from requests.evaluate(assignments)
        return
    if exchange.response.status not in REJECTION_STATUSES:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status}")
    for assignment in assignments:
        exchange = requests.send([assignment])
        if exchange.response.ok:
            yield from requests.evaluate([assignment])
        else:
            yield case.build_result(_build_requirement(case, assignment), "", exchange)


def _build_requirement(case: Case, assignment: Assignment) -> Any:
    independent = assignment.is_access
    return case.build_requirement(assignment.pointer, None, assignment.name, provenance_independent=independent)


# Fields to send


def _iter_assignments(case: Case, control_body: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Assignment]:
    """Yield assignments of values that the control record does not have.

    `control_body`: the retrieved control record. `other`: the account of another tenant, or empty.
    """
    contract, operation = case.session.contract, case.operation
    resource = contract.resources[operation.resource or ""]
    view = contract.views_by_resource[resource.name][0]
    sendable = find_sendable_names(contract, resource.name)
    for attribute in resource.attributes.values():
        is_covered_by_model = attribute.stamp is not None or attribute.name == resource.key_attribute
        is_server_owned = attribute.read_only and attribute.name not in sendable
        if is_server_owned and attribute.name in control_body and not (is_covered_by_model and operation.is_generic):
            yield from _iter_value_assignments(
                attribute, _choose_value(attribute.type, attribute, control_body[attribute.name]), control_body
            )
    for derived in view.derived_properties.values():
        if derived.name in control_body and derived.name not in sendable:
            yield from _iter_value_assignments(
                derived, _choose_value(_find_type(case, derived), None, control_body[derived.name]), control_body
            )
    for relation in resource.relations.values():
        if relation.is_stored and not relation.to_many and len(relation.targets) == 1:
            yield from _iter_relation_assignments(case, resource, relation, other)


def _iter_value_assignments(
    part: Attribute | DerivedProperty, value: Any, control_body: Mapping[str, Any]
) -> Iterator[Assignment]:
    """Yield the assignment of a value unless it is None or the control record has it."""
    name = part.name
    if value is not None and not equal(control_body.get(name), value):
        yield Assignment(name, part.pointer, {name: value}, lambda record: equal(record.get(name), value))


def _find_type(case: Case, derived: DerivedProperty) -> str:
    schema = case.session.payloads.resolve_schema(case.session.contract.document.resolve(derived.pointer))
    return "date-time" if schema.get("format") == "date-time" else str(schema.get("type"))


def _choose_value(type_name: str, attribute: Attribute | None, current: Any) -> Any:
    """Return a value that a server would not set by itself; None if no such value is known."""
    if attribute is not None and attribute.enum_values:
        others = [value for value in attribute.enum_values if value not in (None, current)]
        return others[-1] if others else None
    name = "date-time" if attribute is not None and attribute.format == "date-time" else type_name
    if attribute is not None and name == "string":
        return None if attribute.format or attribute.is_file else "conformance-assigned"
    values = {"date-time": INSTANT, "integer": INTEGER, "number": NUMBER, "boolean": current is not True}
    return values.get(name, "conformance-assigned" if name == "string" else None)


def _iter_relation_assignments(
    case: Case, resource: Resource, relation: Relation, other: Mapping[str, Any]
) -> Iterator[Assignment]:
    """Yield the assignment of a relation that no body field of the operation sets, with all usual field names."""
    setters = {f.relation_setter.relation for f in case.operation.body_fields.values() if f.relation_setter}
    target = case.session.contract.resources[relation.targets[0]]
    contract, path_starts = case.session.contract, (*resource.owner_path[:1], *resource.tenant_path[:1])
    is_access = relation.name in path_starts and target in (contract.account_resource, contract.tenant_resource)
    if relation.name in setters or relation.name in case.operation.body_fields:
        return
    key = _find_other_key(case, target, other)
    if key is None:
        return
    fields = dict.fromkeys(_list_field_names(case, resource, relation, target), key)
    fields |= {} if relation.name in fields else {relation.name: {target.key_attribute: key}}
    names = [name for name in fields if name not in case.operation.body_fields]

    def is_set(record: Mapping[str, Any]) -> bool:
        embedded = record.get(relation.name)
        embedded_key = embedded.get(target.key_attribute) if isinstance(embedded, Mapping) else None
        return equal(embedded_key, key) or any(is_key(record.get(name)) and equal(record[name], key) for name in fields)

    yield Assignment(relation.name, relation.pointer, {name: fields[name] for name in names}, is_set, is_access)


def _list_field_names(case: Case, resource: Resource, relation: Relation, target: Resource) -> list[str]:
    """Return the fields of other operations that set a relation, and the usual names of a foreign key."""
    operations = [o for o in case.session.contract.operations.values() if o.resource == resource.name]
    fields = (f for o in operations for f in o.body_fields.values() if f.relation_setter)
    known = [f.name for f in fields if f.relation_setter and f.relation_setter.relation == relation.name]
    guessed = [f"{relation.name}_{target.key_attribute}", f"{relation.name}_id"]
    camel_case = [_UNDERSCORE.sub(lambda match: match[1].upper(), name) for name in guessed]
    return list(dict.fromkeys([*known, *guessed, *camel_case]))


def _find_other_key(case: Case, target: Resource, other: Mapping[str, Any]) -> Any:
    """Return the key of the other account, of its tenant, or of a new record; None if there is none."""
    session = case.session
    account, tenant = session.contract.account_resource, session.contract.tenant_resource
    if account is not None and target.name == account.name:
        return other.get(account.key_attribute)
    if tenant is not None and target.name == tenant.name:
        return next(iter(sorted(find_tenant_keys(session, other), key=str)), None)
    try:
        return session.records.create(target.name).key
    except SkipCheck:
        return None


def _get_other_identity(case: Case) -> Mapping[str, Any]:
    """Return the account of the second token; empty if there is none or it has access to the same tenant."""
    try:
        return {} if find_shared_tenant_reason(case.session) else case.session.client.identity(Actor.OTHER_TENANT)
    except SkipCheck:
        return {}


# Requests


@dataclass(slots=True)
class _AssignmentRequests:
    """Sends requests with assignments and evaluates the last one.

    `control`: a record that was created without assignments. `exchange` and `key`: the last request, and its record.
    """

    case: Case
    retrieve: Operation
    control: CreatedRecord
    exchange: Exchange | None = None
    key: Any = None

    def send(self, assignments: list[Assignment]) -> Exchange:
        """Send a valid request with the fields of the assignments. Raises SkipCheck."""
        session, operation = self.case.session, self.case.operation
        fields = {name: value for assignment in assignments for name, value in assignment.fields.items()}
        if is_create(session.contract, operation):
            body = {**session.payloads.build(operation, session.records.parent), **fields}
            self.exchange = session.client.send(operation, body=body)
            if self.exchange.response.ok:
                record = session.operations.data(operation, self.exchange)
                self.key = session.operations.key_of(operation.resource or "", record)
            return self.exchange
        created = new_record(self.case)
        self.key = created.key
        body = build_action_body(session, operation) or {}
        if operation.action == "update":
            body = session.records.build_update(operation, created.resource, created.key, {})
        path = path_of(operation, created.key)
        self.exchange = session.client.send(operation, path=path, body={**body, **fields})
        return self.exchange

    def evaluate(self, assignments: list[Assignment]) -> Iterator[CheckResult]:
        """Yield the result of each assignment of the last request, and that of the other tenant's access."""
        case, sent = self.case, self.exchange
        assert sent is not None
        record, retrieved = retrieve_with_relations(case.session, self.retrieve, self.key)
        is_gone = retrieved.response.status in GONE_STATUSES
        # Read the control record last: a change that the server makes by itself is then in both records.
        control_body, _ = retrieve_with_relations(case.session, self.retrieve, self.control.key)
        for assignment in assignments:
            requirement = _build_requirement(case, assignment)
            if not isinstance(record, Mapping) or not isinstance(control_body, Mapping) or not retrieved.response.ok:
                yield case.skip(requirement, f"{self.retrieve.id} returned {retrieved.response.status}")
                continue
            is_stored = assignment.is_set(record) and not assignment.is_set(control_body)
            message = (
                f"{assignment.name}: the server stored {assignment.describe()}, expected it to ignore or reject that"
                if is_stored
                else ""
            )
            result = case.build_result(requirement, message, sent, retrieved)
            yield replace(result, is_contradiction=is_stored)
        access = [assignment for assignment in assignments if assignment.is_access]
        if access:
            yield self._evaluate_access(access, sent, retrieved, is_gone=is_gone)

    def _evaluate_access(
        self, access: list[Assignment], sent: Exchange, retrieved: Exchange, *, is_gone: bool
    ) -> CheckResult:
        """Evaluate whether the record still belongs only to the account of the run."""
        case, session = self.case, self.case.session
        requirement = case.build_requirement(parameter=ACCESS, provenance_independent=True)
        described = "; ".join(assignment.describe() for assignment in access)
        if is_gone:
            self._delete_as_other_tenant()
            message = (
                f"after a request with {described}: retrieve returned {retrieved.response.status}, expected the record"
            )
            return case.build_result(requirement, message, sent, retrieved)
        if not session.client.has_token(Actor.OTHER_TENANT):
            return case.skip(requirement, NO_SECOND_TOKEN)
        resource = session.contract.resources[case.operation.resource or ""]
        if is_public(resource, self.control):
            return case.skip(requirement, SkipReason("the record is public"))
        control = session.client.retrieve(resource.name, self.control.key, actor=Actor.OTHER_TENANT)
        if control.response.ok:
            return case.skip(requirement, "another tenant can retrieve every record")
        other = session.client.retrieve(resource.name, self.key, actor=Actor.OTHER_TENANT)
        message = f"after a request with {described}: another tenant can retrieve the record"
        if other.response.ok:
            self._delete_as_other_tenant()
        return case.build_result(requirement, message if other.response.ok else "", sent, other)

    def _delete_as_other_tenant(self) -> None:
        """Delete a record that now belongs to the other tenant, since the token of the run cannot delete it."""
        session, resource = self.case.session, self.case.operation.resource or ""
        delete = session.operations.find(resource, "delete")
        if delete is None or not session.client.has_token(Actor.OTHER_TENANT):
            return
        exchange = session.client.send(delete, path=path_of(delete, self.key), actor=Actor.OTHER_TENANT)
        if exchange.response.ok:
            session.write_log.log_deleted(resource, self.key)
