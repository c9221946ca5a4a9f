"""Runs of agents, threads and prompts; training and generation; executions that follow the clock of the mock."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.mock_server.athena import Api

AGENT = WORKFLOW = "550e8400-e29b-41d4-a716-446655440000"
THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"
FINAL = {"completed", "error", "stopped"}


def list_messages(api: Api, thread: str) -> list[tuple[str, str]]:
    """Return (role, content) of the messages of a thread, in order."""
    rows = api.list_all("listMessages", {"thread_uuid": thread, "sort_by": "created_at", "with": "attachments"})
    return [(row["role"], row["content"]) for row in rows]


# Agents and threads --------------------------------------------------------------------------------------------------


def test_run_stores_question_and_answer_in_a_new_thread(api: Api) -> None:
    run = api.data("runAgent", AGENT, {"content": "Where is my order?"})
    thread, question, answer = run["thread"], run["message"], run["answer"]
    assert thread["agent"]["uuid"] == AGENT
    assert (question["role"], question["content"], answer["role"]) == ("user", "Where is my order?", "assistant")
    keys = {row["uuid"] for row in api.list_all("listMessages", {"thread_uuid": thread["uuid"]})}
    assert keys == {question["uuid"], answer["uuid"]}
    assert api.data("retrieveMessage", answer["uuid"])["content"] == answer["content"] != ""


def test_run_counts_as_usage_of_the_agent(api: Api) -> None:
    before = api.data("retrieveAgent", AGENT)
    api.clock.advance(seconds=30)
    api.data("runAgent", AGENT, {"content": "Hello"})
    after = api.data("retrieveAgent", AGENT)
    assert after["usage_count"] == before["usage_count"] + 1
    assert after["threads_count"] == before["threads_count"] + 1
    assert after["last_used_at"] == "2026-03-01T00:00:30.000000Z"


def test_run_in_a_thread_continues_that_thread(api: Api) -> None:
    before = list_messages(api, THREAD)
    api.clock.advance(seconds=1)
    run = api.data("runAgent", AGENT, {"content": "And now?", "thread_uuid": THREAD})
    assert run["thread"]["uuid"] == THREAD
    assert list_messages(api, THREAD) == [*before, ("user", "And now?"), ("assistant", run["answer"]["content"])]


def test_answer_is_listed_after_its_question(api: Api) -> None:
    thread = api.data("createThread", body={})["uuid"]
    for content in ("One", "Two", "Three", "Four", "Five"):
        api.clock.advance(seconds=5)
        api.data("runThread", thread, {"content": content})
    assert [role for role, _ in list_messages(api, thread)] == ["user", "assistant"] * 5
    newest = [row["role"] for row in api.list_all("listMessages", {"thread_uuid": thread})]
    assert newest == ["assistant", "user"] * 5


def test_answer_is_deterministic_for_a_dataset(api: Api) -> None:
    call = ("runAgent", AGENT, {"content": "How do I change my address?"})
    first = api.call(*call).body
    api.reset()
    assert api.call(*call).body == first


def test_different_questions_get_different_answers(api: Api) -> None:
    answers = {api.data("runAgent", AGENT, {"content": text})["answer"]["content"] for text in ("Refunds?", "Opening?")}
    assert len(answers) == 2


@pytest.mark.parametrize("question", ["Where is the zeppelin?", "How do I repaint my zeppelin?", "Zeppelin"])
def test_answer_contains_no_word_of_the_question(api: Api, question: str) -> None:
    content = api.data("runThread", THREAD, {"content": question})["answer"]["content"]
    assert "zeppelin" not in content.lower()
    assert len(content) > 80


def test_different_agents_answer_the_same_question_differently(api: Api) -> None:
    agents = [api.data("createAgent", body={"name": f"Agent {number}"})["uuid"] for number in range(6)]
    assert len({api.data("runAgent", agent, {"content": "Refunds?"})["answer"]["content"] for agent in agents}) > 2


def test_answer_reflects_the_agents_persona(api: Api) -> None:
    metadata = {"role": "Tax Advisor", "goal_statement": "Save people from forms.", "guardrails": "Never guess. Ask."}
    agent = api.data("createAgent", body={"name": "T", "metadata": metadata})["uuid"]
    answers = [
        api.data("runAgent", agent, {"content": f"How do I file form {n}?"})["answer"]["content"] for n in range(8)
    ]
    aim, rule = "My aim as a tax advisor: save people from forms.", "One rule I follow: never guess."
    assert all((aim in answer) != (rule in answer) for answer in answers)
    assert {aim in answer for answer in answers} == {True, False}


def test_repeated_question_gets_different_answers(api: Api) -> None:
    thread = api.data("createThread", body={})["uuid"]
    body = {"content": "Where is my parcel?"}
    assert len({api.data("runThread", thread, body)["answer"]["content"] for _ in range(6)}) > 2


@pytest.mark.parametrize("content", ["?", "🎉", "\u0000", " ", "{question}", "a" * 5000, "- " * 2500, "word " * 1000])
def test_any_content_gets_an_answer(api: Api, content: str) -> None:
    run = api.data("runAgent", AGENT, {"content": content})
    assert run["answer"]["content"]
    assert 0 < len(run["thread"]["name"]) <= 255


def test_thread_run_works_with_and_without_an_agent(api: Api) -> None:
    run = api.data("runThread", THREAD, {"content": "Hello"})
    assert run["answer"]["metadata"]["model"] == run["thread"]["agent"]["metadata"]["large_language_model"]
    thread_without_agent = api.data("createThread", body={"metadata": {"model": "my-model"}})["uuid"]
    run = api.data("runThread", thread_without_agent, {"content": "Hello"})
    assert run["answer"]["metadata"]["model"] == "my-model"
    assert len(list_messages(api, thread_without_agent)) == 2


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Invoices from last winter\n are missing", "Invoices from last winter are missing"),
        ("An order " * 12, "An order An order An order An order An order An order An…"),
        ("a" * 61, "a" * 59 + "…"),
        ("a" * 60, "a" * 60),
        (" ", "New conversation"),
    ],
)
def test_thread_is_named_after_its_first_message(api: Api, content: str, name: str) -> None:
    thread = api.data("createThread", body={})["uuid"]
    assert api.data("generateThreadName", thread)["name"] == "New conversation"
    api.data("runThread", thread, {"content": content})
    api.data("runThread", thread, {"content": "And another question"})
    assert api.data("generateThreadName", thread)["name"] == name
    assert api.data("retrieveThread", thread)["name"] == name


# Prompts, training, generating ---------------------------------------------------------------------------------------


def test_prompt_run_fills_placeholders_and_counts_usage(api: Api) -> None:
    prompt = api.data("createPrompt", body={"name": "Mail", "content": "To {{ who }} about {{topic}}, {{topic}}!"})[
        "uuid"
    ]
    run = api.data("runPrompt", prompt, {"variables": {"who": "Ann", "topic": "spring"}})
    assert run["prompt"] == "To Ann about spring, spring!"
    tokens = run["tokens"]
    assert tokens["total"] == tokens["input"] + tokens["output"] > tokens["input"] > 0
    after = api.data("retrievePrompt", prompt)
    assert (after["usage_count"], after["last_used_at"]) == (1, "2026-03-01T00:00:00.000000Z")


def test_training_creates_a_memory_per_text_and_url(api: Api) -> None:
    before = api.list_all("listMemories", {"agent_uuid": AGENT})
    body = {"texts": ["First.", "Second."], "urls": ["https://example.com/help"]}
    memories = api.data("trainAgent", AGENT, body)
    assert [(m["type"], m["source"]) for m in memories] == [("text", None), ("text", None), ("url", body["urls"][0])]
    assert [m["content"] for m in memories[:2]] == body["texts"]
    after = {memory["uuid"] for memory in api.list_all("listMemories", {"agent_uuid": AGENT})}
    assert after == {memory["uuid"] for memory in (*before, *memories)}


def test_training_is_included_in_the_agents_metrics(api: Api) -> None:
    def count_memories() -> int:
        rows = api.list_all("listAgents", {"with_metrics": "true"})
        count: int = next(row["metrics"]["memories_count"] for row in rows if row["uuid"] == AGENT)
        return count

    before = count_memories()
    api.data("trainAgent", AGENT, {"texts": ["One", "Two"]})
    assert count_memories() == before + 2


@pytest.mark.parametrize(("name", "listing"), [("generateAgent", "listAgents"), ("generateWorkflow", "listWorkflows")])
def test_generated_record_is_stored_and_belongs_to_the_caller(api: Api, name: str, listing: str) -> None:
    record = api.data(name, body={"prompt": "Greet each new customer by mail"})
    assert record["uuid"] in {row["uuid"] for row in api.list_all(listing)}
    assert record["is_owner"] is True


@pytest.mark.parametrize("name", ["generateAgent", "generateWorkflow"])
def test_generated_record_depends_on_the_prompt(api: Api, name: str) -> None:
    prompts = ["Sort invoices", "Greet new customers", "Plan the week", "Sort invoices", "Translate mails"]
    names = [api.data(name, body={"prompt": prompt})["name"] for prompt in prompts]
    assert names[0] == names[3]
    assert len(set(names)) > 2


def test_generated_agent_is_complete(api: Api) -> None:
    agent = api.data("generateAgent", body={"prompt": "I need an assistant that answers questions about invoices."})
    texts = {name: value for name, value in agent["metadata"].items() if isinstance(value, str)}
    assert all(texts.values())
    assert agent["description"]
    assert agent["instruction"]
    assert len(agent["metadata"]["conversation_starters"]) == 3


def test_nodes_of_a_generated_workflow_form_a_chain(api: Api) -> None:
    workflow = api.data("generateWorkflow", body={"prompt": "Notify the sales team about new leads"})
    ids = [node["id"] for node in workflow["nodes"]]
    assert len(set(ids)) == len(ids) > 1
    assert workflow["nodes"][0]["type"] in {"webhook", "schedule", "manual"}
    assert {node["type"] for node in workflow["nodes"][1:]} == {"agent"}
    assert [(edge["source"], edge["target"]) for edge in workflow["edges"]] == list(pairwise(ids))


@pytest.mark.parametrize("prompt", ["?", "🎉", "Rechnungen prüfen", "x" * 9000, "\u0000"])
@pytest.mark.parametrize("name", ["generateAgent", "generateWorkflow"])
def test_any_prompt_generates_a_record(api: Api, name: str, prompt: str) -> None:
    record = api.data(name, body={"prompt": prompt})
    assert 0 < len(record["name"]) <= 255
    assert record["description"]


# Executions ----------------------------------------------------------------------------------------------------------


def test_webhook_starts_an_execution_that_follows_the_clock(api: Api) -> None:
    execution = api.data("triggerWebhook", WORKFLOW, {"order": 4711})
    assert (execution["status"], execution["is_finished"], execution["mode"], execution["started_at"]) == (
        "pending",
        False,
        "webhook",
        None,
    )

    def read_execution() -> Any:
        return api.data("retrieveWorkflowExecution", execution["uuid"])

    api.clock.advance(milliseconds=999)
    assert read_execution()["status"] == "pending"
    api.clock.advance(milliseconds=1)
    running_execution = read_execution()
    assert (running_execution["status"], running_execution["is_finished"]) == ("running", False)
    assert running_execution["started_at"] == running_execution["updated_at"] == "2026-03-01T00:00:01.000000Z"
    api.clock.advance(seconds=5)
    finished_execution = read_execution()
    assert finished_execution["status"] in {"completed", "error"}
    assert finished_execution["is_finished"] is True
    assert finished_execution["started_at"] < finished_execution["stopped_at"] <= "2026-03-01T00:00:06.000000Z"
    api.clock.advance(days=365)
    assert read_execution() == finished_execution


def test_finished_execution_contains_its_results(api: Api) -> None:
    execution = api.data(
        "createWorkflowExecution", body={"workflow_uuid": WORKFLOW, "mode": "manual", "input": {"a": [1]}}
    )
    assert execution["mode"] == "manual"
    api.clock.advance(seconds=6)
    (data,) = api.data("retrieveWorkflowExecution", execution["uuid"])["workflow_execution_data"]
    (step,) = data["workflow_data"]
    assert step["output"] == {"received": {"a": [1]}}
    assert data["metadata"]["workflow_execution_data_id"] == execution["id"]  # as in seeded executions
    assert step["status"] in {"completed", "error"}


def test_most_executions_succeed_and_some_fail(api: Api) -> None:
    keys = [api.data("triggerWebhook", WORKFLOW)["uuid"] for _ in range(60)]
    api.clock.advance(seconds=6)
    statuses = [api.data("retrieveWorkflowExecution", key)["status"] for key in keys]
    assert set(statuses) == {"completed", "error"}
    assert statuses.count("completed") > statuses.count("error")


def test_lists_filters_and_counts_follow_the_clock(api: Api) -> None:
    key = api.data("triggerWebhook", WORKFLOW)["uuid"]

    def is_listed(status: str) -> bool:
        return key in {row["uuid"] for row in api.list_all("listWorkflowExecutions", {"status": status})}

    def count_executions(status: str) -> int:
        number: int = api.data("countWorkflowExecutions")[status]
        return number

    pending, running = count_executions("pending"), count_executions("running")
    assert (is_listed("pending"), is_listed("running")) == (True, False)
    api.clock.advance(seconds=1)
    assert (count_executions("pending"), count_executions("running")) == (pending - 1, running + 1)
    assert (is_listed("pending"), is_listed("running")) == (False, True)


def test_seeded_executions_do_not_change(api: Api) -> None:
    before = api.list_all("listWorkflowExecutions")
    assert {"pending", "running", "waiting"} <= {row["status"] for row in before}
    api.clock.advance(days=40)
    assert api.list_all("listWorkflowExecutions") == before


@pytest.mark.parametrize("status", ["pending", "running", "waiting"])
def test_running_execution_can_be_stopped_once(api: Api, status: str) -> None:
    key = api.find_seeded_key("WorkflowExecution", status=status)
    api.clock.advance(seconds=10)
    execution = api.data("stopWorkflowExecution", key)
    assert (execution["status"], execution["is_finished"]) == ("stopped", True)
    assert execution["stopped_at"] == "2026-03-01T00:00:10.000000Z"
    assert execution["started_at"] is not None
    record = api.sandbox.store.get("WorkflowExecution", key)
    assert record is not None
    duration = datetime.fromisoformat(execution["stopped_at"]) - datetime.fromisoformat(execution["started_at"])
    assert record.attributes["duration_ms"] == duration / timedelta(milliseconds=1)
    assert api.status("stopWorkflowExecution", key) == 409


@pytest.mark.parametrize("status", sorted(FINAL))
def test_finished_execution_cannot_be_stopped(api: Api, status: str) -> None:
    reply = api.call("stopWorkflowExecution", api.find_seeded_key("WorkflowExecution", status=status))
    assert (reply.status, reply.headers["x-mock-reason"]) == (409, "conflict")


def test_stopped_execution_does_not_change_afterwards(api: Api) -> None:
    key = api.data("triggerWebhook", WORKFLOW)["uuid"]
    execution = api.data("stopWorkflowExecution", key)
    api.clock.advance(seconds=30)
    assert api.data("retrieveWorkflowExecution", key) == execution


@pytest.mark.parametrize("name", ["triggerWebhook", "createWorkflowExecution"])
def test_inactive_workflow_cannot_be_started(api: Api, name: str) -> None:
    api.data("updateWorkflow", WORKFLOW, {"is_active": False})
    before = api.sandbox.store.count_by_resource()
    call = (WORKFLOW, {}) if name == "triggerWebhook" else (None, {"workflow_uuid": WORKFLOW})
    assert api.status(name, *call) == 409
    assert api.sandbox.store.count_by_resource() == before
