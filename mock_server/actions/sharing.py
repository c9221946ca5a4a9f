"""Share a record with a user or a workspace: a Share appears, and the other side sees the record."""

from mock_server.actions.access import find_in_path
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.create import insert_record
from mock_server.actions.responses import render_record
from mock_server.errors import ApiError, ErrorKind
from mock_server.store.schema import encode_reference, parse_key, reference_column
from spec.document import snake_case
from spec.record import Reference


def share_record(request: ActionRequest) -> ActionResult:
    """Grant the entity that the body names a permission; a second time changes the permission.

    Raises Refusal: 403 for what was only shared with the viewer, 404 for an unknown entity.
    """
    sandbox = request.sandbox
    record = find_in_path(request, for_write=True, allow_shared=False)
    resource = next(r for r in sandbox.contract.resources.values() if r.access_grant)
    grants = resource.access_grant
    assert grants is not None
    entity = _find_entity(request, resource.relations[grants.entity].targets)
    attributes = {name: request.body[name] for name in ("entity_type", grants.permission) if name in request.body}
    subject = resource.relations[grants.subject]
    where = f"{reference_column(subject.name)} = ?"
    with sandbox.store.transaction():
        shares = sandbox.store.select(resource.name, where, (encode_reference(subject, record.reference),))
        existing = next((s for s in shares if s.references[grants.entity] == entity), None)
        if existing is None:
            grant = insert_record(
                request, resource, attributes, {grants.subject: record.reference, grants.entity: entity}
            )
        else:
            sandbox.store.update(resource.name, existing.key, {**existing.attributes, **attributes})
            grant = sandbox.store.get_existing(existing.reference)
    return render_record(request, grant)


def _find_entity(request: ActionRequest, allowed: tuple[str, ...]) -> Reference:
    """Whom the body names. Not only whom the viewer may see: sharing is how others come to see something."""
    resource_name = next(name for name in allowed if snake_case(name) == request.body["entity_type"])
    key = request.body["entity_id"]
    record = request.sandbox.store.get(resource_name, parse_key(request.sandbox.contract.resources[resource_name], key))
    if record is None:
        detail = f"the body's entity_id names no {resource_name}: {key}"
        raise ApiError(ErrorKind.RECORD_NOT_FOUND, detail, resource=resource_name, key=key)
    return record.reference
