"""Reading, changing and deleting the records of a sandbox."""

import re
from typing import Any

import pytest

from tests.mock_server.athena import athena_contract
from tests.mock_server.controlled_mock import SANDBOXES, ControlledMock

RECORDS = "/sandboxes/a/records"

pytestmark = pytest.mark.usefixtures("sandbox_a")


def create_thread(mock: ControlledMock, message_count: int = 3) -> dict[str, Any]:
    records = {
        "Agent": [{"name": "Alpha"}],
        "Thread": [{"agent": "$Agent.0", "name": "First"}],
        "Message": {"count": message_count, "thread": "$Thread.0"},
    }
    thread: dict[str, Any] = mock.control("POST", RECORDS, records)["Thread"][0]
    return thread


def reject(mock: ControlledMock, method: str, path: str, data: Any, status: int) -> dict[str, Any]:
    """Return the body of a request that must be rejected without a change."""
    before = mock.control("GET", "/sandboxes/a/changes")
    reply = mock.request(method, f"{SANDBOXES}/a/records{path}", data)
    assert reply.status == status, reply.body
    assert mock.control("GET", "/sandboxes/a/changes") == before
    body: dict[str, Any] = reply.json
    return body


def test_every_resource_is_listed_with_the_number_of_its_records(mock: ControlledMock) -> None:
    resources = mock.control("GET", "/sandboxes/a/resources")["resources"]
    assert [item["name"] for item in resources] == list(athena_contract().resources)
    health = mock.request("GET", "/__mock/health").json["records"]
    assert {item["name"]: item["records"] for item in resources} == health


def test_each_listed_record_can_be_retrieved(mock: ControlledMock) -> None:
    for resource in athena_contract().resources:
        listed = mock.control("GET", f"{RECORDS}/{resource}?limit=1000")
        assert len(listed["records"]) == listed["total"]
        for item in listed["records"][:3]:
            detail = mock.control("GET", f"{RECORDS}/{resource}/{item['key']}")
            assert {name: detail[name] for name in item} == item
            for relation in detail["relations"] + detail["referrers"]:
                assert len(relation["records"]) == min(relation["total"], 20)


def test_owner_of_a_record_is_named(mock: ControlledMock) -> None:
    (agent,) = mock.control("POST", RECORDS, {"Agent": [{"name": "Alpha", "user": 124}]})["Agent"]
    (listed, *_) = mock.control("GET", f"{RECORDS}/Agent?limit=1")["records"]
    assert (listed["key"], listed["owner"]["resource"], listed["owner"]["key"]) == (agent["uuid"], "User", 124)
    assert mock.control("GET", f"{RECORDS}/Agent/{agent['uuid']}")["owner"] == listed["owner"]
    resources = mock.control("GET", "/sandboxes/a/resources")["resources"]
    for resource in resources:
        owners = [record["owner"] for record in mock.control("GET", f"{RECORDS}/{resource['name']}")["records"]]
        assert resource["has_owner"] or owners == [None] * len(owners)


def test_pages_join_up(mock: ControlledMock) -> None:
    everything = mock.control("GET", f"{RECORDS}/Message?limit=1000")["records"]
    pages = [mock.control("GET", f"{RECORDS}/Message?limit=70&offset={offset}") for offset in range(0, 300, 70)]
    assert [record for page in pages for record in page["records"]] == everything


def test_search_finds_a_text_in_any_attribute_without_regard_to_case(mock: ControlledMock) -> None:
    thread = create_thread(mock)
    for text in ("fIRST", thread["uuid"][:13], "First"):
        found = mock.control("GET", f"{RECORDS}/Thread?search={text}")
        assert thread["uuid"] in [item["key"] for item in found["records"]], text
    assert mock.control("GET", f"{RECORDS}/Thread?search=%25no%25such")["total"] == 0


def test_record_leads_to_related_records_in_both_directions(mock: ControlledMock) -> None:
    thread = create_thread(mock)
    detail = mock.control("GET", f"{RECORDS}/Thread/{thread['uuid']}")
    relations = {item["name"]: item for item in detail["relations"]}
    assert [item["caption"] for item in relations["agent"]["records"]] == ["Alpha"]
    assert (relations["messages"]["total"], relations["messages"]["is_stored"]) == (3, False)
    agent = mock.control("GET", f"{RECORDS}/Agent/{thread['agent']}")
    related = agent["relations"] + agent["referrers"]
    keys = [record["key"] for item in related for record in item["records"] if record["resource"] == "Thread"]
    assert keys == [thread["uuid"]]


def test_change_is_visible_in_the_api_and_changes_nothing_else(mock: ControlledMock) -> None:
    thread = create_thread(mock)
    other = mock.control("POST", RECORDS, {"Agent": [{"name": "Beta"}]})["Agent"][0]["uuid"]
    changes = {"name": "Second", "created_at": "2020-01-01T00:00:00.000000Z", "agent": other}
    changed = mock.control("PATCH", f"{RECORDS}/Thread/{thread['uuid']}", changes)
    assert changed["record"] == {**thread, **changes}
    seen = mock.read("a", f"/threads/{thread['uuid']}?with=agent")
    assert (seen["name"], seen["created_at"], seen["agent"]["name"]) == ("Second", changes["created_at"], "Beta")


def test_invalid_change_is_rejected_with_the_field(mock: ControlledMock) -> None:
    key = create_thread(mock)["uuid"]
    for changes, status, field in (
        ({"name": 5}, 422, "name"),
        ({"uuid": "0b5e0f0a-0000-4000-8000-000000000001"}, 422, "uuid"),
        ({"unknown": 1}, 422, "unknown"),
        ({"name": "x", "agent": "no-such-agent"}, 404, "agent"),
    ):
        assert list(reject(mock, "PATCH", f"/Thread/{key}", changes, status)["errors"]) == [field]


def test_deletion_follows_the_contract(mock: ControlledMock) -> None:
    thread = create_thread(mock)
    mock.control("DELETE", f"{RECORDS}/Thread/{thread['uuid']}")
    assert mock.call("a", "GET", f"/threads/{thread['uuid']}").status == 404
    assert mock.control("GET", f"{RECORDS}/Message?search={thread['uuid']}")["total"] == 0
    reject(mock, "DELETE", f"/Thread/{thread['uuid']}", None, 404)


def test_restricted_deletion_names_both_records(mock: ControlledMock) -> None:
    user = mock.control("GET", f"{RECORDS}/User")["records"][-1]["key"]
    message = reject(mock, "DELETE", f"/User/{user}", None, 409)["message"]
    match = re.fullmatch(r"User (\d+) refers to Workspace (\S+) \(primary_workspace\): delete User \1 first\.", message)
    assert match is not None
    referrer = mock.control("GET", f"{RECORDS}/User/{match[1]}")["record"]
    assert referrer["primary_workspace"] == match[2]


def test_unknown_resource_or_key_is_not_found(mock: ControlledMock) -> None:
    for path in ("/Agents", "/Agents/1", "/User/x", "/User/99999999999999999999"):
        assert reject(mock, "GET", path, None, 404)["message"]


def test_sandboxes_do_not_share_changes(mock: ControlledMock) -> None:
    mock.control("PUT", "/sandboxes/b")
    (record,) = mock.control("GET", f"{RECORDS}/Agent?limit=1")["records"]
    mock.control("PATCH", f"{RECORDS}/Agent/{record['key']}", {"name": "Only here"})
    other = mock.control("GET", f"/sandboxes/b/records/Agent/{record['key']}")
    assert other["caption"] == record["caption"] != "Only here"
