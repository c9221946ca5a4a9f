"""Run an agent, a thread or a prompt, and train an agent: what was asked and answered is stored."""

from dataclasses import replace
from datetime import timedelta

import orjson

from mock_server.actions import assistant
from mock_server.actions.access import find_in_path, find_visible
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.create import insert_record
from mock_server.actions.messages import attach_files
from mock_server.actions.responses import render_fragment
from mock_server.store import StoredRecord

# By so much an answer is younger than its question, so that a list by time never turns the two round.
_ANSWER_DELAY = timedelta(microseconds=1)


def run_agent(request: ActionRequest) -> ActionResult:
    """Ask an agent: in the thread that the body names, or in a new one."""
    sandbox = request.sandbox
    agent = find_in_path(request)
    thread_resource = sandbox.contract.resources["Thread"]
    existing_thread = (
        find_visible(request, thread_resource, request.body["thread_uuid"]) if "thread_uuid" in request.body else None
    )
    with sandbox.store.transaction():
        if existing_thread is not None:
            thread = existing_thread
        else:
            workspace = agent.references["workspace"] if _is_tenant_member(request, agent) else None
            attributes = {"name": assistant.shorten_title(request.body["content"]) or "New conversation"}
            thread = insert_record(
                request, thread_resource, attributes, {"agent": agent.reference, "workspace": workspace}
            )
        question = _add_user_message(request, thread, request.body["content"])
        attach_files(request, question, request.body.get("files") or [])
        answer = _add_answer(request, thread, agent, request.body["content"])
    return _build_result(request, thread, question, answer)


def _is_tenant_member(request: ActionRequest, agent: StoredRecord) -> bool:
    return request.viewer is not None and agent.tenant_key in request.viewer.tenant_keys


def run_thread(request: ActionRequest) -> ActionResult:
    """Say something in a thread; its agent answers."""
    sandbox = request.sandbox
    thread = find_in_path(request)
    with sandbox.store.transaction():
        question = _add_user_message(request, thread, request.body["content"])
        attach_files(request, question, request.body.get("files") or [])
        answer = _add_answer(
            request, thread, sandbox.store.resolve(thread.references["agent"]), request.body["content"]
        )
    return _build_result(request, thread, question, answer)


def run_prompt(request: ActionRequest) -> ActionResult:
    """Fill a prompt's variables and answer it."""
    sandbox = request.sandbox
    prompt = find_in_path(request)
    content = assistant.fill_placeholders(prompt.attributes["content"], (request.body or {}).get("variables") or {})
    output = assistant.compose_answer(sandbox.phrases["answer"], content, None, 0)
    with sandbox.store.transaction():
        attributes = {"usage_count": prompt.attributes["usage_count"] + 1, "last_used_at": request.timestamp}
        sandbox.store.update("Prompt", prompt.key, {**prompt.attributes, **attributes})
    data = {
        "prompt": content,
        "output": output,
        "model": prompt.attributes["metadata"]["large_language_model"],
        "tokens": _count_tokens(content, output),
    }
    return ActionResult(orjson.dumps({"data": data}))


def train_agent(request: ActionRequest) -> ActionResult:
    """Let an agent remember texts and pages: each becomes a Memory."""
    sandbox, body = request.sandbox, request.body or {}
    agent = find_in_path(request, for_write=True)
    memories = [{"content": text, "type": "text", "source": None} for text in body.get("texts") or []]
    memories += [{"content": f"What {url} says.", "type": "url", "source": url} for url in body.get("urls") or []]
    references = {"agent": agent.reference, "workspace": agent.references["workspace"]}
    with sandbox.store.transaction():
        records = [
            insert_record(request, sandbox.contract.resources["Memory"], attributes, references)
            for attributes in memories
        ]
    return ActionResult(orjson.dumps({"data": [render_fragment(request, memory) for memory in records]}))


def _add_user_message(request: ActionRequest, thread: StoredRecord, content: str) -> StoredRecord:
    """The user's message."""
    attributes = {"content": content, "role": "user"}
    return insert_record(
        request, request.sandbox.contract.resources["Message"], attributes, {"thread": thread.reference}
    )


def _add_answer(request: ActionRequest, thread: StoredRecord, agent: StoredRecord | None, content: str) -> StoredRecord:
    """The assistant's message, and that the agent ran."""
    sandbox = request.sandbox
    message_count = len(
        sandbox.store.find_inverse(sandbox.contract.resources["Thread"].relations["messages"], thread.reference)
    )
    answer = assistant.compose_answer(
        sandbox.phrases["answer"], content, agent.attributes if agent else None, message_count
    )
    model = agent.attributes["metadata"]["large_language_model"] if agent else thread.attributes["metadata"]["model"]
    metadata = {
        "model": model,
        "temperature": thread.attributes["metadata"]["temperature"],
        "tokens": _count_tokens(content, answer),
    }
    attributes = {"content": answer, "role": "assistant", "metadata": metadata}
    answer_request = replace(request, now=request.now + _ANSWER_DELAY)
    reply = insert_record(
        answer_request, sandbox.contract.resources["Message"], attributes, {"thread": thread.reference}
    )
    if agent is not None:
        run_attributes = {"duration_ms": 400 + 15 * metadata["tokens"]["output"]}
        viewer = request.viewer
        user = sandbox.store.get("User", viewer.user_key) if viewer else None
        references = {"agent": agent.reference, "user": user.reference if user else None}
        insert_record(request, sandbox.contract.resources["AgentRun"], run_attributes, references)
    return reply


def _count_tokens(question: str, answer: str) -> dict[str, int]:
    input_tokens, output_tokens = assistant.estimate_tokens(question), assistant.estimate_tokens(answer)
    return {"input": input_tokens, "output": output_tokens, "total": input_tokens + output_tokens}


def _build_result(
    request: ActionRequest, thread: StoredRecord, question: StoredRecord, answer: StoredRecord
) -> ActionResult:
    data = {
        "thread": render_fragment(request, thread),
        "message": render_fragment(request, question),
        "answer": render_fragment(request, answer),
    }
    return ActionResult(orjson.dumps({"data": data}))
