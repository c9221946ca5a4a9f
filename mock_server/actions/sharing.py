"""Share a record with a user or a workspace."""

from mock_server.actions.access import find_in_path
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.crud import insert_record
from mock_server.actions.responses import render_record
from mock_server.errors import ApiError, ErrorKind
from mock_server.store.expressions import refers_to
from mock_server.store.schema import parse_key
from spec.document import snake_case
from spec.record import Reference


def share_record(request: ActionRequest) -> ActionResult:
    """Create a Share of the record for the body's entity, or change the permission of the existing one.

    Raises ApiError if the record is only shared with the viewer (403), or the entity does not exist (404).
    """
    store = request.store
    record = find_in_path(request, for_write=True, allow_shared=False)
    resource = next(r for r in request.contract.resources.values() if r.access_grant)
    grant = resource.access_grant
    assert grant is not None
    entity = _find_entity(request, resource.relations[grant.entity].targets)
    attributes = {name: request.body[name] for name in ("entity_type", grant.permission) if name in request.body}
    subject = resource.relations[grant.subject]
    with store.transaction():
        shares = store.select(resource.name, refers_to(subject, (record.reference,)))
        share = next((s for s in shares if s.references[grant.entity] == entity), None)
        if share is None:
            references = {grant.subject: record.reference, grant.entity: entity}
            share = insert_record(request, resource, attributes, references)
        else:
            store.update(resource.name, share.key, {**share.attributes, **attributes})
            share = store.get_existing(share.reference)
    return render_record(request, share)


def _find_entity(request: ActionRequest, allowed: tuple[str, ...]) -> Reference:
    """Return the entity that the body names, visible to the viewer or not: sharing crosses tenants."""
    resource_name = next(name for name in allowed if snake_case(name) == request.body["entity_type"])
    key = request.body["entity_id"]
    record = request.store.get(resource_name, parse_key(request.contract.resources[resource_name], key))
    if record is None:
        detail = f"body.entity_id: {resource_name} {key} does not exist"
        raise ApiError(ErrorKind.RECORD_NOT_FOUND, detail, resource=resource_name, key=key)
    return record.reference
