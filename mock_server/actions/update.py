"""Update a record in part: keys that were sent change, the others stay."""

from mock_server.actions.access import find_in_path
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.create import merge_defaults
from mock_server.actions.request_mapping import extract_attributes, resolve_references
from mock_server.actions.responses import render_record


def update_record(request: ActionRequest) -> ActionResult:
    """Store what was sent and answer the record."""
    sandbox = request.sandbox
    resource = sandbox.contract.resources[request.operation.resource or ""]
    record = find_in_path(request, for_write=True)
    changes = {
        name: merge_defaults(resource.attributes[name].default, record.attributes.get(name), value)
        for name, value in extract_attributes(request, resource).items()
    }
    attributes = {
        **record.attributes,
        **changes,
        **dict.fromkeys(resource.attributes_with_stamp("updated"), request.timestamp),
    }
    references = resolve_references(request, resource)
    with sandbox.store.transaction():
        sandbox.store.update(resource.name, record.key, attributes, references)
    return render_record(request, sandbox.store.get_existing(record.reference))
