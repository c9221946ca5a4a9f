"""Who asks: signing in and out, what each of the standing tokens sees, and sharing."""

from typing import Any

import pytest

from mock_server.sandbox.sandbox import BUILTIN_TOKENS
from tests.asgi import Client
from tests.mock_server.athena import PASSWORD, Api, athena_contract

OPERATIONS = athena_contract().operations
LISTS = [operation.id for operation in OPERATIONS.values() if operation.action == "list"]
AGENT = WORKSPACE = "550e8400-e29b-41d4-a716-446655440000"
TOKENS = [token for token, said in BUILTIN_TOKENS.items() if said.account_index is not None]
PEOPLE = {"john.doe@example.com": 123, "jane.smith@example.com": 124, "noor.haddad@example.com": 125}


def sign_in(api: Api, email: str = "john.doe@example.com") -> Any:
    """What sign in gives."""
    reply = api.send("signIn", body={"email": email, "password": PASSWORD}, token=None)
    assert reply.status == 200
    return reply.json["data"]


# Signing in and out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("email", "user"), PEOPLE.items())
def test_every_seeded_user_can_sign_in(api: Api, email: str, user: int) -> None:
    said = sign_in(api, email)
    assert (said["token_type"], said["user"]["id"], said["user"]["email"]) == ("Bearer", user, email)
    assert api.data("getAuthenticatedUser", token=said["token"]) == said["user"]


def test_the_standing_tokens_are_the_seeded_users_in_their_order(api: Api) -> None:
    assert [api.data("getAuthenticatedUser", token=token)["id"] for token in TOKENS] == [*PEOPLE.values()]


def test_each_sign_in_gives_another_token(api: Api) -> None:
    assert sign_in(api)["token"] != sign_in(api)["token"]


def test_an_unknown_address_is_answered_like_a_wrong_password(api: Api) -> None:
    bodies = ({"email": "nobody@example.com", "password": "x"}, {"email": "john.doe@example.com", "password": "x"})
    first, second = (api.send("signIn", body=body, token=None) for body in bodies)
    assert (first.status, first.body) == (second.status, second.body)


def test_logout_ends_that_token_and_no_other(api: Api) -> None:
    mine, other = sign_in(api)["token"], sign_in(api)["token"]
    assert api.status("logout", token=mine) == 204
    assert api.status("getAuthenticatedUser", token=mine) == 401
    assert api.status("getAuthenticatedUser", token=other) == 200


def test_a_standing_token_outlives_its_logout(api: Api) -> None:
    assert api.status("logout") == 204
    assert api.status("getAuthenticatedUser") == 200


def test_a_token_ends_at_the_instant_that_sign_in_told(api: Api) -> None:
    said = sign_in(api)
    assert said["expires_at"] == "2026-03-01T12:00:00.000000Z"
    api.watch.wait(hours=11, minutes=59, seconds=59)
    assert api.status("getAuthenticatedUser", token=said["token"]) == 200
    api.watch.wait(seconds=1)
    assert api.status("getAuthenticatedUser", token=said["token"]) == 401


def test_the_app_token_tells_who_one_is(api: Api) -> None:
    token = sign_in(api, "jane.smith@example.com")["token"]
    target = api.target("getAuthenticatedUserByAppToken")
    header = athena_contract().security_schemes["multiplai"]["name"]
    reply = Client(api.app, {}).request("GET", target, headers={header: token})
    api.check("getAuthenticatedUserByAppToken", reply)
    assert reply.json["data"]["id"] == 124
    assert api.data("getAuthenticatedUserByAppToken", token="viewer-token")["id"] == 125  # without it, the bearer


# Two workspaces ------------------------------------------------------------------------------------------------------


def shared_or_public(api: Api) -> set[str]:
    """Keys of what more than one workspace sees."""
    store = api.world.store
    found = {record.references["subject"].key for record in store.select("Share", "1") if record.references["subject"]}
    found |= {record.key for record in store.select("Provider", "1") if record.attributes["visibility"] == "public"}
    executions = [(record.key, record.references["workflow"]) for record in store.select("WorkflowExecution", "1")]
    return found | {key for key, workflow in executions if workflow and workflow.key in found}


