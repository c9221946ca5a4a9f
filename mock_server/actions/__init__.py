"""What each action does: `run` finds it by the name that the contract gives an operation.

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
    retrieve,
    runs,
    sharing,
    update,
    workspace_metrics,
)
from mock_server.call import Answer, Call
from mock_server.store import Stored
from mock_server.world import World

Action = Callable[[Call], Answer]

ACTIONS: Mapping[str, Action] = {
    "list": list.run,
    "retrieve": retrieve.run,
    "create": create.run,
    "update": update.run,
    "delete": delete.run,
    "sign-in": authentication.sign_in,
    "logout": authentication.sign_out,
    "authenticated-user": authentication.authenticated_user,
    "share": sharing.share,
    "create-message": messages.create,
    "run-agent": runs.run_agent,
    "run-thread": runs.run_thread,
    "run-prompt": runs.run_prompt,
    "train-agent": runs.train_agent,
    "generate-agent": generation.generate_agent,
    "generate-workflow": generation.generate_workflow,
    "generate-thread-name": generation.generate_thread_name,
    "trigger-workflow": executions.trigger,
    "create-execution": executions.create,
    "stop-execution": executions.stop,
    "count-executions": executions.count,
    "metrics": metrics.run,
    "workspace-metrics": workspace_metrics.run,
    "agent-leaderboard": leaderboard.run,
}

# What no grant opens, whatever it permits.
NEVER_GRANTED = ("delete", "share")

# What an action asks of the state of the record in its path, where it asks anything.
FITS: Mapping[str, Callable[[World, Stored], bool]] = {
    "delete": delete.may_be_deleted,
    "trigger-workflow": executions.may_be_started,
    "stop-execution": executions.may_be_stopped,
}


def run(call: Call) -> Answer:
    """Do what a call asks. Raises Refusal."""
    return ACTIONS[call.operation.action](call)
