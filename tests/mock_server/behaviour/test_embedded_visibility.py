"""No response shows more of a record, at any depth, than the same token gets by retrieving the record itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mock_server.query import Query
from mock_server.sandbox.sandbox import BUILTIN_TOKENS
from mock_server.store import StoredRecord
from mock_server.store.expressions import all_of, has_key
from spec.model import Operation
from spec.record import Reference
from tests.asgi import Reply
from tests.mock_server.athena import Api, athena_contract
from tests.mock_server.test_every_operation import get_example_body, get_required_query

OPERATIONS = athena_contract().operations
USER, DEMO, OTHER = "User", "demo-token", "other-token"
TOKENS = [name for name, token in BUILTIN_TOKENS.items() if token.account_index is not None]
MIN_COMPARED = 4_000
MAX_RECORDS_PER_TENANT = 2  # that one write operation is called with
REQUIRED_USER_PROPERTIES = frozenset(athena_contract().document.resolve("#/components/schemas/User")["required"])


@dataclass(frozen=True, slots=True)
class ResponseComparison:
    """Compares the records in responses with their retrieved ones.

    `compared`: the resource of each; `differences`: what a response shows and a retrieve does not. `retrieved`:
    responses by generation of the store, token, resource and key.
    """

    api: Api
    compared: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    retrieved: dict[tuple[int, str, str, Any], Reply] = field(default_factory=dict)

    def compare(self, label: str, body: Any, token: str) -> None:
        """Compare each record in a body, which may be any JSON."""
        for node in iter_objects(body):
            if "email" in node and "id" in node:
                self.compare_user(label, node, token)
            elif isinstance(node.get("uuid"), str) and (record := self.find_record(node)) is not None:
                self.compare_record(label, record, node, token)

    def find_record(self, node: Mapping[str, Any]) -> StoredRecord | None:
        """Return the record that an object shows, by its UUID and properties: resources have some UUIDs in common."""
        contract = self.api.contract
        for view in contract.views.values():
            required = contract.document.resolve(view.pointer)["required"]
            if set(required) <= set(node) <= set(view.property_names):
                return self.api.sandbox.store.get(view.resource, node["uuid"])
        return None

    def compare_record(self, label: str, record: StoredRecord, node: Mapping[str, Any], token: str) -> None:
        self.compared.append(record.resource)
        retrieve = self.api.contract.find_operation(record.resource, "retrieve")
        resource = self.api.contract.resources[record.resource]
        if retrieve is None:
            viewer = self.api.sandbox.resolve_token(token, self.api.clock())
            condition = Query(self.api.sandbox.store, viewer).build_visibility_condition(resource)
            if not self.api.sandbox.store.select(resource.name, all_of((has_key(record.key), condition))):
                self.differences.append(f"{label}: {resource.name} {record.key} is not visible")
            return
        cache_key = (self.api.sandbox.store.generation, token, resource.name, record.key)
        if cache_key not in self.retrieved:
            self.retrieved[cache_key] = self.api.send(retrieve.id, record.key, token=token)
        reply = self.retrieved[cache_key]
        if reply.status == 404 and label.startswith("trainAgent") and record.resource == "Memory":
            return  # a recipient with write permission creates it in the workspace of the shared agent
        if reply.status != 200:
            self.differences.append(f"{label}: {resource.name} {record.key}: retrieve returns {reply.status}")
            return
        names = set(node) & set(reply.json["data"]) - resource.relations.keys()
        different = sorted(name for name in names if node[name] != reply.json["data"][name])
        if different:
            self.differences.append(f"{label}: {resource.name} {record.key}: {different} differ")

    def compare_user(self, label: str, node: Mapping[str, Any], token: str) -> None:
        """A user who belongs to none of the token's workspaces has only the required properties."""
        self.compared.append(USER)
        viewer = self.api.sandbox.resolve_token(token, self.api.clock())
        assert viewer is not None
        store, workspace = self.api.sandbox.store, self.api.contract.resources["Workspace"]
        members = [
            reference
            for record in store.select("Workspace")
            if record.key in viewer.tenant_keys
            for reference in (
                record.references["user"],
                *store.get_linked_references("Workspace", workspace.relations["members"], record.key),
            )
        ]
        is_colleague = Reference(USER, node["id"]) in members or node["id"] == viewer.user_key
        if not is_colleague and set(node) != REQUIRED_USER_PROPERTIES:
            self.differences.append(f"{label}: User {node['id']} has {sorted(set(node) - REQUIRED_USER_PROPERTIES)}")


