"""Identity: sign-in and logout, visibility for each built-in token, and sharing."""

from typing import Any

import pytest

from mock_server.sandbox.sandbox import BUILTIN_TOKENS
from tests.asgi import Client
from tests.mock_server.athena import PASSWORD, Api, athena_contract

OPERATIONS = athena_contract().operations
LISTS = [operation.id for operation in OPERATIONS.values() if operation.action == "list"]
AGENT = WORKSPACE = "550e8400-e29b-41d4-a716-446655440000"
TOKENS = [token for token, actor in BUILTIN_TOKENS.items() if actor.account_index is not None]
PEOPLE = {"john.doe@example.com": 123, "jane.smith@example.com": 124, "noor.haddad@example.com": 125}


def sign_in(api: Api, email: str = "john.doe@example.com") -> Any:
    """Sign in and return the session."""
    reply = api.send("signIn", body={"email": email, "password": PASSWORD}, token=None)
    assert reply.status == 200
    return reply.json["data"]


# Signing in and out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("email", "user"), PEOPLE.items())
def test_every_seeded_user_can_sign_in(api: Api, email: str, user: int) -> None:
    session = sign_in(api, email)
    assert (session["token_type"], session["user"]["id"], session["user"]["email"]) == ("Bearer", user, email)
    assert api.data("getAuthenticatedUser", token=session["token"]) == session["user"]


def test_builtin_tokens_belong_to_the_seeded_users_in_order(api: Api) -> None:
    assert [api.data("getAuthenticatedUser", token=token)["id"] for token in TOKENS] == [*PEOPLE.values()]


def test_each_sign_in_returns_a_new_token(api: Api) -> None:
    assert sign_in(api)["token"] != sign_in(api)["token"]


def test_unknown_email_is_rejected_like_a_wrong_password(api: Api) -> None:
    bodies = ({"email": "unknown@example.com", "password": "x"}, {"email": "john.doe@example.com", "password": "x"})
    first, second = (api.send("signIn", body=body, token=None) for body in bodies)
    assert (first.status, first.body) == (second.status, second.body)


def test_logout_revokes_only_its_token(api: Api) -> None:
    revoked_token, other_token = sign_in(api)["token"], sign_in(api)["token"]
    assert api.status("logout", token=revoked_token) == 204
    assert api.status("getAuthenticatedUser", token=revoked_token) == 401
    assert api.status("getAuthenticatedUser", token=other_token) == 200


def test_builtin_token_remains_valid_after_logout(api: Api) -> None:
    assert api.status("logout") == 204
    assert api.status("getAuthenticatedUser") == 200


def test_token_expires_at_the_time_returned_by_sign_in(api: Api) -> None:
    session = sign_in(api)
    assert session["expires_at"] == "2026-03-01T12:00:00.000000Z"
    api.clock.advance(hours=11, minutes=59, seconds=59)
    assert api.status("getAuthenticatedUser", token=session["token"]) == 200
    api.clock.advance(seconds=1)
    assert api.status("getAuthenticatedUser", token=session["token"]) == 401


def test_app_token_identifies_the_user(api: Api) -> None:
    token = sign_in(api, "jane.smith@example.com")["token"]
    target = api.target("getAuthenticatedUserByAppToken")
    header = athena_contract().security_schemes["multiplai"]["name"]
    reply = Client(api.app, {}).request("GET", target, headers={header: token})
    api.assert_valid("getAuthenticatedUserByAppToken", reply)
    assert reply.json["data"]["id"] == 124
    assert (
        api.data("getAuthenticatedUserByAppToken", token="viewer-token")["id"] == 125
    )  # without the app token, the bearer token


# Two workspaces ------------------------------------------------------------------------------------------------------


def find_shared_or_public_keys(api: Api) -> set[str]:
    """Return the keys of the records that are visible in more than one workspace."""
    store = api.sandbox.store
    keys = {record.references["subject"].key for record in store.select("Share") if record.references["subject"]}
    keys |= {record.key for record in store.select("Provider") if record.attributes["visibility"] == "public"}
    executions = [(record.key, record.references["workflow"]) for record in store.select("WorkflowExecution")]
    return keys | {key for key, workflow in executions if workflow and workflow.key in keys}


