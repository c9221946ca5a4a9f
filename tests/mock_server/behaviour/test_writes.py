"""Writes are visible on the next request: in lists, embedded records and counts."""

from collections.abc import Mapping
from typing import Any

import pytest

from spec.model import Operation
from tests.mock_server.athena import Api, athena_contract

OPERATIONS = athena_contract().operations
CREATES = ("create", "create-message", "create-execution")
HOME = "550e8400-e29b-41d4-a716-446655440000"
DOCUMENTED = HOME  # the documented agent and workflow have the same uuid
THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"


def find_operation(resource: str | None, action: str) -> Operation | None:
    """Return the operation for an action on a resource."""
    return next((o for o in OPERATIONS.values() if (o.resource, o.action) == (resource, action)), None)


def operation_pairs(actions: tuple[str, ...], other: str) -> list[tuple[str, str]]:
    """Return (operation with one of `actions`, operation `other` of the same resource)."""
    pairs = ((o, find_operation(o.resource, other)) for o in OPERATIONS.values() if o.action in actions)
    return [(one.id, two.id) for one, two in pairs if two is not None]


def get_example_body(name: str) -> Any:
    """Return the example body of the contract."""
    body = OPERATIONS[name].request_body
    assert body is not None
    return athena_contract().document.resolve(body.pointer.removesuffix("/schema"))["example"]


def count_records(api: Api, listing: str, query: Mapping[str, Any] | None = None) -> int:
    """Return the number of records in a list."""
    total: int = api.call_json(listing, query=query)["meta"]["total"]
    return total


# Create --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("create", "listing"), operation_pairs(CREATES, "list"))
def test_created_record_is_listed_first(api: Api, create: str, listing: str) -> None:
    before = count_records(api, listing)
    api.clock.advance(seconds=1)
    record = api.data(create, body=get_example_body(create))
    page = api.call_json(listing)
    assert page["data"][0]["uuid"] == record["uuid"]
    assert page["meta"]["total"] == before + 1


@pytest.mark.parametrize(("create", "retrieve"), operation_pairs(CREATES, "retrieve"))
def test_created_record_is_retrieved_as_returned(api: Api, create: str, retrieve: str) -> None:
    record = api.data(create, body=get_example_body(create))
    assert api.data(retrieve, record["uuid"]) == record


@pytest.mark.parametrize("create", [one for one, _ in operation_pairs(CREATES, "retrieve")])
def test_created_record_has_the_values_of_the_request(api: Api, create: str) -> None:
    body = get_example_body(create)
    record = api.data(create, body=body)
    for name in body.keys() & record.keys():
        if isinstance(body[name], dict):
            assert record[name] | body[name] == record[name]
        else:
            assert record[name] == body[name]


def test_repeated_create_creates_two_records(api: Api) -> None:
    first, second = (api.data("createAgent", body={"name": "Twin"}) for _ in range(2))
    assert first["uuid"] != second["uuid"]


def test_created_record_belongs_to_the_caller_and_primary_workspace(api: Api) -> None:
    agent = api.data("createAgent", body={"name": "Mine"}, token="viewer-token")
    assert agent["is_owner"] is True
    assert (agent["user"]["id"], agent["workspace"]["uuid"]) == (125, HOME)
    assert api.data("retrieveAgent", agent["uuid"])["is_owner"] is False  # of the first user


def test_omitted_fields_get_the_defaults_of_the_contract(api: Api) -> None:
    agent = api.data("createAgent", body={"name": "Bare", "metadata": {"role": "Tester"}})
    properties = athena_contract().resources["Agent"].attributes
    assert agent["metadata"] == properties["metadata"].default | {"role": "Tester"}
    assert (agent["visibility"], agent["description"]) == ("workspace", "")


def test_timestamps_come_from_the_clock_of_the_mock(api: Api) -> None:
    api.clock.advance(days=2, seconds=3)
    agent = api.data("createAgent", body={"name": "Now"})
    assert agent["created_at"] == agent["updated_at"] == "2026-03-03T00:00:03.000000Z"


