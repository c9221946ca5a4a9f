"""Update a record in part: keys that were sent change, the others stay."""

from mock_server.actions.create import completed
from mock_server.actions.lookup import named_in_path
from mock_server.actions.sent import own_of, references_of
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call


def run(call: Call) -> Answer:
    """Store what was sent and answer the record."""
    world = call.world
    resource = world.contract.resources[call.operation.resource or ""]
    record = named_in_path(call, to_write=True)
    sent = {
        name: completed(resource.attributes[name].default, record.own.get(name), value)
        for name, value in own_of(call, resource).items()
    }
    own = {**record.own, **sent, **dict.fromkeys(resource.attributes_with_stamp("updated"), call.stamp)}
    references = references_of(call, resource)
    with world.store.transaction():
        world.store.change(resource.name, record.key, own, references)
    return shown(call, world.store.existing(record.reference))
