"""Creation of related records."""

from typing import Any

import pytest

from tests.mock_server.athena import athena_contract, athena_schemas
from tests.mock_server.controlled_mock import SANDBOXES, ControlledMock, build_image_with_pools, use_dataset

EXAMPLE = {
    "Agent": [{"name": "Alpha"}],
    "Thread": [{"agent": "$Agent.0", "name": "First"}],
    "Message": {"count": 45, "thread": "$Thread.0"},
}


pytestmark = pytest.mark.usefixtures("sandbox_a")


def create(mock: ControlledMock, records: Any) -> Any:
    return mock.control("POST", "/sandboxes/a/records", records)


def reject(mock: ControlledMock, records: Any, status: int) -> dict[str, list[str]]:
    """Return the errors of records that must be rejected with a status and without a change."""
    before = mock.control("GET", "/sandboxes/a/changes")
    reply = mock.request("POST", f"{SANDBOXES}/a/records", records)
    assert reply.status == status, reply.body
    assert mock.control("GET", "/sandboxes/a/changes") == before
    errors: dict[str, list[str]] = reply.json.get("errors", {})
    return errors


def test_related_records_are_served_by_the_api(mock: ControlledMock) -> None:
    created = create(mock, EXAMPLE)
    thread = created["Thread"][0]
    assert {name: len(records) for name, records in created.items()} == {"Agent": 1, "Thread": 1, "Message": 45}
    assert thread["agent"] == created["Agent"][0]["uuid"]
    reply = mock.call("a", "GET", f"/messages?thread_uuid={thread['uuid']}&per_page=100")
    assert reply.json["meta"]["total"] == 45
    assert mock.read("a", f"/agents/{created['Agent'][0]['uuid']}")["name"] == "Alpha"


def test_records_may_refer_to_later_ones(mock: ControlledMock) -> None:
    created = create(mock, dict(reversed(EXAMPLE.items())))
    assert created["Message"][0]["thread"] == created["Thread"][0]["uuid"]


def test_owner_and_workspace_default_to_those_of_the_first_user(mock: ControlledMock) -> None:
    agent = create(mock, {"Agent": [{}]})["Agent"][0]
    seen = mock.read("a", f"/agents/{agent['uuid']}?with=user,workspace")
    assert (seen["user"]["name"], seen["workspace"]["uuid"]) == ("John Doe", agent["workspace"])
    assert mock.call("a", "GET", f"/agents/{agent['uuid']}", token="other-token").status == 404


def test_attributes_of_the_server_can_be_set(mock: ControlledMock) -> None:
    values = {"created_at": "2020-01-01T00:00:00.000000Z", "status": "error"}
    execution = create(mock, {"WorkflowExecution": [values]})["WorkflowExecution"][0]
    assert {name: execution[name] for name in values} == values
    assert execution["updated_at"] == values["created_at"]


def test_key_can_be_set_and_must_be_new(mock: ControlledMock) -> None:
    key = "0b5e0f0a-0000-4000-8000-000000000001"
    assert create(mock, {"Agent": [{"uuid": key.upper()}]})["Agent"][0]["uuid"] == key
    expected = f"Agent.1.uuid: the Agent '{key}' exists (expected one that no other record has)."
    assert reject(mock, {"Agent": [{}, {"uuid": key}]}, 409) == {"Agent.1.uuid": [expected]}
    assert set(reject(mock, {"Agent": {"count": 2, "uuid": key.replace("1", "2")}}, 409)) == {"Agent.uuid"}
    assert set(reject(mock, {"User": [{"id": 123}]}, 409)) == {"User.0.id"}
    assert create(mock, {"User": [{"id": 4711, "name": "Ada"}]})["User"][0]["id"] == 4711


@pytest.fixture(scope="module", params=["demo", "empty"])
def mock_with_dataset(request: pytest.FixtureRequest) -> ControlledMock:
    """A mock whose sandbox `a` has one of the datasets."""
    build_image_with_pools(use_dataset(request.param))
    mock = ControlledMock.create()
    mock.control("PUT", "/sandboxes/a", {"dataset": request.param})
    return mock


