"""Records that a request names: found if the viewer may see them, and whether the viewer may write them."""

from typing import Any

from mock_server.actions.call import ActionRequest
from mock_server.errors import ApiError, ErrorKind
from mock_server.query.query import SqlCondition, all_of, any_of
from mock_server.store import StoredRecord
from mock_server.store.schema import parse_key
from spec.loader import Resource


def find_in_path(request: ActionRequest, *, for_write: bool = False, allow_shared: bool = True) -> StoredRecord:
    """The record that the path names. Raises Refusal: not there, not the viewer's to see, or not to write.

    `allow_shared`: whether a grant may open it.
    """
    resource = request.sandbox.contract.resources[request.operation.resource or ""]
    text = next(iter(request.path_parameters.values()))
    record = find_visible(request, resource, parse_key(resource, text), display_key=text)
    if for_write:
        require_writable(request, resource, record, allow_shared=allow_shared)
    return record


def find_visible(request: ActionRequest, resource: Resource, key: Any, *, display_key: Any = None) -> StoredRecord:
    """The record with that key, if the viewer may see it. Raises Refusal (404) otherwise."""
    record = request.sandbox.store.get(resource.name, key)
    if record is not None and request.viewer is not None and record.tenant_key in request.viewer.tenant_keys:
        return record
    condition = all_of(
        (
            SqlCondition("key = ?", (key,)),
            request.sandbox.create_query(request.viewer).build_visibility_condition(resource),
        )
    )
    records = request.sandbox.store.select(resource.name, condition.sql, condition.parameters)
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


def require_writable(
    request: ActionRequest, resource: Resource, record: StoredRecord, *, allow_shared: bool = True
) -> None:
    """Raise Refusal (403) unless the viewer may change the record; not `allow_shared`: unless it lies in their tenant."""
    viewer = request.viewer
    if viewer is None:
        return
    if resource.writers == "owner":
        if find_owner_key(request, resource, record) != viewer.user_key:
            raise ApiError(ErrorKind.FORBIDDEN, f"only its owner may change this {resource.name}")
        return
    if record.tenant_key is None or record.tenant_key in viewer.tenant_keys:
        return
    if not allow_shared:
        detail = f"this {resource.name} was shared with this token, which at most lets it be changed and run"
        raise ApiError(ErrorKind.FORBIDDEN, f"{detail}; only in its own workspace may it be deleted or shared on")
    conditions = (
        condition
        for condition, permission in request.sandbox.create_query(viewer).iter_shared_conditions(resource)
        if permission == "write"
    )
    condition = all_of((SqlCondition("key = ?", (record.key,)), any_of(conditions)))
    if not request.sandbox.store.select(resource.name, condition.sql, condition.parameters):
        raise ApiError(ErrorKind.FORBIDDEN, f"this {resource.name} was shared with this token to read, not to write")


def find_owner_key(request: ActionRequest, resource: Resource, record: StoredRecord) -> Any:
    """Key of the user that a record belongs to, None where there is none."""
    current: StoredRecord | None = record
    reference = None
    for relation_name in resource.owner_path:
        reference = current.references.get(relation_name) if current else None
        current = request.sandbox.store.resolve(reference)
    return reference.key if reference else None
