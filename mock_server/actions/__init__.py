"""The actions of operations: functions of a validated request, found by the name that the contract specifies.

The five generic actions follow from method and path. Only named actions may use names of the contract's fields.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from mock_server.actions import (
    authentication,
    crud,
    executions,
    generation,
    messages,
    metrics,
    model_runs,
    sharing,
    workspace_metrics,
)
from mock_server.actions.access import find_in_path
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import StoredRecord
from spec.errors import ContractError, ProblemCollector
from spec.extensions import check_action
from spec.model import GENERIC_ACTIONS, STATIC_ACTION, Contract

Action = Callable[[ActionRequest], ActionResult]

SIGN_IN_ACTION = "sign-in"
ACTIONS: Mapping[str, Action] = {
    "list": crud.list_records,
    "retrieve": crud.retrieve_record,
    "create": crud.create_record,
    "update": crud.update_record,
    "delete": crud.delete_record,
    SIGN_IN_ACTION: authentication.sign_in,
    "logout": authentication.sign_out,
    "authenticated-user": authentication.get_authenticated_user,
    "share": sharing.share_record,
    "create-message": messages.create_message,
    "run-agent": model_runs.run_agent,
    "run-thread": model_runs.run_thread,
    "run-prompt": model_runs.run_prompt,
    "train-agent": model_runs.train_agent,
    "generate-agent": generation.generate_agent,
    "generate-workflow": generation.generate_workflow,
    "generate-thread-name": generation.generate_thread_name,
    "trigger-workflow": executions.trigger_workflow,
    "create-execution": executions.create_execution,
    "stop-execution": executions.stop_execution,
    "count-executions": executions.count_executions,
    "metrics": metrics.compute_metrics,
    "workspace-metrics": workspace_metrics.compute_workspace_metrics,
    "agent-leaderboard": workspace_metrics.rank_agents,
}
# The values of `x-action`, those of any contract first.
_GENERIC_NAMES = [name for name in ACTIONS if name in GENERIC_ACTIONS]
KNOWN_ACTIONS = tuple(dict.fromkeys((*_GENERIC_NAMES, STATIC_ACTION, *ACTIONS)))

# Actions that no share permits.
OWN_TENANT_ACTIONS = ("delete", "share")

# Actions that start asynchronous work, whose outcome a request can choose, and those that run a model.
OUTCOME_ACTIONS = frozenset({"trigger-workflow", "create-execution"})
TEXT_ACTIONS = frozenset({"run-agent", "run-thread", "run-prompt"})

# Action -> whether the state of the record in the path permits it.
STATE_CHECKS: Mapping[str, Callable[[Sandbox, StoredRecord], bool]] = {
    "delete": crud.can_delete,
    "trigger-workflow": executions.can_start,
    "stop-execution": executions.can_stop,
}


def run_action(request: ActionRequest) -> ActionResult:
    """Run the action of the request's operation. Raises ApiError."""
    return ACTIONS[request.operation.action](request)


def check_actions(contract: Contract, problems: ProblemCollector, *, requires_actions: bool = False) -> None:
    """Add a problem for each operation whose action is unknown, or missing if the contract `requires_actions`."""
    for operation in contract.operations.values():
        is_named = "x-action" in contract.document.resolve(operation.pointer)
        with problems.collect():
            check_action(operation.action, f"{operation.pointer}/x-action", KNOWN_ACTIONS)
        if operation.action == STATIC_ACTION and requires_actions and not is_named:
            name = f"{operation.method.upper()} {operation.path}"
            expected = "x-action, or a path /collection or /collection/{key} of a resource"
            problems.add(ContractError(operation.pointer, f"no action for {name}", expected))


def check_access(request: ActionRequest) -> None:
    """Raise ApiError (404, 403) unless the viewer may use the operation on the record in the path.

    Write permission is checked only if the contract documents a 403.
    """
    operation = request.operation
    allow_shared = operation.action not in OWN_TENANT_ACTIONS
    find_in_path(request, for_write=HTTPStatus.FORBIDDEN in operation.responses, allow_shared=allow_shared)
