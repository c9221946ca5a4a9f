"""Create a record from a request's body."""

from collections.abc import Mapping
from typing import Any

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.request_mapping import extract_attributes, resolve_references
from mock_server.actions.responses import render_record
from mock_server.sandbox.write_plans import RecordDefaults
from mock_server.store import StoredRecord
from spec.loader import Resource
from spec.record import Record, Reference

RelationValues = Mapping[str, Reference | tuple[Reference, ...] | None]


def create_record(request: ActionRequest) -> ActionResult:
    """Store the record and answer it."""
    resource = request.sandbox.contract.resources[request.operation.resource or ""]
    attributes, references = extract_attributes(request, resource), resolve_references(request, resource)
    with request.sandbox.store.transaction():
        record = insert_record(request, resource, attributes, references)
    return render_record(request, record)


def insert_record(
    request: ActionRequest, resource: Resource, attributes: Mapping[str, Any], references: RelationValues
) -> StoredRecord:
    """A new record of `resource`, with everything that the server adds, as it now stands in the store."""
    sandbox = request.sandbox
    defaults = sandbox.write_plans.get_record_defaults(resource)
    key = sandbox.create_key(resource)
    relation_values = {
        **_default_references(defaults, request),
        **{name: target for name, target in references.items() if target is not None},
    }
    record = Record(resource.name, key, build_attributes(request, resource, defaults, key, attributes), relation_values)
    return sandbox.store.add(
        record, has_new_key=not resource.has_integer_key
    )  # a number may be some other record's key


def build_attributes(
    request: ActionRequest, resource: Resource, defaults: RecordDefaults, key: Any, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """Own properties in the order of the schema: as sent, else stamped, else the contract's default."""
    values = {**defaults.attributes}
    for name, value in attributes.items():
        if name in values:
            default = defaults.object_defaults.get(name)
            values[name] = value if default is None else merge_defaults(default, default, value)
    timestamp = request.timestamp
    for name, stamp in defaults.managed_attributes:
        values[name] = request.sandbox.store.next_number(resource.name) if stamp == "number" else timestamp
    values[resource.key_attribute] = key
    for name in defaults.optional_attributes:
        if name not in attributes:
            del values[name]
    return values


def merge_defaults(default: Any, current: Any, new_value: Any) -> Any:
    """What was sent, and what stood there before beside it, in objects to whose keys the contract gives defaults."""
    if not (isinstance(default, dict) and default and isinstance(current, dict) and isinstance(new_value, dict)):
        return new_value
    retained = {name: value for name, value in current.items() if name not in new_value}
    return {
        **retained,
        **{name: merge_defaults(default.get(name), current.get(name), value) for name, value in new_value.items()},
    }


def _default_references(defaults: RecordDefaults, request: ActionRequest) -> dict[str, Reference]:
    """The viewer as owner and the viewer's home as tenant, where a record holds them itself."""
    contract, viewer = request.sandbox.contract, request.viewer
    references: dict[str, Reference] = {}
    if not (defaults.tenant_relations or defaults.owner_relations):
        return references
    if viewer is not None and contract.tenant_resource and viewer.tenant_keys:
        references |= dict.fromkeys(
            defaults.tenant_relations, Reference(contract.tenant_resource.name, viewer.tenant_keys[0])
        )
    if viewer is not None and contract.account_resource:
        references |= dict.fromkeys(
            defaults.owner_relations, Reference(contract.account_resource.name, viewer.user_key)
        )
    return references