@pytest.mark.parametrize("field", ["uuid", "created_at", "usage_count", "is_owner"])
def test_server_set_fields_are_ignored_in_requests(api: Api, field: str) -> None:
    expected = api.data("createAgent", body={"name": "X"})
    api.reset()
    value = {"uuid": THREAD, "created_at": "2020-01-01T00:00:00Z", "usage_count": 99, "is_owner": False}[field]
    assert api.data("createAgent", body={"name": "X", field: value}) == expected


def test_unknown_fields_are_ignored_and_reported(api: Api) -> None:
    reply = api.call("createThread", body={"name": "X", "colour": "red"})
    assert reply.status == 201
    assert "colour" in reply.headers["x-mock-note"]
    assert "colour" not in reply.json["data"]


# Embedded records and counts, also read before the write, so that a stale cache is noticed ---------------------------


def test_new_agent_name_appears_wherever_it_is_embedded(api: Api) -> None:
    def read_names() -> set[str]:
        message = api.list_all("listMessages", {"thread_uuid": THREAD})[0]
        run = api.data("retrieveThread", THREAD)
        leaders = {row["agent"]["uuid"]: row["agent"]["name"] for row in api.data("getAgentLeaderboard")}
        names = {agent["uuid"]: agent["name"] for agent in api.list_all("listAgents")}
        return {message["thread"]["agent"]["name"], run["agent"]["name"], leaders[DOCUMENTED], names[DOCUMENTED]}

    assert read_names() == {"Customer Support Assistant"}
    api.data("updateAgent", DOCUMENTED, {"name": "Renamed"})
    assert read_names() == {"Renamed"}


def test_new_workspace_name_appears_wherever_it_is_embedded(api: Api) -> None:
    def read_names() -> set[str]:
        agent = api.data("retrieveAgent", DOCUMENTED)
        user = api.data("getAuthenticatedUser")
        return {
            agent["workspace"]["name"],
            agent["user"]["primary_workspace"]["name"],
            user["primary_workspace"]["name"],
        }

    assert read_names() == {"My AI Workspace"}
    api.data("updateWorkspace", HOME, {"name": "Renamed"})
    assert read_names() == {"Renamed"}


def test_new_thread_counts_for_its_agent(api: Api) -> None:
    before = api.data("retrieveAgent", DOCUMENTED)["threads_count"]
    thread = api.data("createThread", body={"agent_uuid": DOCUMENTED})
    assert api.data("retrieveAgent", DOCUMENTED)["threads_count"] == before + 1
    api.data("updateThread", thread["uuid"], {"agent_uuid": None})
    assert api.data("retrieveAgent", DOCUMENTED)["threads_count"] == before


def test_tools_and_workflows_of_an_agent_are_set_as_lists(api: Api) -> None:
    tools = [tool["uuid"] for agent in api.list_all("listAgents") for tool in agent["tools"]]
    tool_uuids = list(dict.fromkeys(tools))[:3]
    agent = api.data("createAgent", body={"name": "Handy", "tool_uuids": tool_uuids, "workflow_uuids": [DOCUMENTED]})
    assert [tool["uuid"] for tool in agent["tools"]] == tool_uuids
    assert (agent["tools_count"], agent["workflows_count"]) == (3, 1)
    updated_agent = api.data("updateAgent", agent["uuid"], {"tool_uuids": tool_uuids[1:2]})
    assert ([tool["uuid"] for tool in updated_agent["tools"]], updated_agent["tools_count"]) == (tool_uuids[1:2], 1)
    assert updated_agent["workflows_count"] == 1


def test_started_execution_counts_for_its_workflow(api: Api) -> None:
    def read_workflow() -> Any:
        return api.list_all("listWorkflowExecutions", {"workflow_uuid": DOCUMENTED})[0]["workflow"]

    before = read_workflow()
    api.data("triggerWebhook", DOCUMENTED)
    after = read_workflow()
    for count_name in ("executions_count", "executions_in_progress_count", "trigger_count"):
        assert after[count_name] == before[count_name] + 1
    assert after["executions_completed_count"] == before["executions_completed_count"]


