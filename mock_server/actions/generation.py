"""Let a model write an agent, a workflow or a thread's name: here a function of the request's own words."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from mock_server.actions.assistant import pick
from mock_server.actions.create import stored
from mock_server.actions.lookup import named_in_path
from mock_server.actions.sent import references_of
from mock_server.actions.showing import shown
from mock_server.actions.wording import LOOKED_AT, keywords, occasion, purpose, step, title
from mock_server.call import Answer, Call

KINDS = ("Assistant", "Guide", "Specialist")
TONES = ("Friendly and to the point", "Calm and precise", "Warm, in plain words")
EMOJIS = ("🧭", "💬", "📋", "🛠️", "✨")
COLOURS = ("#E0F2FE", "#FEF3C7", "#DCFCE7", "#EDE9FE")
MOST_STEPS = 8
_STEPS = re.compile(r"[,;.\n]|\b(?:and then|and|then)\b", re.IGNORECASE)
_SCHEDULED = re.compile(
    r"\b(?:every|daily|weekly|monthly|hourly|each (?:day|morning|week|month|hour))\b", re.IGNORECASE
)
# What a step's words say of its type; the first that fits.
_TYPES = (
    ("email", re.compile(r"\b(?:e-?mails?|mails?|newsletter)\b", re.IGNORECASE)),
    ("approval", re.compile(r"\b(?:approv\w+|sign[- ]off|release)\b", re.IGNORECASE)),
    ("condition", re.compile(r"\b(?:if|whether|check|unless)\b", re.IGNORECASE)),
    ("http_request", re.compile(r"\b(?:fetch|call|post|send|import|export|sync|upload|download)\b", re.IGNORECASE)),
)


def generate_agent(call: Call) -> Answer:
    """A new agent made for what the body describes."""
    wish = call.body["prompt"]
    about = purpose(wish)
    phrase, name = about.phrase, keywords(about)
    own: dict[str, Any] = {
        "name": f"{name} {pick(KINDS, wish)}",
        "description": f"Takes care of {phrase}, and asks back when something is unclear.",
        "instruction": (
            f"You take care of {phrase}. Find out what is needed, do it with the sources you have, and say what you "
            "did in a few short sentences. Ask one question at a time when a detail is missing, and never invent facts."
        ),
        "profile_photo_config": {
            "emoji": pick(EMOJIS, wish),
            "background_color": pick(COLOURS, wish),
            "preference": "emoji",
        },
        "metadata": {
            "role": f"{name} specialist",
            "goal_statement": f"To make {phrase} quick and reliable.",
            "backstory": f"Made for a team that spends hours each week on {phrase}.",
            "guardrails": "Never pass on personal data. Hand over to a person when a decision costs money.",
            "base_instructions": "Answer in the language of the question. Name the source of each figure.",
            "conversation_starters": [
                f"Let us begin with {phrase}",
                f"What do you need to know for {phrase}?",
                f"Show me an example of {phrase}",
            ],
            "greetings": f"Hello! I am here for {phrase}. Where shall we begin?",
            "tone_of_voice": pick(TONES, wish),
        },
    }
    return _stored(call, "Agent", own)


def generate_workflow(call: Call) -> Answer:
    """A new workflow made for what the body describes: what starts it, then a step for each thing it is to do."""
    wish = call.body["prompt"]
    starts, steps = _steps(wish)
    kind = "schedule" if _SCHEDULED.search(wish[:LOOKED_AT]) else "webhook"
    named = [(kind, starts or "Start"), *((_type(said), said) for said in steps)]
    ids = [f"step-{number}" for number in range(1, len(named) + 1)]
    own = {
        "name": f"{keywords(purpose(wish))} Flow",
        "description": _sentence(
            [f"{starts}: {steps[0][:1].lower()}{steps[0][1:]}" if starts else steps[0], *steps[1:]]
        ),
        "nodes": [
            {"id": key, "type": type_, "name": name, "position": {"x": 240 * place, "y": 0}, "parameters": {}}
            for place, (key, (type_, name)) in enumerate(zip(ids, named, strict=True))
        ],
        "edges": [
            {"id": f"edge-{place}", "source": source, "target": target, "label": "then"}
            for place, (source, target) in enumerate(pairwise(ids), 1)
        ],
    }
    return _stored(call, "Workflow", own)


def _steps(wish: str) -> tuple[str, list[str]]:
    """(What starts a workflow, if a wish says it; what it does then): the wish's clauses, each as a short title."""
    starts, rest = occasion(wish[:LOOKED_AT].strip())
    first = " ".join(purpose(rest).words[:8])[:120]
    later = [named for clause in _STEPS.split(rest)[1:] if (named := step(clause))]
    return starts, [first[:1].upper() + first[1:] or "Finish", *later][:MOST_STEPS]


def _sentence(steps: list[str]) -> str:
    """Steps as one sentence."""
    return ", then ".join([steps[0], *(said[:1].lower() + said[1:] for said in steps[1:])]) + "."


def _type(named: str) -> str:
    return next((name for name, words in _TYPES if words.search(named)), "agent")


def generate_thread_name(call: Call) -> Answer:
    """Name a thread after the first thing that was said in it."""
    world = call.world
    thread = named_in_path(call, to_write=True)
    messages = world.contract.resources["Thread"].relations["messages"]
    said = world.store.inverse(messages, thread.reference)
    text = world.store.existing(said[0]).own["content"] if said else ""
    name = title(text) or thread.own["name"]
    with world.store.transaction():
        world.store.change("Thread", thread.key, {**thread.own, "name": name, "updated_at": call.stamp})
    return shown(call, world.store.existing(thread.reference))


def _stored(call: Call, name: str, own: Mapping[str, Any]) -> Answer:
    resource = call.world.contract.resources[name]
    references = references_of(call, resource)
    with call.world.store.transaction():
        record = stored(call, resource, own, references)
    return shown(call, record)
