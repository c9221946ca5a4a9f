"""Generate an agent, a workflow or the name of a thread: canned personas of the dataset, chosen by the prompt."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mock_server.actions.access import find_in_path
from mock_server.actions.assistant import pick, shorten_title
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.crud import create_from_attributes
from mock_server.actions.responses import render_record

AGENT_ATTRIBUTES = ("name", "description", "instruction")
AGENT_METADATA_FIELDS = (
    *("role", "goal_statement", "backstory", "guardrails"),
    *("base_instructions", "conversation_starters", "greetings", "tone_of_voice"),
)
STEP_WIDTH = 240  # distance between the nodes of a workflow


def generate_agent(request: ActionRequest) -> ActionResult:
    """Create an agent from a persona."""
    persona = _pick_persona(request, "agent")
    attributes = {
        **{name: persona[name] for name in AGENT_ATTRIBUTES},
        "profile_photo_config": _build_photo_config(persona),
        "metadata": {name: persona[name] for name in AGENT_METADATA_FIELDS},
    }
    return create_from_attributes(request, request.contract.resources["Agent"], attributes)


def generate_workflow(request: ActionRequest) -> ActionResult:
    """Create a workflow from a persona: its trigger, then one node for each further step."""
    persona = _pick_persona(request, "workflow")
    steps = [(f"step-{number}", step) for number, step in enumerate(persona["steps"], 1)]
    edges = enumerate(pairwise(key for key, _ in steps), 1)
    attributes = {
        "name": persona["name"],
        "description": persona["description"],
        "profile_photo_config": _build_photo_config(persona),
        "nodes": [
            {
                "id": key,
                "type": "agent" if index else persona["trigger"],
                "name": step,
                "position": {"x": STEP_WIDTH * index, "y": 0},
                "parameters": {},
            }
            for index, (key, step) in enumerate(steps)
        ],
        "edges": [
            {"id": f"edge-{number}", "source": source, "target": target, "label": "then"}
            for number, (source, target) in edges
        ],
    }
    return create_from_attributes(request, request.contract.resources["Workflow"], attributes)


def generate_thread_name(request: ActionRequest) -> ActionResult:
    """Name a thread after its first message."""
    store = request.store
    thread = find_in_path(request, for_write=True)
    messages = store.find_inverse(request.contract.resources["Thread"].relations["messages"], thread.reference)
    title = shorten_title(store.get_existing(messages[0]).attributes["content"]) if messages else ""
    changes = {"name": title or thread.attributes["name"], "updated_at": request.timestamp}
    with store.transaction():
        store.update("Thread", thread.key, {**thread.attributes, **changes})
    return render_record(request, store.get_existing(thread.reference))


def _pick_persona(request: ActionRequest, name: str) -> Mapping[str, Any]:
    persona: Mapping[str, Any] = pick(request.sandbox.phrases[name], request.body["prompt"])
    return persona


def _build_photo_config(persona: Mapping[str, Any]) -> dict[str, Any]:
    return {"emoji": persona["emoji"], "background_color": persona["background_color"], "preference": "emoji"}
