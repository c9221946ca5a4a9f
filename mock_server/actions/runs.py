"""Run an agent, a thread or a prompt, and train an agent: what was asked and answered is stored."""

from dataclasses import replace
from datetime import timedelta

import orjson

from mock_server.actions import assistant
from mock_server.actions.create import stored
from mock_server.actions.lookup import named_in_path, visible
from mock_server.actions.messages import attach
from mock_server.actions.showing import part
from mock_server.call import Answer, Call
from mock_server.store import Stored

# By so much an answer is younger than its question, so that a list by time never turns the two round.
_LATER = timedelta(microseconds=1)


def run_agent(call: Call) -> Answer:
    """Ask an agent: in the thread that the body names, or in a new one."""
    world = call.world
    agent = named_in_path(call)
    threads = world.contract.resources["Thread"]
    named = visible(call, threads, call.body["thread_uuid"]) if "thread_uuid" in call.body else None
    with world.store.transaction():
        if named is not None:
            thread = named
        else:
            workspace = agent.references["workspace"] if _enters(call, agent) else None
            own = {"name": assistant.title(call.body["content"]) or "New conversation"}
            thread = stored(call, threads, own, {"agent": agent.reference, "workspace": workspace})
        question = _say(call, thread, call.body["content"])
        attach(call, question, call.body.get("files") or [])
        answer = _reply(call, thread, agent, call.body["content"])
    return _result(call, thread, question, answer)


def _enters(call: Call, agent: Stored) -> bool:
    return call.viewer is not None and agent.tenant in call.viewer.tenants


def run_thread(call: Call) -> Answer:
    """Say something in a thread; its agent answers."""
    world = call.world
    thread = named_in_path(call)
    with world.store.transaction():
        question = _say(call, thread, call.body["content"])
        attach(call, question, call.body.get("files") or [])
        answer = _reply(call, thread, world.store.at(thread.references["agent"]), call.body["content"])
    return _result(call, thread, question, answer)


def run_prompt(call: Call) -> Answer:
    """Fill a prompt's variables and answer it."""
    world = call.world
    prompt = named_in_path(call)
    filled = assistant.filled(prompt.own["content"], (call.body or {}).get("variables") or {})
    output = assistant.answer(world.phrases["answer"], filled, None, 0)
    with world.store.transaction():
        own = {"usage_count": prompt.own["usage_count"] + 1, "last_used_at": call.stamp}
        world.store.change("Prompt", prompt.key, {**prompt.own, **own})
    data = {
        "prompt": filled,
        "output": output,
        "model": prompt.own["metadata"]["large_language_model"],
        "tokens": _usage(filled, output),
    }
    return Answer(orjson.dumps({"data": data}))


def train_agent(call: Call) -> Answer:
    """Let an agent remember texts and pages: each becomes a Memory."""
    world, body = call.world, call.body or {}
    agent = named_in_path(call, to_write=True)
    learned = [{"content": text, "type": "text", "source": None} for text in body.get("texts") or []]
    learned += [{"content": f"What {url} says.", "type": "url", "source": url} for url in body.get("urls") or []]
    references = {"agent": agent.reference, "workspace": agent.references["workspace"]}
    with world.store.transaction():
        made = [stored(call, world.contract.resources["Memory"], own, references) for own in learned]
    return Answer(orjson.dumps({"data": [part(call, memory) for memory in made]}))


def _say(call: Call, thread: Stored, content: str) -> Stored:
    """The user's message."""
    own = {"content": content, "role": "user"}
    return stored(call, call.world.contract.resources["Message"], own, {"thread": thread.reference})


def _reply(call: Call, thread: Stored, agent: Stored | None, content: str) -> Stored:
    """The assistant's message, and that the agent ran."""
    world = call.world
    before = len(world.store.inverse(world.contract.resources["Thread"].relations["messages"], thread.reference))
    said = assistant.answer(world.phrases["answer"], content, agent.own if agent else None, before)
    model = agent.own["metadata"]["large_language_model"] if agent else thread.own["metadata"]["model"]
    metadata = {"model": model, "temperature": thread.own["metadata"]["temperature"], "tokens": _usage(content, said)}
    own = {"content": said, "role": "assistant", "metadata": metadata}
    later = replace(call, now=call.now + _LATER)
    reply = stored(later, world.contract.resources["Message"], own, {"thread": thread.reference})
    if agent is not None:
        run = {"duration_ms": 400 + 15 * metadata["tokens"]["output"]}
        viewer = call.viewer
        by = world.store.get("User", viewer.user) if viewer else None
        references = {"agent": agent.reference, "user": by.reference if by else None}
        stored(call, world.contract.resources["AgentRun"], run, references)
    return reply


def _usage(asked: str, answered: str) -> dict[str, int]:
    read, wrote = assistant.tokens(asked), assistant.tokens(answered)
    return {"input": read, "output": wrote, "total": read + wrote}


def _result(call: Call, thread: Stored, question: Stored, answer: Stored) -> Answer:
    data = {"thread": part(call, thread), "message": part(call, question), "answer": part(call, answer)}
    return Answer(orjson.dumps({"data": data}))
