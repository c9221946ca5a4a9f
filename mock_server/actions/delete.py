"""Delete a record, and what the contract deletes or clears with it."""

from mock_server.actions.lookup import named_in_path
from mock_server.call import Answer, Call
from mock_server.problems import Problem, Refusal
from mock_server.store import Refused


def run(call: Call) -> Answer:
    """Remove the record. Raises Refusal (409) while the contract refuses it."""
    record = named_in_path(call, to_write=True)
    try:
        with call.world.store.transaction():
            call.world.store.remove(record.resource, record.key)
    except Refused as refused:
        relation = refused.relation.replace("_", " ")
        article = "an" if refused.by[0] in "AEIOU" else "a"
        message = f"This {refused.resource} is the {relation} of {article} {refused.by} and cannot be deleted."
        raise Refusal(Problem.STATE, message=message) from None
    return Answer(None)