# Update --------------------------------------------------------------------------------------------------------------

UPDATES = operation_pairs(("update",), "retrieve")


@pytest.mark.parametrize(("update", "retrieve"), UPDATES)
def test_update_changes_only_the_sent_fields(api: Api, update: str, retrieve: str) -> None:
    operation, body = OPERATIONS[update], get_example_body(update)
    key = api.find_seeded_key(operation.resource or "")
    before = api.data(retrieve, key)
    after = api.data(update, key, body)
    assert api.data(retrieve, key) == after
    new_values = {name: before[name] | value if isinstance(value, dict) else value for name, value in body.items()}
    readable_values = {name: value for name, value in new_values.items() if name in before}
    assert after == before | readable_values | {"updated_at": after["updated_at"]}


@pytest.mark.parametrize(("update", "retrieve"), UPDATES)
def test_update_changes_updated_at_but_not_created_at(api: Api, update: str, retrieve: str) -> None:
    key = api.find_seeded_key(OPERATIONS[update].resource or "")
    created_at = api.data(retrieve, key)["created_at"]
    api.clock.advance(seconds=90)
    after = api.data(update, key, {})
    assert (after["created_at"], after["updated_at"]) == (created_at, "2026-03-01T00:01:30.000000Z")


def test_metadata_is_merged_key_by_key(api: Api) -> None:
    before = api.data("retrieveAgent", DOCUMENTED)["metadata"]
    after = api.data("updateAgent", DOCUMENTED, {"metadata": {"tone_of_voice": "Calm", "own_key": [1, {"a": None}]}})
    assert after["metadata"] == before | {"tone_of_voice": "Calm", "own_key": [1, {"a": None}]}


def test_update_of_one_strategy_preserves_the_others(api: Api) -> None:
    key = api.find_seeded_key("Provider")
    before = api.data("retrieveProvider", key)["authentication_config"]
    after = api.data("updateProvider", key, {"authentication_config": {"token": {**before["token"], "key": "new"}}})
    assert after["authentication_config"] == before | {"token": before["token"] | {"key": "new"}}


def test_list_is_replaced(api: Api) -> None:
    after = api.data("updateAgent", DOCUMENTED, {"metadata": {"conversation_starters": ["Hi"]}})
    assert after["metadata"]["conversation_starters"] == ["Hi"]


def test_null_clears_nullable_fields(api: Api) -> None:
    assert api.data("retrieveThread", THREAD)["agent"] is not None
    assert api.data("updateThread", THREAD, {"agent_uuid": None})["agent"] is None


# Delete --------------------------------------------------------------------------------------------------------------

DELETABLE = [
    pair for pair in operation_pairs(("delete",), "retrieve") if pair[0] not in ("deleteWorkspace", "deleteProvider")
]


@pytest.mark.parametrize(("delete", "retrieve"), DELETABLE)
def test_deleted_record_cannot_be_retrieved_or_listed(api: Api, delete: str, retrieve: str) -> None:
    resource = OPERATIONS[delete].resource
    listing = find_operation(resource, "list")
    assert listing is not None
    key = api.find_seeded_key(resource or "")
    before = count_records(api, listing.id)
    assert api.data(delete, key) is None
    assert api.status(retrieve, key) == 404
    assert api.status(delete, key) == 404
    assert count_records(api, listing.id) == before - 1
    assert key not in {row["uuid"] for row in api.list_all(listing.id)}


def test_delete_of_a_thread_deletes_its_messages(api: Api) -> None:
    messages = api.list_all("listMessages", {"thread_uuid": THREAD})
    before = count_records(api, "listMessages")
    api.data("deleteThread", THREAD)
    assert [api.status("retrieveMessage", message["uuid"]) for message in messages] == [404] * 3
    assert count_records(api, "listMessages") == before - 3
    assert count_records(api, "listMessages", {"thread_uuid": THREAD}) == 0


