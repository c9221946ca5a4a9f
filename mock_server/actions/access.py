"""Access to the records that a request names: visibility and write permission."""

from typing import Any

from mock_server.actions.call import ActionRequest
from mock_server.errors import ApiError, ErrorKind
from mock_server.query import iter_shared_conditions
from mock_server.store import StoredRecord
from mock_server.store.expressions import all_of, any_of, has_key
from mock_server.store.schema import parse_key
from spec.model import Resource
from spec.record import Reference


def find_in_path(request: ActionRequest, *, for_write: bool = False, allow_shared: bool = True) -> StoredRecord:
    """Return the record that the path names. `allow_shared`: whether a share is sufficient for write access.

    Raises ApiError if the record does not exist, or the viewer may not see it (404) or not write it (403).
    """
    resource = request.resource
    text = next(iter(request.path_parameters.values()))
    record = find_visible(request, resource, parse_key(resource, text), display_key=text)
    if for_write:
        require_writable(request, resource, record, allow_shared=allow_shared)
    return record


def find_visible(request: ActionRequest, resource: Resource, key: Any, *, display_key: Any = None) -> StoredRecord:
    """Return the record with that key if the viewer may see it. Raises ApiError (404) otherwise."""
    record = request.store.get(resource.name, key)
    if record is not None and request.viewer is not None and record.tenant_key in request.viewer.tenant_keys:
        return record
    visible = request.viewer_query.build_visibility_condition(resource)
    if records := request.store.select(resource.name, all_of((has_key(key), visible))):
        return records[0]
    displayed = key if display_key is None else display_key
    kind, detail = ErrorKind.RECORD_NOT_FOUND, f"{resource.name} {displayed} does not exist"
    if record is not None:
        kind = ErrorKind.OTHER_TENANT
        detail = f"{resource.name} {displayed} belongs to another workspace and is not shared with the token's user"
    raise ApiError(kind, detail, resource=resource.name, key=displayed)


def resolve_visible(request: ActionRequest, reference: Reference | None) -> StoredRecord | None:
    """Return the record that a reference leads to, None if it does not exist or the viewer may not see it."""
    record = request.store.resolve(reference)
    is_visible = record is not None and request.sandbox.encoder.visibility.is_visible(request.viewer, record, set())
    return record if is_visible else None


def require_writable(
    request: ActionRequest, resource: Resource, record: StoredRecord, *, allow_shared: bool = True
) -> None:
    """Raise ApiError (403) unless the viewer may change the record.

    `allow_shared` False: the record must belong to a tenant of the viewer.
    """
    viewer = request.viewer
    if viewer is None:
        return
    if resource.writers == "owner":
        owner = request.sandbox.encoder.follow_path(record, resource.owner_path, set()) if resource.owner_path else None
        if owner is None or owner.key != viewer.user_key:
            raise ApiError(ErrorKind.FORBIDDEN, f"only its owner may change this {resource.name}")
        return
    if record.tenant_key is None or record.tenant_key in viewer.tenant_keys:
        return
    if not allow_shared:
        detail = f"this {resource.name} is shared with the token's user; only its own workspace may delete or share it"
        raise ApiError(ErrorKind.FORBIDDEN, detail)
    shared = iter_shared_conditions(request.store, viewer, resource)
    grants = [other.access_grant for other in request.contract.resources.values() if other.access_grant]
    writers = {permission for grant in grants for permission in grant.writers}
    writable = any_of(condition for condition, permission in shared if permission in writers)
    if not request.store.select(resource.name, all_of((has_key(record.key), writable))):
        raise ApiError(ErrorKind.FORBIDDEN, f"this {resource.name} is shared for reading, not for writing")