@pytest.mark.parametrize("listing", [name for name in LISTS if name != "listLargeLanguageModels"])
def test_two_workspaces_have_in_common_only_what_is_shared_or_public(api: Api, listing: str) -> None:
    seen = [{row["uuid"] for row in api.every(listing, token=token)} for token in ("demo-token", "other-token")]
    assert all(seen)
    assert seen[0] & seen[1] <= shared_or_public(api)


def test_everybody_sees_every_language_model(api: Api) -> None:
    first, second, third = (api.every("listLargeLanguageModels", token=token) for token in TOKENS)
    assert first == second == third


def test_the_filter_by_another_ones_workspace_is_an_empty_page(api: Api) -> None:
    page = api.whole("listThreads", query={"workspace_uuid": WORKSPACE}, token="other-token")
    assert (page["data"], page["meta"]["total"]) == ([], 0)


def test_nothing_can_be_put_into_another_ones_workspace(api: Api) -> None:
    body: dict[str, Any] = {"name": "Cuckoo", "workspace_uuid": WORKSPACE}
    assert api.status("createPrompt", body=body | {"content": "x"}, token="other-token") == 404
    assert api.status("createAgent", body=body, token="other-token") == 404


# A member who owns nothing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listing", ["listAgents", "listWorkflows", "listPrompts", "listMessages", "listMemories"])
def test_a_member_sees_what_the_owner_sees(api: Api, listing: str) -> None:
    mine, his = (
        {row["uuid"] for row in api.every(listing, {"workspace_uuid": WORKSPACE}, token=token)}
        for token in ("demo-token", "viewer-token")
    )
    assert mine == his


@pytest.mark.parametrize("listing", ["listWorkspaces", "listAgents", "listWorkflows", "listPrompts", "listProviders"])
def test_a_member_who_owns_nothing_is_told_so(api: Api, listing: str) -> None:
    rows = api.every(listing, token="viewer-token")
    assert {row["is_owner"] for row in rows} == {False}


def test_is_owner_is_about_who_asks(api: Api) -> None:
    asked = ("demo-token", "viewer-token", "demo-token")
    assert [api.data("retrieveAgent", AGENT, token=t)["is_owner"] for t in asked] == [True, False, True]