def iter_objects(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every object in a JSON value."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from iter_objects(child)


def connect_tenants(api: Api) -> None:
    """Share, use and unshare records between the two tenants, in both directions and with all members."""
    store = api.sandbox.store
    for owner, recipient in ((DEMO, OTHER), (OTHER, DEMO)):
        account = api.data("getAuthenticatedUser", token=recipient)
        workflow = create_workflow(api, owner)
        execution = api.data("createWorkflowExecution", body={"workflow_uuid": workflow}, token=owner)
        agents = [
            api.data("createAgent", body={"name": "A", "workflow_uuids": [workflow]}, token=owner)["uuid"]
            for _ in range(3)
        ]
        for agent, entity_type, entity_id in (
            (agents[0], "user", account["id"]),
            (agents[1], "workspace", account["primary_workspace"]["uuid"]),
            (agents[2], "user", account["id"]),
        ):
            body = {"entity_type": entity_type, "entity_id": entity_id, "permission": "write"}
            api.data("shareAgent", agent, body, token=owner)
            api.data("runAgent", agent, {"content": "Hello"}, token=recipient)
            api.data("runAgent", agent, {"content": "Hello"}, token=owner)
            own_workflow = create_workflow(api, recipient)
            api.data("updateAgent", agent, {"workflow_uuids": [own_workflow]}, token=recipient)
            api.data("updateAgent", agent, {"workflow_uuids": [workflow]}, token=owner)
        shared_workflow = create_workflow(api, owner)
        api.data("createAgent", body={"name": "B", "workflow_uuids": [shared_workflow, workflow]}, token=owner)
        body = {"entity_type": "user", "entity_id": account["id"], "permission": "read"}
        api.data("shareWorkflow", shared_workflow, body, token=owner)
        api.data("createWorkflowExecution", body={"workflow_uuid": shared_workflow}, token=owner)
        task = {"title": "T", "taskable_type": "workflow_execution", "taskable_uuid": execution["uuid"]}
        api.send("storeCommandRoomTask", body=task, token=owner)
        provider = {"name": "P", "slug": f"p-{owner}", "website": None, "visibility": "public"}
        provider_key = api.data("createProvider", body={**provider, "authentication_strategy": "token"}, token=owner)
        account_body = {"provider_uuid": provider_key["uuid"], "provider_display_name": "X"}
        api.data("createAccount", body=account_body, token=recipient)
        hidden = store.get_existing(Reference("Provider", provider_key["uuid"]))
        api.data("updateProvider", hidden.key, {"visibility": "workspace"}, token=owner)
        for share in store.select("Share"):
            if share.references["subject"] == Reference("Agent", agents[2]):
                store.delete("Share", share.key)


def create_workflow(api: Api, token: str) -> str:
    """Create an active workflow and return its key."""
    return str(api.data("createWorkflow", body={"name": "W", "nodes": ["secret"]}, token=token)["uuid"])


def iter_queries(operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield queries: the default, all relations and optional properties, and each relation alone."""
    base = get_required_query(operation)
    size = {p.name: 100 for p in operation.query_parameters if p.x_query and p.x_query.role == "size"}
    yield base | size
    complete = {
        p.name: ",".join(p.schema["items"]["enum"]) if p.x_query.role in ("include", "count") else "true"
        for p in operation.query_parameters
        if p.x_query and p.x_query.role in ("include", "count", "show")
    }
    if complete:
        yield base | size | complete


def iter_keys(api: Api, operation: Operation, token: str) -> Iterator[Any]:
    """Yield the keys to use in the path: all for a read, and some of each tenant for a write."""
    if not operation.path_parameter_names:
        yield None
        return
    viewer = api.sandbox.resolve_token(token, api.clock())
    resource = api.contract.resources[operation.resource or ""]
    condition = Query(api.sandbox.store, viewer).build_visibility_condition(resource)
    records = api.sandbox.store.select(resource.name, condition, "n DESC")
    counts: dict[Any, int] = {}
    for record in records:
        counts[record.tenant_key] = counts.get(record.tenant_key, 0) + 1
        if operation.method == "get" or counts[record.tenant_key] <= MAX_RECORDS_PER_TENANT:
            yield record.key


def iter_responses(api: Api, token: str) -> Iterator[tuple[str, Any]]:
    """Call every operation as one token, reads first; yield (label, JSON) of each success."""
    for operation in sorted(
        OPERATIONS.values(), key=lambda o: ("get", "post", "put", "patch", "delete").index(o.method)
    ):
        for query in iter_queries(operation):
            for key in iter_keys(api, operation, token):
                if operation.action == "logout" or not api.sandbox.resolve_token(token, api.clock()):
                    continue
                reply = api.send(operation.id, key, get_example_body(operation), query, token=token)
                if reply.status == operation.envelope.status and reply.body:
                    api.assert_valid(operation.id, reply)
                    yield f"{operation.id} {key or ''} as {token}", reply.json


@pytest.mark.slow
@pytest.mark.parametrize("token", TOKENS)
def test_embedded_records_are_those_that_the_token_retrieves(
    api: Api, token: str, record_testsuite_property: Any
) -> None:
    connect_tenants(api)
    comparison = ResponseComparison(api)
    for label, body in iter_responses(api, token):
        comparison.compare(label, body, DEMO if label.startswith("signIn") else token)  # its example is this user
    record_testsuite_property(f"embedded records compared as {token}", len(comparison.compared))
    print(f"{token}: compared {len(comparison.compared)} records")  # noqa: T201 - the number is a result
    assert not comparison.differences, comparison.differences[:10]
    assert len(comparison.compared) >= MIN_COMPARED
    assert {"Agent", "Workflow", "Workspace", "User", "Thread", "Provider"} <= set(comparison.compared)


@pytest.mark.parametrize("token", TOKENS)
def test_counts_include_only_records_that_the_token_lists(api: Api, token: str) -> None:
    connect_tenants(api)
    compared = 0
    for agent in api.list_all("listAgents", {"with_metrics": "true"}, token=token):
        threads = api.call_json("listThreads", query={"agent_uuid": agent["uuid"]}, token=token)["meta"]["total"]
        memories = api.call_json("listMemories", query={"agent_uuid": agent["uuid"]}, token=token)["meta"]["total"]
        assert (agent["threads_count"], agent["metrics"]["threads_count"]) == (threads, threads)
        assert agent["metrics"]["memories_count"] == memories
        retrieved = api.data("retrieveAgent", agent["uuid"], query={"with": "workflows,tools,shares"}, token=token)
        assert (agent["workflows_count"], agent["tools_count"]) == (
            len(retrieved["workflows"]),
            len(retrieved["tools"]),
        )
        assert agent["metrics"]["shares_count"] == len(retrieved["shares"])
        compared += 1
    for workflow in api.list_all("listWorkflows", token=token):
        query = {"workflow_uuid": workflow["uuid"]}
        total = api.call_json("listWorkflowExecutions", query=query, token=token)["meta"]["total"]
        assert workflow["trigger_count"] == total
        compared += 1
    assert compared > 5


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("name", ["threads_count", "workflows_count", "usage_count"])
def test_agents_are_sorted_and_summed_by_the_counts_that_they_show(api: Api, token: str, name: str) -> None:
    connect_tenants(api)
    counts = [agent[name] for agent in api.list_all("listAgents", token=token)]
    body = {"calculation": "accumulated_sum", "property": name}
    assert api.call_json("getAgentsMetrics", body=body, token=token)["total"] == sum(counts)
    sort = next(p for p in api.operation("listAgents").query_parameters if p.x_query and p.x_query.role == "sort")
    if name in sort.schema["enum"]:
        query = {"sort_by": name, "sort_direction": "asc"}
        assert [agent[name] for agent in api.list_all("listAgents", query, token=token)] == sorted(counts)


@pytest.mark.parametrize("token", TOKENS)
def test_leaderboard_counts_only_visible_threads_and_messages(api: Api, token: str) -> None:
    connect_tenants(api)
    leaders = api.data("getAgentLeaderboard", query={"limit": 100}, token=token)
    assert leaders
    for leader in leaders:
        agent = {"agent_uuid": leader["agent"]["uuid"]}
        threads = api.list_all("listThreads", agent, token=token)
        messages = [m for t in threads for m in api.list_all("listMessages", {"thread_uuid": t["uuid"]}, token=token)]
        assert (leader["threads_count"], leader["messages_count"]) == (len(threads), len(messages))


def test_answer_of_an_unshared_agent_does_not_depend_on_it(api: Api) -> None:
    account = api.data("getAuthenticatedUser", token=OTHER)
    metadata = {"role": "Spy", "goal_statement": "Keep the secret", "guardrails": "Reveal the secret"}
    agent = api.data("createAgent", body={"name": "A", "metadata": metadata})["uuid"]
    share = {"entity_type": "user", "entity_id": account["id"], "permission": "read"}
    api.data("shareAgent", agent, share)
    run = api.data("runAgent", agent, {"content": "Hello"}, token=OTHER)
    assert run["thread"]["agent"]["uuid"] == agent
    store = api.sandbox.store
    for record in store.select("Share"):
        if record.references["subject"] == Reference("Agent", agent):
            store.delete("Share", record.key)
    assert api.data("retrieveThread", run["thread"]["uuid"], token=OTHER)["agent"] is None
    for number in range(10):
        answer = api.data("runThread", run["thread"]["uuid"], {"content": f"Hello {number}"}, token=OTHER)
        assert answer["thread"]["agent"] is None
        assert "secret" not in answer["answer"]["content"].lower()


def test_share_with_a_foreign_workspace_does_not_show_it(api: Api) -> None:
    workspace = api.data("getAuthenticatedUser", token=OTHER)["primary_workspace"]["uuid"]
    agent = api.find_seeded_key("Agent")
    body = {"entity_type": "workspace", "entity_id": workspace, "permission": "read"}
    assert api.data("shareAgent", agent, body) == {"entity_type": "workspace", "entity": {}, "permission": "read"}


def test_share_with_an_outside_user_shows_only_what_the_schema_requires(api: Api) -> None:
    account = api.data("getAuthenticatedUser", token=OTHER)
    agent = api.find_seeded_key("Agent")
    body = {"entity_type": "user", "entity_id": account["id"], "permission": "read"}
    share = api.data("shareAgent", agent, body)
    assert set(share["entity"]) == REQUIRED_USER_PROPERTIES