def test_delete_of_an_agent_deletes_its_threads_memories_and_tasks(api: Api) -> None:
    task = api.data("storeCommandRoomTask", body=get_example_body("storeCommandRoomTask"))
    api.data("trainAgent", DOCUMENTED, {"texts": ["Remember me."]})
    assert count_records(api, "listThreads", {"agent_uuid": DOCUMENTED}) > 0
    api.data("deleteAgent", DOCUMENTED)
    assert count_records(api, "listThreads", {"agent_uuid": DOCUMENTED}) == 0
    assert count_records(api, "listMemories", {"agent_uuid": DOCUMENTED}) == 0
    assert count_records(api, "listMemories", {"search": "Remember me."}) == 0
    assert api.status("removeCommandRoomTask", task["uuid"]) == 404


def test_delete_of_a_workflow_deletes_executions_but_not_agents(api: Api) -> None:
    agent = api.data("createAgent", body={"name": "User of it", "workflow_uuids": [DOCUMENTED]})
    execution = api.data("triggerWebhook", DOCUMENTED)
    api.data("deleteWorkflow", DOCUMENTED)
    assert api.status("retrieveWorkflowExecution", execution["uuid"]) == 404
    after = api.data("retrieveAgent", agent["uuid"])
    assert (after["workflows"], after["workflows_count"]) == ([], 0)


def test_delete_of_a_workspace_deletes_its_records(api: Api) -> None:
    workspace = api.find_seeded_key("Workspace", slug="sandbox")
    agent = api.data("createAgent", body={"name": "Castle", "workspace_uuid": workspace})
    thread = api.data("createThread", body={"workspace_uuid": workspace})
    message = api.data("createMessage", body={"thread_uuid": thread["uuid"], "content": "Hello"})
    api.data("deleteWorkspace", workspace)
    reads = (("retrieveWorkspace", workspace), ("retrieveAgent", agent["uuid"]), ("retrieveMessage", message["uuid"]))
    assert [api.status(name, key) for name, key in reads] == [404, 404, 404]


def test_primary_workspace_cannot_be_deleted(api: Api) -> None:
    before = api.sandbox.store.count_by_resource()
    reply = api.call("deleteWorkspace", HOME)
    assert (reply.status, reply.headers["x-mock-reason"]) == (409, "conflict")
    message = "This Workspace cannot be deleted while it is any User's primary workspace."
    assert reply.json == {"message": message}
    assert api.sandbox.store.count_by_resource() == before


def test_provider_in_use_cannot_be_deleted(api: Api) -> None:
    provider = api.data("createProvider", body={"name": "Mine", "slug": "mine"})["uuid"]
    account = api.data("createAccount", body={"provider_uuid": provider, "provider_display_name": "Key"})["uuid"]
    assert api.status("deleteProvider", provider) == 409
    api.data("deleteAccount", account)
    assert api.status("deleteProvider", provider) == 204


def test_account_never_shows_its_credentials(api: Api) -> None:
    body = {**get_example_body("createAccount"), "credentials": {"key": "sk-secret-4711"}}
    create_reply = api.call("createAccount", body=body)
    list_reply = api.call("listAccounts")
    assert b"4711" not in create_reply.body + list_reply.body


def test_task_is_listed_until_it_is_deleted(api: Api) -> None:
    def read_task() -> Any:
        agents = api.list_all("listAgents", {"with_command_room_task": "true"})
        return {agent["uuid"]: agent["command_room_task"] for agent in agents}[DOCUMENTED]

    assert read_task() is None
    task = api.data("storeCommandRoomTask", body=get_example_body("storeCommandRoomTask"))
    assert read_task() == task
    api.data("removeCommandRoomTask", task["uuid"])
    assert read_task() is None
