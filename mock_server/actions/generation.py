"""Let a model write an agent, a workflow or a thread's name: here a function of the request's own words."""

from collections.abc import Mapping
from typing import Any

from mock_server.actions import assistant
from mock_server.actions.create import stored
from mock_server.actions.lookup import named_in_path
from mock_server.actions.sent import references_of
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call


def generate_agent(call: Call) -> Answer:
    """A new agent made for what the body describes."""
    wish = call.body["prompt"][:300]
    about = assistant.subject(wish)
    own: dict[str, Any] = {
        "name": f"{assistant.title(wish, 4)} Assistant",
        "description": f"An assistant made to help with: {wish}",
        "instruction": f"You help with {about}. Ask when something is unclear and answer in short, complete steps.",
        "metadata": {
            "role": f"{assistant.title(wish, 3)} specialist",
            "goal_statement": f"To help people with {about}.",
        },
    }
    return _stored(call, "Agent", own)


def generate_workflow(call: Call) -> Answer:
    """A new workflow made for what the body describes."""
    wish = call.body["prompt"][:300]
    own = {
        "name": f"{assistant.title(wish, 4)} Flow",
        "description": f"A workflow made to: {wish}",
        "nodes": ["trigger", assistant.subject(wish, 3), "finish"],
    }
    return _stored(call, "Workflow", own)


def generate_thread_name(call: Call) -> Answer:
    """Name a thread after the first thing that was said in it."""
    world = call.world
    thread = named_in_path(call, to_write=True)
    messages = world.contract.resources["Thread"].relations["messages"]
    said = world.store.inverse(messages, thread.reference)
    text = world.store.existing(said[0]).own["content"] if said else ""
    name = assistant.title(text) if text else thread.own["name"]
    with world.store.transaction():
        world.store.change("Thread", thread.key, {**thread.own, "name": name, "updated_at": call.stamp})
    return shown(call, world.store.existing(thread.reference))


def _stored(call: Call, name: str, own: Mapping[str, Any]) -> Answer:
    resource = call.world.contract.resources[name]
    references = references_of(call, resource)
    with call.world.store.transaction():
        record = stored(call, resource, own, references)
    return shown(call, record)
