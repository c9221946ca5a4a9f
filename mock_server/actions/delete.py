"""Delete a record, and what the contract deletes or clears with it."""

from mock_server.actions.lookup import named_in_path
from mock_server.call import Answer, Call
from mock_server.problems import Problem, Refusal
from mock_server.store import Refused, Stored
from mock_server.world import World


def may_be_deleted(world: World, record: Stored) -> bool:
    """Whether nobody needs the record itself; what would go with it is not asked."""
    return not world.store.is_held(record.reference)


def run(call: Call) -> Answer:
    """Remove the record. Raises Refusal (409) while the contract refuses it."""
    record = named_in_path(call, to_write=True, granted=False)
    try:
        with call.world.store.transaction():
            call.world.store.remove(record.resource, record.key)
    except Refused as refused:
        relation = refused.relation.replace("_", " ")
        message = f"This {refused.resource} cannot be deleted while it is any {refused.by}'s {relation}."
        raise Refusal(Problem.STATE, message=message) from None
    return Answer(None)
