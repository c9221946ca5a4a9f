"""Example keys for the documentation: records of the first user on which each operation succeeds.

The operations are not run. Access rules and `actions.STATE_CHECKS` are evaluated instead.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mock_server.actions import STATE_CHECKS, check_access
from mock_server.actions.call import ActionRequest
from mock_server.errors import ApiError
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.store import StoredRecord
from spec.model import Operation

MAX_CANDIDATES = 200  # per operation, oldest first


def iter_example_keys(sandbox: Sandbox) -> Iterator[tuple[Operation, Any]]:
    """Yield (operation, key) for each operation with one path parameter for which a record exists."""
    now = sandbox.clock.now()
    sandbox.apply_scheduled_changes(now)
    viewer = sandbox.resolve_token(next(iter(BUILTIN_TOKENS)), now)
    for operation in sandbox.contract.operations.values():
        resource = sandbox.contract.resources.get(operation.resource or "")
        if resource is not None and len(operation.path_parameter_names) == 1:
            request = ActionRequest(operation, sandbox, viewer, {}, {}, "", None, "", now)
            condition = request.viewer_query.build_visibility_condition(resource)
            candidates = sandbox.store.select(resource.name, condition, limit=f"LIMIT {MAX_CANDIDATES}")
            record = next((r for r in candidates if _accepts(request, operation, r)), None)
            if record is not None:
                yield operation, record.key


def _accepts(request: ActionRequest, operation: Operation, record: StoredRecord) -> bool:
    """Whether the operation is neither forbidden (403) nor in conflict (409) with the record's state."""
    state_check = STATE_CHECKS.get(operation.action)
    if state_check is not None and not state_check(request.sandbox, record):
        return False
    try:
        check_access(replace(request, path_parameters={operation.path_parameter_names[0]: str(record.key)}))
    except ApiError:
        return False
    return True
