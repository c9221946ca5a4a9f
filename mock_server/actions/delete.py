"""Delete a record, and what the contract deletes or clears with it."""

from mock_server.actions.access import find_in_path
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import DeleteRestricted, StoredRecord


def can_delete(sandbox: Sandbox, record: StoredRecord) -> bool:
    """Whether nobody needs the record itself; what would go with it is not asked."""
    return not sandbox.store.is_restricted(record.reference)


def delete_record(request: ActionRequest) -> ActionResult:
    """Remove the record. Raises Refusal (409) while the contract refuses it."""
    record = find_in_path(request, for_write=True, allow_shared=False)
    try:
        with request.sandbox.store.transaction():
            request.sandbox.store.delete(record.resource, record.key)
    except DeleteRestricted as error:
        relation = error.relation.replace("_", " ")
        message = f"This {error.resource} cannot be deleted while it is any {error.referring_resource}'s {relation}."
        raise ApiError(ErrorKind.CONFLICT, message=message) from None
    return ActionResult(None)