def test_a_member_may_change_what_is_in_the_workspace(api: Api) -> None:
    assert api.data("updateAgent", AGENT, {"name": "Ours"}, token="viewer-token")["name"] == "Ours"


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        (f"{verb}{resource}", resource)
        for verb in ("update", "delete")
        for resource in ("Workspace", "Provider", "Account")
    ],
)
def test_a_workspace_a_provider_and_an_account_are_their_owners_to_change(api: Api, name: str, resource: str) -> None:
    before = api.world.store.generation
    body: Any = {} if name.startswith("update") else None
    reply = api.ask(name, api.seeded(resource), body, token="viewer-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    assert api.world.store.generation == before


# Sharing -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(api: Api) -> str:
    """An agent of the first user that nobody else sees yet."""
    uuid: str = api.data("createAgent", body={"name": "Secret"})["uuid"]
    return uuid


def share(api: Api, key: str, permission: str, *, entity: Any = 124, kind: str = "user") -> Any:
    """Share an agent, with the second user unless told otherwise."""
    return api.data("shareAgent", key, {"entity_type": kind, "entity_id": entity, "permission": permission})


def test_what_is_shared_is_seen(api: Api, secret: str) -> None:
    assert api.status("retrieveAgent", secret, token="other-token") == 404
    said = share(api, secret, "read")
    assert (said["entity_type"], said["entity"]["id"], said["permission"]) == ("user", 124, "read")
    assert api.data("retrieveAgent", secret, token="other-token")["is_owner"] is False
    assert secret in {agent["uuid"] for agent in api.every("listAgents", token="other-token")}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("updateAgent", {"name": "Taken"}),
        ("deleteAgent", None),
        ("trainAgent", {"texts": ["x"]}),
        ("shareAgent", {"entity_type": "user", "entity_id": 125, "permission": "read"}),
    ],
)
def test_what_is_shared_to_read_is_not_to_be_changed(api: Api, secret: str, name: str, body: Any) -> None:
    share(api, secret, "read")
    before = api.data("retrieveAgent", secret)
    reply = api.ask(name, secret, body, token="other-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    assert api.data("retrieveAgent", secret) == before


def test_what_is_shared_to_write_is(api: Api, secret: str) -> None:
    share(api, secret, "write")
    api.data("updateAgent", secret, {"name": "Theirs too"}, token="other-token")
    assert api.data("retrieveAgent", secret)["name"] == "Theirs too"


@pytest.mark.parametrize(
    ("name", "body"),
    [("deleteAgent", None), ("shareAgent", {"entity_type": "user", "entity_id": 125, "permission": "read"})],
)
@pytest.mark.parametrize("kind", ["user", "workspace"])
def test_what_is_shared_to_write_is_neither_deleted_nor_shared_on(
    api: Api, secret: str, name: str, body: Any, kind: str
) -> None:
    theirs = {"user": 124, "workspace": api.every("listWorkspaces", token="other-token")[0]["uuid"]}
    share(api, secret, "write", entity=theirs[kind], kind=kind)
    before = api.data("retrieveAgent", secret)
    reply = api.ask(name, secret, body, token="other-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    if body is not None:  # who may not at all is told so before what was sent is looked at
        assert api.status(name, secret, {}, token="other-token") == 403
    assert api.data("retrieveAgent", secret) == before
    members = "viewer-token"  # whose workspace it lies in
    assert api.status(name, secret, body, token=members) == api.operation(name).envelope.status


def test_sharing_again_changes_the_permission_of_the_same_share(api: Api, secret: str) -> None:
    share(api, secret, "write")
    share(api, secret, "read")
    assert [row["permission"] for row in api.data("retrieveAgent", secret)["shares"]] == ["read"]
    assert api.status("updateAgent", secret, {"name": "x"}, token="other-token") == 403


def test_what_is_shared_with_a_workspace_its_members_see(api: Api, secret: str) -> None:
    theirs = api.every("listWorkspaces", token="other-token")[0]["uuid"]
    share(api, secret, "read", entity=theirs, kind="workspace")
    assert api.status("retrieveAgent", secret, token="other-token") == 200


def test_a_shared_agent_is_found_as_such(api: Api, secret: str) -> None:
    def found(is_shared: str) -> bool:
        return secret in {agent["uuid"] for agent in api.every("listAgents", {"is_shared": is_shared})}

    assert (found("true"), found("false")) == (False, True)
    share(api, secret, "read")
    assert (found("true"), found("false")) == (True, False)


def test_a_shared_agent_does_not_open_the_threads_it_speaks_in(api: Api, secret: str) -> None:
    thread = api.data("runAgent", secret, {"content": "Between us"})["thread"]["uuid"]
    share(api, secret, "write")
    assert api.status("retrieveThread", thread, token="other-token") == 404


def test_a_workflow_is_shared_likewise(api: Api) -> None:
    workflow = api.data("createWorkflow", body={"name": "Secret flow"})["uuid"]
    body = {"entity_type": "user", "entity_id": 124, "permission": "read"}
    assert api.data("shareWorkflow", workflow, body)["permission"] == "read"
    assert api.status("retrieveWorkflow", workflow, token="other-token") == 200
    assert api.status("updateWorkflow", workflow, {"is_active": False}, token="other-token") == 403


def test_a_workflow_shared_to_read_is_not_to_be_started(api: Api) -> None:
    workflow = api.data("createWorkflow", body={"name": "Secret flow"})["uuid"]
    api.data("shareWorkflow", workflow, {"entity_type": "user", "entity_id": 124, "permission": "read"})
    assert api.status("triggerWebhook", workflow, {}, token="other-token") == 403
    assert api.status("createWorkflowExecution", body={"workflow_uuid": workflow}, token="other-token") == 403


@pytest.fixture
def flow(api: Api) -> str:
    """A workflow of the first user that nobody else sees yet."""
    uuid: str = api.data("createWorkflow", body={"name": "Secret flow"})["uuid"]
    return uuid


def share_flow(api: Api, key: str, permission: str, *, entity: Any = 124, kind: str = "user") -> None:
    api.data("shareWorkflow", key, {"entity_type": kind, "entity_id": entity, "permission": permission})


def test_who_starts_a_shared_workflow_sees_what_was_started_and_stops_it(api: Api, flow: str) -> None:
    share_flow(api, flow, "write")
    for name, call in (
        ("triggerWebhook", (flow, {})),
        ("createWorkflowExecution", (None, {"workflow_uuid": flow})),
    ):
        started = api.data(name, *call, token="other-token")["uuid"]
        assert api.data("retrieveWorkflowExecution", started, token="other-token")["workflow"]["uuid"] == flow
        rows = api.every("listWorkflowExecutions", {"workflow_uuid": flow}, token="other-token")
        assert started in {row["uuid"] for row in rows}
        assert len(rows) == rows[0]["workflow"]["trigger_count"]
        assert api.data("stopWorkflowExecution", started, token="other-token")["status"] == "stopped"


def test_who_starts_a_shared_workflow_does_not_delete_what_was_started(api: Api, flow: str) -> None:
    share_flow(api, flow, "write")
    started = api.data("triggerWebhook", flow, {}, token="other-token")["uuid"]
    assert api.status("deleteWorkflowExecution", started, token="other-token") == 403
    assert api.status("deleteWorkflowExecution", started) == 204


def test_executions_of_a_workflow_that_is_shared_to_read_are_read_but_not_stopped(api: Api, flow: str) -> None:
    started = api.data("triggerWebhook", flow, {})["uuid"]
    assert api.status("retrieveWorkflowExecution", started, token="other-token") == 404
    share_flow(api, flow, "read")
    assert api.status("retrieveWorkflowExecution", started, token="other-token") == 200
    assert api.status("stopWorkflowExecution", started, token="other-token") == 403
    assert api.data("retrieveWorkflowExecution", started)["status"] == "pending"


def test_executions_of_other_workflows_stay_hidden(api: Api, flow: str) -> None:
    other = api.data("triggerWebhook", WORKSPACE, {})["uuid"]  # the documented workflow has the same key
    before = api.whole("listWorkflowExecutions", token="other-token")["meta"]["total"]
    hidden = api.status("retrieveWorkflowExecution", other, token="other-token")
    share_flow(api, flow, "write")
    assert api.whole("listWorkflowExecutions", token="other-token")["meta"]["total"] == before
    assert api.status("retrieveWorkflowExecution", other, token="other-token") == hidden


def test_the_stronger_of_two_shares_holds(api: Api, flow: str) -> None:
    theirs = api.every("listWorkspaces", token="other-token")[0]["uuid"]
    share_flow(api, flow, "write")
    share_flow(api, flow, "read", entity=theirs, kind="workspace")
    assert api.status("triggerWebhook", flow, {}, token="other-token") == 201


@pytest.mark.parametrize("entity", [999, "550e8400-e29b-41d4-a716-446655440000"])
def test_a_share_with_nobody_is_404(api: Api, secret: str, entity: Any) -> None:
    body = {"entity_type": "user", "entity_id": entity, "permission": "read"}
    assert api.status("shareAgent", secret, body) == 404


@pytest.mark.parametrize(
    ("kind", "entity", "sentence"),
    [
        ("user", "124", "must be an integer."),
        ("user", True, "must be an integer."),
        ("user", 0, "must be at least 1."),
        ("workspace", "124", "must be a valid UUID."),
        ("workspace", 0, "must be a string."),
        ("robot", "124", "must be a valid UUID."),
    ],
)
def test_a_share_is_told_what_names_such_an_entity(
    api: Api, secret: str, kind: str, entity: Any, sentence: str
) -> None:
    reply = api.ask("shareAgent", secret, {"entity_type": kind, "entity_id": entity})
    assert reply.status == 422
    assert reply.json["errors"]["entity_id"] == [f"The entity id field {sentence}"]
