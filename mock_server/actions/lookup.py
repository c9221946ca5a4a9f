"""Records that a request names: found if the viewer may see them, and whether the viewer may write them."""

from typing import Any

from mock_server.call import ActionRequest
from mock_server.problems import ApiError, ErrorKind
from mock_server.query import Condition, all_of, any_of
from mock_server.store import Stored
from mock_server.store.plan import key_from
from spec.contract import Resource


def find_in_path(request: ActionRequest, *, for_write: bool = False, allow_shared: bool = True) -> Stored:
    """The record that the path names. Raises Refusal: not there, not the viewer's to see, or not to write.

    `allow_shared`: whether a grant may open it.
    """
    resource = request.world.contract.resources[request.operation.resource or ""]
    text = next(iter(request.path_parameters.values()))
    record = find_visible(request, resource, key_from(resource, text), display_key=text)
    if for_write:
        require_writable(request, resource, record, allow_shared=allow_shared)
    return record


def find_visible(request: ActionRequest, resource: Resource, key: Any, *, display_key: Any = None) -> Stored:
    """The record with that key, if the viewer may see it. Raises Refusal (404) otherwise."""
    record = request.world.store.get(resource.name, key)
    if record is not None and request.viewer is not None and record.tenant in request.viewer.tenant_keys:
        return record
    condition = all_of((Condition("key = ?", (key,)), request.world.query(request.viewer).visible(resource)))
    records = request.world.store.rows(resource.name, condition.sql, condition.parameters)
    if records:
        return records[0]
    displayed = key if display_key is None else display_key
    if record is None:
        detail = f"there is no {resource.name} {displayed}"
        raise ApiError(ErrorKind.RECORD_NOT_FOUND, detail, resource=resource.name, key=displayed)
    detail = (
        f"{resource.name} {displayed} lies in a workspace that this token may not enter, and was not shared with it"
    )
    raise ApiError(ErrorKind.OTHER_TENANT, detail, resource=resource.name, key=displayed)


def require_writable(request: ActionRequest, resource: Resource, record: Stored, *, allow_shared: bool = True) -> None:
    """Raise Refusal (403) unless the viewer may change the record; not `allow_shared`: unless it lies in their tenant."""
    viewer = request.viewer
    if viewer is None:
        return
    if resource.writers == "owner":
        if find_owner_key(request, resource, record) != viewer.user_key:
            raise ApiError(ErrorKind.FORBIDDEN, f"only its owner may change this {resource.name}")
        return
    if record.tenant is None or record.tenant in viewer.tenant_keys:
        return
    if not allow_shared:
        detail = f"this {resource.name} was shared with this token, which at most lets it be changed and run"
        raise ApiError(ErrorKind.FORBIDDEN, f"{detail}; only in its own workspace may it be deleted or shared on")
    conditions = (
        condition for condition, permission in request.world.query(viewer).shared(resource) if permission == "write"
    )
    condition = all_of((Condition("key = ?", (record.key,)), any_of(conditions)))
    if not request.world.store.rows(resource.name, condition.sql, condition.parameters):
        raise ApiError(ErrorKind.FORBIDDEN, f"this {resource.name} was shared with this token to read, not to write")


def find_owner_key(request: ActionRequest, resource: Resource, record: Stored) -> Any:
    """Key of the user that a record belongs to, None where there is none."""
    current: Stored | None = record
    reference = None
    for relation_name in resource.owner_path:
        reference = current.references.get(relation_name) if current else None
        current = request.world.store.at(reference)
    return reference.key if reference else None