@pytest.mark.parametrize("listing", [name for name in LISTS if name != "listLargeLanguageModels"])
def test_workspaces_have_only_shared_or_public_records_in_common(api: Api, listing: str) -> None:
    visible_keys = [
        {row["uuid"] for row in api.list_all(listing, token=token)} for token in ("demo-token", "other-token")
    ]
    assert all(visible_keys)
    assert visible_keys[0] & visible_keys[1] <= find_shared_or_public_keys(api)


def test_language_models_are_visible_to_every_user(api: Api) -> None:
    first, second, third = (api.list_all("listLargeLanguageModels", token=token) for token in TOKENS)
    assert first == second == third


def test_filter_by_a_foreign_workspace_returns_an_empty_page(api: Api) -> None:
    page = api.call_json("listThreads", query={"workspace_uuid": WORKSPACE}, token="other-token")
    assert (page["data"], page["meta"]["total"]) == ([], 0)


def test_records_cannot_be_created_in_a_foreign_workspace(api: Api) -> None:
    body: dict[str, Any] = {"name": "Cuckoo", "workspace_uuid": WORKSPACE}
    assert api.status("createPrompt", body=body | {"content": "x"}, token="other-token") == 404
    assert api.status("createAgent", body=body, token="other-token") == 404


# A member who owns nothing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listing", ["listAgents", "listWorkflows", "listPrompts", "listMessages", "listMemories"])
def test_member_sees_what_the_owner_sees(api: Api, listing: str) -> None:
    owner_keys, member_keys = (
        {row["uuid"] for row in api.list_all(listing, {"workspace_uuid": WORKSPACE}, token=token)}
        for token in ("demo-token", "viewer-token")
    )
    assert owner_keys == member_keys


@pytest.mark.parametrize("listing", ["listWorkspaces", "listAgents", "listWorkflows", "listPrompts", "listProviders"])
def test_is_owner_is_false_for_a_member_without_own_records(api: Api, listing: str) -> None:
    rows = api.list_all(listing, token="viewer-token")
    assert {row["is_owner"] for row in rows} == {False}


def test_is_owner_depends_on_the_caller(api: Api) -> None:
    tokens = ("demo-token", "viewer-token", "demo-token")
    assert [api.data("retrieveAgent", AGENT, token=t)["is_owner"] for t in tokens] == [True, False, True]


