"""What each action does: `run_action` finds it by the name that the contract gives an operation.

The five generic ones are derived from method and path; each family of named ones has a module here, and may name the
fields of its own request and record. An action is a function of one validated call.
"""

from collections.abc import Callable, Mapping

from mock_server.actions import (
    authentication,
    create,
    delete,
    executions,
    generation,
    leaderboard,
    list,
    messages,
    metrics,
    model_runs,
    retrieve,
    sharing,
    update,
    workspace_metrics,
)
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import StoredRecord

Action = Callable[[ActionRequest], ActionResult]

ACTIONS: Mapping[str, Action] = {
    "list": list.list_records,
    "retrieve": retrieve.retrieve_record,
    "create": create.create_record,
    "update": update.update_record,
    "delete": delete.delete_record,
    "sign-in": authentication.sign_in,
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
    "agent-leaderboard": leaderboard.rank_agents,
}

# What no grant opens, whatever it permits.
OWN_TENANT_ACTIONS = ("delete", "share")

# What an action asks of the state of the record in its path, where it asks anything.
STATE_CHECKS: Mapping[str, Callable[[Sandbox, StoredRecord], bool]] = {
    "delete": delete.can_delete,
    "trigger-workflow": executions.can_start,
    "stop-execution": executions.can_stop,
}


def run_action(request: ActionRequest) -> ActionResult:
    """Do what a call asks. Raises Refusal."""
    return ACTIONS[request.operation.action](request)
