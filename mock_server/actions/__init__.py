"""What each action does: `run` finds it by the name that the contract gives an operation.

The five generic ones are derived from method and path; each family of named ones has a module here, and may name the
fields of its own request and record. An action is a function of one validated call.
"""

from collections.abc import Callable, Mapping

from mock_server.actions import create, delete, list, retrieve, update
from mock_server.call import Answer, Call

Action = Callable[[Call], Answer]

ACTIONS: Mapping[str, Action] = {
    "list": list.run,
    "retrieve": retrieve.run,
    "create": create.run,
    "update": update.run,
    "delete": delete.run,
}


def run(call: Call) -> Answer:
    """Do what a call asks. Raises Refusal."""
    return ACTIONS[call.operation.action](call)
