"""Check that a record stays hidden from other tenants whatever values it has, unless the contract says otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.checks.access.auth import describe_missing_denial, is_public
from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import dereference_schema
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, SkipReason
from conformance.results import CheckResult
from conformance.session.payloads import attribute_fields
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Actor, Exchange
from spec.model import BodyField, Contract, Operation, Resource

MAX_RECORDS = 4  # of one resource; each has another value of every enum


@dataclass(frozen=True, slots=True)
class VariedRecord:
    """A record with one value of each enum and boolean. `record`: why it could not be created, if so."""

    changes: Mapping[str, Any]
    record: CreatedRecord | SkipReason

    @property
    def label(self) -> str:
        """The values, as results name them."""
        return " ".join(f"{name}={value}" for name, value in self.changes.items())


# Resource -> its records.
VARIED_RECORDS: Fixture[dict[str, list[VariedRecord]]] = Fixture("varied records", FixtureScope.RUN, lambda case: {})


def _list_values(contract: Contract, field: BodyField) -> Sequence[Any]:
    """Return the values of an enum or boolean; () for another property."""
    schema, _ = dereference_schema(contract.document, field.pointer)
    if schema.get("type") == "boolean":
        return (True, False)
    return [value for value in schema.get("enum", ()) if value is not None]


def _list_choices(contract: Contract, resource: Resource) -> dict[str, Sequence[Any]]:
    """Return the values of each enum and boolean that a create accepts, without those that make a record public."""
    creator = contract.find_create_operation(resource.name)
    if creator is None or creator.effects or creator.path_parameter_names:
        return {}
    choices = {field.name: _list_values(contract, field) for field in attribute_fields(creator)}
    if len(resource.public_when) == 1:
        for name, public_value in resource.public_when.items():
            choices[name] = [value for value in choices.get(name, ()) if value != public_value]
    return {name: values for name, values in choices.items() if values}


def _applies(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not resource.tenant_path or operation.action not in ("retrieve", "list", "update", "delete"):
        return False
    return not operation.effects and bool(_list_choices(contract, resource))


@check(
    "tenant-isolation-for-each-value",
    "No value of an enum or boolean makes a record visible to another tenant, unless the contract says so.",
    Category.TENANCY,
    _applies,
    writes=True,
    needs_second_token=True,
)
def check_isolation(case: Case) -> Iterator[CheckResult]:
    """Send the request with the token of the other tenant for a record with each value."""
    require_allowed(case)
    reason = find_shared_tenant_reason(case.session)
    if reason:
        raise SkipCheck(reason)
    resource = case.session.operations.resource(case.operation)
    records = _provide_records(case, resource)
    listed = _list_keys(case, resource) if case.operation.action == "list" else set()
    for varied in records:
        record = varied.record
        requirement = case.build_requirement(resource.pointer, "x-resource", varied.label)
        if isinstance(record, SkipReason):
            yield case.skip(requirement, record)
        elif is_public(resource, record):
            yield case.skip(requirement, "the record is public")
        elif case.operation.action == "list":
            message = f"the list of another tenant contains {resource.name} {record.key} with {varied.label}"
            yield case.build_result(requirement, message if record.key in listed else "", record.exchange)
        else:
            exchange = _send(case, record)
            message = describe_missing_denial(exchange)
            yield case.build_result(requirement, f"{message} ({varied.label})" if message else "", exchange)


def _send(case: Case, record: CreatedRecord) -> Exchange:
    """Send the request for a record with the token of the other tenant; an update has required fields only."""
    operation, body = case.operation, None
    if operation.action == "update":
        body = case.session.records.build_update(operation, record.resource, record.key, {})
    return case.session.client.send(operation, path=path_of(operation, record.key), body=body, actor=Actor.OTHER_TENANT)


def _provide_records(case: Case, resource: Resource) -> list[VariedRecord]:
    """Return the records of a resource that all operations share, created at the first use."""
    cache = case.use(VARIED_RECORDS)
    if resource.name not in cache:
        choices = _list_choices(case.session.contract, resource)
        number = min(MAX_RECORDS, max(map(len, choices.values())))
        cache[resource.name] = [_create_record(case, resource, choices, index) for index in range(number)]
    return cache[resource.name]


def _create_record(case: Case, resource: Resource, choices: Mapping[str, Sequence[Any]], index: int) -> VariedRecord:
    """Create a record with the value of that index of each property; the first value where there are fewer."""
    changes = {name: values[index if index < len(values) else 0] for name, values in choices.items()}
    try:
        return VariedRecord(changes, case.session.records.create(resource.name, changes))
    except SkipCheck as skip:
        return VariedRecord(changes, skip.reason)


def _list_keys(case: Case, resource: Resource) -> set[Any]:
    """Return the keys in the list of the other tenant."""
    query = case.session.records.required_query(case.operation)
    rows = case.session.records.rows(case.operation, query, actor=Actor.OTHER_TENANT)
    return {row[resource.key_attribute] for row in rows if resource.key_attribute in row}
