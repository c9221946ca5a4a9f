"""Generate an agent, a workflow or a thread's name: canned personas of the dataset, chosen by the prompt."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mock_server.actions.assistant import pick, title
from mock_server.actions.create import stored
from mock_server.actions.lookup import named_in_path
from mock_server.actions.sent import references_of
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call

AGENT_TEXTS = ("name", "description", "instruction")
AGENT_METADATA = (
    "role",
    "goal_statement",
    "backstory",
    "guardrails",
    "base_instructions",
    "conversation_starters",
    "greetings",
    "tone_of_voice",
)
STEP_WIDTH = 240  # between the positions of a workflow's nodes


def generate_agent(call: Call) -> Answer:
    """Create an agent from a persona."""
    persona = _persona(call, "agent")
    own = {
        **{name: persona[name] for name in AGENT_TEXTS},
        "profile_photo_config": _photo(persona),
        "metadata": {name: persona[name] for name in AGENT_METADATA},
    }
    return _stored(call, "Agent", own)


def generate_workflow(call: Call) -> Answer:
    """Create a workflow from a persona: its trigger, then one node for each further step."""
    persona = _persona(call, "workflow")
    ids = [f"step-{number}" for number in range(1, len(persona["steps"]) + 1)]
    own = {
        "name": persona["name"],
        "description": persona["description"],
        "profile_photo_config": _photo(persona),
        "nodes": [
            {
                "id": key,
                "type": "agent" if index else persona["trigger"],
                "name": step,
                "position": {"x": STEP_WIDTH * index, "y": 0},
                "parameters": {},
            }
            for index, (key, step) in enumerate(zip(ids, persona["steps"], strict=True))
        ],
        "edges": [
            {"id": f"edge-{number}", "source": source, "target": target, "label": "then"}
            for number, (source, target) in enumerate(pairwise(ids), 1)
        ],
    }
    return _stored(call, "Workflow", own)


def generate_thread_name(call: Call) -> Answer:
    """Name a thread after its first message."""
    world = call.world
    thread = named_in_path(call, to_write=True)
    messages = world.store.inverse(world.contract.resources["Thread"].relations["messages"], thread.reference)
    first = world.store.existing(messages[0]).own["content"] if messages else ""
    own = {**thread.own, "name": title(first) or thread.own["name"], "updated_at": call.stamp}
    with world.store.transaction():
        world.store.change("Thread", thread.key, own)
    return shown(call, world.store.existing(thread.reference))


def _persona(call: Call, name: str) -> Mapping[str, Any]:
    persona: Mapping[str, Any] = pick(call.world.phrases[name], call.body["prompt"])
    return persona


def _photo(persona: Mapping[str, Any]) -> dict[str, Any]:
    return {"emoji": persona["emoji"], "background_color": persona["background_color"], "preference": "emoji"}


def _stored(call: Call, name: str, own: Mapping[str, Any]) -> Answer:
    resource = call.world.contract.resources[name]
    references = references_of(call, resource)
    with call.world.store.transaction():
        record = stored(call, resource, own, references)
    return shown(call, record)
