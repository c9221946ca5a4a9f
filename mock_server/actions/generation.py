"""Generate an agent, a workflow or a thread's name: canned personas of the dataset, chosen by the prompt."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mock_server.actions.access import find_in_path
from mock_server.actions.assistant import pick, shorten_title
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.create import insert_record
from mock_server.actions.request_mapping import resolve_references
from mock_server.actions.responses import render_record

AGENT_ATTRIBUTES = ("name", "description", "instruction")
AGENT_METADATA_FIELDS = (
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


def generate_agent(request: ActionRequest) -> ActionResult:
    """Create an agent from a persona."""
    persona = _pick_persona(request, "agent")
    attributes = {
        **{name: persona[name] for name in AGENT_ATTRIBUTES},
        "profile_photo_config": _build_photo_config(persona),
        "metadata": {name: persona[name] for name in AGENT_METADATA_FIELDS},
    }
    return _create_record(request, "Agent", attributes)


def generate_workflow(request: ActionRequest) -> ActionResult:
    """Create a workflow from a persona: its trigger, then one node for each further step."""
    persona = _pick_persona(request, "workflow")
    ids = [f"step-{number}" for number in range(1, len(persona["steps"]) + 1)]
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
            for index, (key, step) in enumerate(zip(ids, persona["steps"], strict=True))
        ],
        "edges": [
            {"id": f"edge-{number}", "source": source, "target": target, "label": "then"}
            for number, (source, target) in enumerate(pairwise(ids), 1)
        ],
    }
    return _create_record(request, "Workflow", attributes)


def generate_thread_name(request: ActionRequest) -> ActionResult:
    """Name a thread after its first message."""
    sandbox = request.sandbox
    thread = find_in_path(request, for_write=True)
    messages = sandbox.store.find_inverse(sandbox.contract.resources["Thread"].relations["messages"], thread.reference)
    first_message = sandbox.store.get_existing(messages[0]).attributes["content"] if messages else ""
    attributes = {
        **thread.attributes,
        "name": shorten_title(first_message) or thread.attributes["name"],
        "updated_at": request.timestamp,
    }
    with sandbox.store.transaction():
        sandbox.store.update("Thread", thread.key, attributes)
    return render_record(request, sandbox.store.get_existing(thread.reference))


def _pick_persona(request: ActionRequest, name: str) -> Mapping[str, Any]:
    persona: Mapping[str, Any] = pick(request.sandbox.phrases[name], request.body["prompt"])
    return persona


def _build_photo_config(persona: Mapping[str, Any]) -> dict[str, Any]:
    return {"emoji": persona["emoji"], "background_color": persona["background_color"], "preference": "emoji"}


def _create_record(request: ActionRequest, name: str, attributes: Mapping[str, Any]) -> ActionResult:
    resource = request.sandbox.contract.resources[name]
    references = resolve_references(request, resource)
    with request.sandbox.store.transaction():
        record = insert_record(request, resource, attributes, references)
    return render_record(request, record)
