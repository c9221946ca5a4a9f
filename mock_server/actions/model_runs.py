"""Run an agent, a thread or a prompt, and train an agent. Messages and runs are stored."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mock_server.actions import assistant
from mock_server.actions.access import find_in_path, find_visible, resolve_visible
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.crud import insert_record
from mock_server.actions.messages import attach_files
from mock_server.actions.responses import render_fragment
from mock_server.errors import ApiError, ErrorKind
from mock_server.json_encoding import encode_json
from mock_server.store import StoredRecord
from spec.record import Reference

_ANSWER_DELAY = timedelta(microseconds=1)  # an answer is younger than its question, for lists sorted by time


def run_agent(request: ActionRequest) -> ActionResult:
    """Send a message to an agent, in the thread that the body names or in a new one."""
    agent, thread_resource = find_in_path(request), request.contract.resources["Thread"]
    thread = None
    if "thread_uuid" in request.body:
        thread = find_visible(request, thread_resource, request.body["thread_uuid"])
    with request.store.transaction():
        if thread is None:
            is_member = request.viewer is not None and agent.tenant_key in request.viewer.tenant_keys
            attributes = {"name": assistant.shorten_title(request.body["content"]) or "New conversation"}
            references = {"agent": agent.reference, "workspace": agent.references["workspace"] if is_member else None}
            thread = insert_record(request, thread_resource, attributes, references)
        return _exchange_messages(request, thread, agent)


def run_thread(request: ActionRequest) -> ActionResult:
    """Send a message to the agent of a thread, or to none if the viewer may no longer see the agent."""
    thread = find_in_path(request)
    with request.store.transaction():
        return _exchange_messages(request, thread, resolve_visible(request, thread.references["agent"]))


def _exchange_messages(request: ActionRequest, thread: StoredRecord, agent: StoredRecord | None) -> ActionResult:
    """Store the user's message with its files, and the answer."""
    content = request.body["content"]
    question = _add_message(request, thread.reference, {"content": content, "role": "user"})
    attach_files(request, question, request.body.get("files") or [])
    answer = _add_answer(request, thread, agent, content)
    data = {"thread": thread, "message": question, "answer": answer}
    return ActionResult(encode_json({"data": {name: render_fragment(request, r) for name, r in data.items()}}))


def run_prompt(request: ActionRequest) -> ActionResult:
    """Fill in a prompt's variables and return the answer to it. Raises ApiError (422) if the text becomes too long."""
    prompt = find_in_path(request)
    content = assistant.fill_placeholders(prompt.attributes["content"], (request.body or {}).get("variables") or {})
    if content is None:
        message = f"The prompt with its variables must not be greater than {assistant.MAX_PROMPT_CHARS} characters."
        raise ApiError(ErrorKind.VALIDATION_FAILED, errors={"variables": [message]})
    output = request.text
    if output is None:
        output = assistant.compose_answer(request.sandbox.phrases["answer"], content, None, 0)
    with request.store.transaction():
        changes = {"usage_count": prompt.attributes["usage_count"] + 1, "last_used_at": request.timestamp}
        request.store.update("Prompt", prompt.key, {**prompt.attributes, **changes})
    data = {
        "prompt": content,
        "output": output,
        "model": prompt.attributes["metadata"]["large_language_model"],
        "tokens": _count_tokens(content, output),
    }
    return ActionResult(encode_json({"data": data}))


def train_agent(request: ActionRequest) -> ActionResult:
    """Create a Memory of an agent from each text and each URL."""
    resource, body = request.contract.resources["Memory"], request.body or {}
    agent = find_in_path(request, for_write=True)
    memories = [{"content": text, "type": "text", "source": None} for text in body.get("texts") or []]
    memories += [{"content": f"What {url} says.", "type": "url", "source": url} for url in body.get("urls") or []]
    references = {"agent": agent.reference, "workspace": agent.references["workspace"]}
    with request.store.transaction():
        records = [insert_record(request, resource, attributes, references) for attributes in memories]
    return ActionResult(encode_json({"data": [render_fragment(request, memory) for memory in records]}))


def _add_message(request: ActionRequest, thread: Reference, attributes: Mapping[str, Any]) -> StoredRecord:
    return insert_record(request, request.contract.resources["Message"], attributes, {"thread": thread})


def _add_answer(request: ActionRequest, thread: StoredRecord, agent: StoredRecord | None, content: str) -> StoredRecord:
    """Store the assistant's message, and the agent's run if there is an agent."""
    store, resources, phrases = request.store, request.contract.resources, request.sandbox.phrases
    answer = request.text
    if answer is None:
        turn = len(store.find_inverse(resources["Thread"].relations["messages"], thread.reference))
        answer = assistant.compose_answer(phrases["answer"], content, agent.attributes if agent else None, turn)
    defaults = thread.attributes["metadata"]
    metadata = {
        "model": agent.attributes["metadata"]["large_language_model"] if agent else defaults["model"],
        "temperature": defaults["temperature"],
        "tokens": _count_tokens(content, answer),
    }
    later = replace(request, now=request.now + _ANSWER_DELAY)
    attributes = {"content": answer, "role": "assistant", "metadata": metadata}
    reply = _add_message(later, thread.reference, attributes)
    if agent is not None:
        user = store.get("User", request.viewer.user_key) if request.viewer else None
        references = {"agent": agent.reference, "user": user.reference if user else None}
        run = {"duration_ms": 400 + 15 * metadata["tokens"]["output"]}
        insert_record(request, resources["AgentRun"], run, references)
    return reply


def _count_tokens(question: str, answer: str) -> dict[str, int]:
    input_tokens, output_tokens = assistant.estimate_tokens(question), assistant.estimate_tokens(answer)
    return {"input": input_tokens, "output": output_tokens, "total": input_tokens + output_tokens}