@pytest.mark.parametrize("resource", athena_contract().resources)
def test_record_without_values_is_valid_for_every_resource(mock_with_dataset: ControlledMock, resource: str) -> None:
    mock_with_dataset.control("POST", "/sandboxes/a/reset")
    created = mock_with_dataset.control("POST", "/sandboxes/a/records", {resource: {"count": 2}})[resource]
    attributes = athena_contract().resources[resource].attributes
    known = {name: attribute.schema for name, attribute in attributes.items()}
    validator = athena_schemas().build_for_properties(known)
    for record in created:
        values = {name: value for name, value in record.items() if name in known and value is not None}
        files = {n: f"http://localhost{v}" for n, v in values.items() if attributes[n].is_file and v}
        assert [error.message for error in validator.iter_errors({**values, **files})] == []
    assert len({str(record) for record in created}) == 2


def test_required_relation_leads_to_the_newest_visible_record_or_a_new_one(mock: ControlledMock) -> None:
    newest = create(mock, {"Thread": [{}]})["Thread"][0]["uuid"]
    assert create(mock, {"Message": [{}]})["Message"][0]["thread"] == newest
    build_image_with_pools(use_dataset("empty"))
    empty = ControlledMock.create()
    empty.control("PUT", "/sandboxes/a", {"dataset": "empty"})
    created = create(empty, {"Message": [{}]})
    assert created["Message"][0]["thread"] == created["Thread"][0]["uuid"]


def test_files_of_created_records_are_served(mock: ControlledMock) -> None:
    agent = create(mock, {"Agent": [{}]})["Agent"][0]
    url = mock.read("a", f"/agents/{agent['uuid']}")["profile_photo_url"]
    assert mock.request("GET", url.removeprefix("http://localhost:8000")).status == 200


def test_created_users_have_different_logins_and_can_sign_in(mock: ControlledMock) -> None:
    users = create(mock, {"User": {"count": 3, "password": "correct horse"}})["User"]
    assert len({user["email"] for user in users}) == 3
    login = {"email": users[2]["email"], "password": "correct horse"}
    assert mock.call("a", "POST", "/auth/sign-in", login).status == 200


def test_reference_to_several_resources_sets_the_discriminator(mock: ControlledMock) -> None:
    user = mock.read("a", "/user", token="other-token")["id"]
    share = create(mock, {"Agent": [{}], "Share": [{"subject": "$Agent.0", "entity": f"User/{user}"}]})["Share"][0]
    assert (share["entity_type"], share["entity"]) == ("user", f"User/{user}")


def test_all_invalid_fields_are_named(mock: ControlledMock) -> None:
    records = {
        "Agnt": [{}],
        "Agent": [{"nme": "x", "visibility": "secret"}, {"name": 7}],
        "Message": {"count": 0, "role": "nobody"},
        "Thread": 5,
    }
    errors = reject(mock, records, 422)
    assert set(errors) == {
        "Agnt",
        "Agent.0.nme",
        "Agent.0.visibility",
        "Agent.1.name",
        "Message.count",
        "Message.role",
        "Thread",
    }
    assert "did you mean Agent" in errors["Agnt"][0]


def test_all_references_that_lead_nowhere_are_named(mock: ControlledMock) -> None:
    records = {
        "Message": [{"thread": "$Thread.1"}, {"thread": "$Thread.0"}, {"thread": "$Agent.0"}],
        "Thread": [{"agent": "nothing"}],
    }
    assert set(reject(mock, records, 404)) == {"Message.0.thread", "Message.2.thread", "Thread.0.agent"}


def test_circular_references_are_rejected(mock: ControlledMock) -> None:
    records = {"User": [{"primary_workspace": "$Workspace.0"}], "Workspace": [{"user": "$User.0"}]}
    assert reject(mock, records, 404) == {"Workspace.0.user": ["The record $User.0 refers to this one."]}


def test_relation_that_may_not_be_null_is_not_set_to_null(mock: ControlledMock) -> None:
    assert set(reject(mock, {"Message": [{"thread": None}]}, 422)) == {"Message.0.thread"}
    assert create(mock, {"Thread": [{"agent": None}]})["Thread"][0]["agent"] is None


def test_too_many_records_are_rejected(mock: ControlledMock) -> None:
    records = {"Message": {"count": 600}, "Agent": {"count": 401}}
    reject(mock, records, 409)