def test_member_may_change_records_of_the_workspace(api: Api) -> None:
    assert api.data("updateAgent", AGENT, {"name": "Ours"}, token="viewer-token")["name"] == "Ours"


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        (f"{verb}{resource}", resource)
        for verb in ("update", "delete")
        for resource in ("Workspace", "Provider", "Account")
    ],
)
def test_workspace_provider_and_account_can_be_changed_only_by_their_owner(api: Api, name: str, resource: str) -> None:
    before = api.sandbox.store.generation
    body: Any = {} if name.startswith("update") else None
    reply = api.call(name, api.find_seeded_key(resource), body, token="viewer-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    assert api.sandbox.store.generation == before


# Sharing -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def unshared_agent(api: Api) -> str:
    """An agent that only the first user can see."""
    uuid: str = api.data("createAgent", body={"name": "Secret"})["uuid"]
    return uuid


def share(api: Api, key: str, permission: str, *, entity: Any = 124, kind: str = "user") -> Any:
    """Share an agent, by default with the second user."""
    return api.data("shareAgent", key, {"entity_type": kind, "entity_id": entity, "permission": permission})


def test_shared_record_is_visible(api: Api, unshared_agent: str) -> None:
    assert api.status("retrieveAgent", unshared_agent, token="other-token") == 404
    response = share(api, unshared_agent, "read")
    assert (response["entity_type"], response["entity"]["id"], response["permission"]) == ("user", 124, "read")
    assert api.data("retrieveAgent", unshared_agent, token="other-token")["is_owner"] is False
    assert unshared_agent in {agent["uuid"] for agent in api.list_all("listAgents", token="other-token")}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("updateAgent", {"name": "Taken"}),
        ("deleteAgent", None),
        ("trainAgent", {"texts": ["x"]}),
        ("shareAgent", {"entity_type": "user", "entity_id": 125, "permission": "read"}),
    ],
)
def test_read_share_does_not_allow_changes(api: Api, unshared_agent: str, name: str, body: Any) -> None:
    share(api, unshared_agent, "read")
    before = api.data("retrieveAgent", unshared_agent)
    reply = api.call(name, unshared_agent, body, token="other-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    assert api.data("retrieveAgent", unshared_agent) == before


def test_write_share_allows_changes(api: Api, unshared_agent: str) -> None:
    share(api, unshared_agent, "write")
    api.data("updateAgent", unshared_agent, {"name": "Theirs too"}, token="other-token")
    assert api.data("retrieveAgent", unshared_agent)["name"] == "Theirs too"


@pytest.mark.parametrize(
    ("name", "body"),
    [("deleteAgent", None), ("shareAgent", {"entity_type": "user", "entity_id": 125, "permission": "read"})],
)
@pytest.mark.parametrize("kind", ["user", "workspace"])
def test_write_share_allows_neither_delete_nor_share(
    api: Api, unshared_agent: str, name: str, body: Any, kind: str
) -> None:
    entities = {"user": 124, "workspace": api.list_all("listWorkspaces", token="other-token")[0]["uuid"]}
    share(api, unshared_agent, "write", entity=entities[kind], kind=kind)
    before = api.data("retrieveAgent", unshared_agent)
    reply = api.call(name, unshared_agent, body, token="other-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    if body is not None:  # permission is checked before the body
        assert api.status(name, unshared_agent, {}, token="other-token") == 403
    assert api.data("retrieveAgent", unshared_agent) == before
    member_token = "viewer-token"  # a member of the workspace
    assert api.status(name, unshared_agent, body, token=member_token) == api.operation(name).envelope.status


def test_sharing_again_updates_the_permission(api: Api, unshared_agent: str) -> None:
    share(api, unshared_agent, "write")
    share(api, unshared_agent, "read")
    assert [row["permission"] for row in api.data("retrieveAgent", unshared_agent)["shares"]] == ["read"]
    assert api.status("updateAgent", unshared_agent, {"name": "x"}, token="other-token") == 403


def test_members_see_records_shared_with_their_workspace(api: Api, unshared_agent: str) -> None:
    other_workspace = api.list_all("listWorkspaces", token="other-token")[0]["uuid"]
    share(api, unshared_agent, "read", entity=other_workspace, kind="workspace")
    assert api.status("retrieveAgent", unshared_agent, token="other-token") == 200


def test_filter_finds_shared_agents(api: Api, unshared_agent: str) -> None:
    def is_listed(is_shared: str) -> bool:
        return unshared_agent in {agent["uuid"] for agent in api.list_all("listAgents", {"is_shared": is_shared})}

    assert (is_listed("true"), is_listed("false")) == (False, True)
    share(api, unshared_agent, "read")
    assert (is_listed("true"), is_listed("false")) == (True, False)


def test_shared_agent_does_not_expose_its_threads(api: Api, unshared_agent: str) -> None:
    thread = api.data("runAgent", unshared_agent, {"content": "Between us"})["thread"]["uuid"]
    share(api, unshared_agent, "write")
    assert api.status("retrieveThread", thread, token="other-token") == 404


def test_workflow_can_be_shared(api: Api) -> None:
    workflow = api.data("createWorkflow", body={"name": "Secret flow"})["uuid"]
    body = {"entity_type": "user", "entity_id": 124, "permission": "read"}
    assert api.data("shareWorkflow", workflow, body)["permission"] == "read"
    assert api.status("retrieveWorkflow", workflow, token="other-token") == 200
    assert api.status("updateWorkflow", workflow, {"is_active": False}, token="other-token") == 403


def test_read_share_of_a_workflow_does_not_allow_starting_it(api: Api) -> None:
    workflow = api.data("createWorkflow", body={"name": "Secret flow"})["uuid"]
    api.data("shareWorkflow", workflow, {"entity_type": "user", "entity_id": 124, "permission": "read"})
    assert api.status("triggerWebhook", workflow, {}, token="other-token") == 403
    assert api.status("createWorkflowExecution", body={"workflow_uuid": workflow}, token="other-token") == 403


@pytest.fixture
def unshared_workflow(api: Api) -> str:
    """A workflow that only the first user can see."""
    uuid: str = api.data("createWorkflow", body={"name": "Secret flow"})["uuid"]
    return uuid


def share_workflow(api: Api, key: str, permission: str, *, entity: Any = 124, kind: str = "user") -> None:
    api.data("shareWorkflow", key, {"entity_type": kind, "entity_id": entity, "permission": permission})


def test_caller_can_see_and_stop_an_execution_of_a_shared_workflow(api: Api, unshared_workflow: str) -> None:
    share_workflow(api, unshared_workflow, "write")
    for name, call in (
        ("triggerWebhook", (unshared_workflow, {})),
        ("createWorkflowExecution", (None, {"workflow_uuid": unshared_workflow})),
    ):
        execution = api.data(name, *call, token="other-token")["uuid"]
        assert (
            api.data("retrieveWorkflowExecution", execution, token="other-token")["workflow"]["uuid"]
            == unshared_workflow
        )
        rows = api.list_all("listWorkflowExecutions", {"workflow_uuid": unshared_workflow}, token="other-token")
        assert execution in {row["uuid"] for row in rows}
        assert len(rows) == rows[0]["workflow"]["trigger_count"]
        assert api.data("stopWorkflowExecution", execution, token="other-token")["status"] == "stopped"


def test_caller_cannot_delete_an_execution_of_a_shared_workflow(api: Api, unshared_workflow: str) -> None:
    share_workflow(api, unshared_workflow, "write")
    execution = api.data("triggerWebhook", unshared_workflow, {}, token="other-token")["uuid"]
    assert api.status("deleteWorkflowExecution", execution, token="other-token") == 403
    assert api.status("deleteWorkflowExecution", execution) == 204


def test_read_share_of_a_workflow_shows_executions_but_cannot_stop_them(api: Api, unshared_workflow: str) -> None:
    execution = api.data("triggerWebhook", unshared_workflow, {})["uuid"]
    assert api.status("retrieveWorkflowExecution", execution, token="other-token") == 404
    share_workflow(api, unshared_workflow, "read")
    assert api.status("retrieveWorkflowExecution", execution, token="other-token") == 200
    assert api.status("stopWorkflowExecution", execution, token="other-token") == 403
    assert api.data("retrieveWorkflowExecution", execution)["status"] == "pending"


def test_executions_of_unshared_workflows_are_hidden(api: Api, unshared_workflow: str) -> None:
    execution = api.data("triggerWebhook", WORKSPACE, {})["uuid"]  # the documented workflow has the same key
    before = api.call_json("listWorkflowExecutions", token="other-token")["meta"]["total"]
    status = api.status("retrieveWorkflowExecution", execution, token="other-token")
    share_workflow(api, unshared_workflow, "write")
    assert api.call_json("listWorkflowExecutions", token="other-token")["meta"]["total"] == before
    assert api.status("retrieveWorkflowExecution", execution, token="other-token") == status


def test_the_stronger_of_two_shares_applies(api: Api, unshared_workflow: str) -> None:
    other_workspace = api.list_all("listWorkspaces", token="other-token")[0]["uuid"]
    share_workflow(api, unshared_workflow, "write")
    share_workflow(api, unshared_workflow, "read", entity=other_workspace, kind="workspace")
    assert api.status("triggerWebhook", unshared_workflow, {}, token="other-token") == 201


@pytest.mark.parametrize("entity", [999, "550e8400-e29b-41d4-a716-446655440000"])
def test_share_with_an_unknown_entity_returns_404(api: Api, unshared_agent: str, entity: Any) -> None:
    body = {"entity_type": "user", "entity_id": entity, "permission": "read"}
    assert api.status("shareAgent", unshared_agent, body) == 404


@pytest.mark.parametrize(
    ("kind", "entity", "message"),
    [
        ("user", "124", "must be an integer."),
        ("user", True, "must be an integer."),
        ("user", 0, "must be at least 1."),
        ("workspace", "124", "must be a valid UUID."),
        ("workspace", 0, "must be a string."),
        ("robot", "124", "must be a valid UUID."),
    ],
)
def test_invalid_share_entity_is_reported_with_the_expected_format(
    api: Api, unshared_agent: str, kind: str, entity: Any, message: str
) -> None:
    reply = api.call("shareAgent", unshared_agent, {"entity_type": kind, "entity_id": entity})
    assert reply.status == 422
    assert reply.json["errors"]["entity_id"] == [f"The entity id field {message}"]
