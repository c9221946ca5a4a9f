"""The forms of the console change the mock by the control API, and show its errors."""

import json
import re
from typing import Any

import pytest

from mock_server.console.app import MAX_FORM_BYTES
from mock_server.console.rule_form import fill_from_request
from mock_server.sandbox.sandbox import TOKEN_LIFETIME
from spec.provenance import get_provenance
from tests.mock_server.athena import EPOCH, athena_contract
from tests.mock_server.console.browser_client import BrowserClient, HtmlPage
from tests.mock_server.controlled_mock import ControlledMock

DEFAULT = "/sandboxes/default"
RULE = {"name": "mine", "match": {"operation": "listAgents"}, "respond": {"status": 503}}


def call(mock: ControlledMock, method: str, path: str, data: Any = None) -> int:
    return mock.request(method, f"/api/v1{path}", data, authorization="Bearer demo-token").status


def list_rules(mock: ControlledMock) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = mock.control("GET", f"{DEFAULT}/rules")["rules"]
    return rules


def find_record(mock: ControlledMock, resource: str = "Agent") -> str:
    """Return the key of a record."""
    key: str = mock.control("GET", f"{DEFAULT}/records/{resource}")["records"][0]["key"]
    return key


def read_record(mock: ControlledMock, key: str, resource: str = "Agent") -> dict[str, Any]:
    record: dict[str, Any] = mock.control("GET", f"{DEFAULT}/records/{resource}/{key}")["record"]
    return record


def read_now(mock: ControlledMock) -> str:
    return str(mock.control("GET", f"{DEFAULT}/clock")["now"])


# Requests


def test_rejected_request_shows_its_error_and_the_place_in_the_contract(browser: BrowserClient) -> None:
    assert call(browser.mock, "POST", "/agents", {"name": 7, "instruction": "x"}) == 422
    assert "422" in browser.open("requests").text
    page = browser.open("requests/1")
    assert "name" in page.text
    assert "Contract: #/" in page.text or "Contract: /" in page.text
    assert "createAgent in the contract" in page.text


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("", "Access denied: no token"),
        ("Bearer very-secret-token", "Access denied: the token is unknown in the sandbox default"),
        ("Basic dmVyeS1zZWNyZXQ=", "Access denied: Authorization: wrong scheme: Basic"),
    ],
)
def test_rejected_credential_is_explained_without_its_value(
    browser: BrowserClient, authorization: str, detail: str
) -> None:
    assert browser.mock.request("GET", "/api/v1/agents", authorization=authorization).status == 401
    page = browser.open("requests/1")
    assert detail in page.text
    assert "The request matches the contract." not in page.text
    assert not authorization or authorization.split()[-1] not in page.text


def test_next_request_fails_once_with_the_chosen_status(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents")
    page = browser.submit("requests/1/fail", status="429")
    assert "The rule fail-listagents is active." in page.text
    assert [call(browser.mock, "GET", "/agents") for _ in range(2)] == [429, 200]


def test_page_of_a_request_says_first_which_rule_determined_the_response(browser: BrowserClient) -> None:
    browser.submit(
        "rules", **{**RULE_FORM, "operation": "createAgent", "status": "429", "times": "", "probability": ""}
    )
    call(browser.mock, "POST", "/agents", {"nmae": "x"})
    text = browser.open("requests/1").text
    reason = text.partition("Why this response")[2]
    assert reason.startswith(" The rule mine returned 429. Differences from the contract body.name : The name field")
    assert "did you mean name?" in reason


@pytest.mark.parametrize(
    ("respond", "statement"),
    [
        ({"delay_ms": 1}, "The rule mine applied; the usual processing returned 200."),
        ({"status": 500, "fault": "truncate"}, "The rule mine returned 500 with the fault truncate."),
        ([{"status": 503}, {"status": 200}], "The rule mine returned 503."),
        ({"rate_limit": {"requests": 0, "seconds": 60}}, "The rule mine returned 429."),
        ({"rate_limit": {"requests": 9, "seconds": 60}}, "The rule mine applied; the usual processing returned 200."),
    ],
)
def test_effect_of_a_rule_on_a_response_is_stated(browser: BrowserClient, respond: Any, statement: str) -> None:
    browser.mock.control("POST", f"{DEFAULT}/rules", {"name": "mine", "respond": respond})
    call(browser.mock, "GET", "/agents")
    assert statement in browser.open("requests/1").text


def test_forced_response_is_stated_first(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents?__code=429")
    reason = browser.open("requests/1").text.partition("Why this response")[2]
    assert reason.startswith(" The request demanded this response, 429, by a header or its query.")


def test_number_of_further_differences_follows_the_first(browser: BrowserClient) -> None:
    call(browser.mock, "POST", "/agents", {"nmae": "x"})
    count = len(browser.mock.control("GET", f"{DEFAULT}/requests")["requests"][0]["findings"])
    assert f"The name field is required. (+{count - 1})" in browser.open("requests").text


def test_request_id_has_its_own_row(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents")
    (entry,) = browser.mock.control("GET", f"{DEFAULT}/requests")["requests"]
    page = browser.open("requests/1")
    assert f"X-Request-Id {entry['request_id']}" in page.text
    assert f"ms, id {entry['request_id']}" not in page.text


def test_next_request_loses_its_connection(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents")
    browser.submit("requests/1/fail", status="connection-reset")
    (rule,) = list_rules(browser.mock)
    assert (rule["respond"], rule["times"]) == ({"fault": "connection-reset"}, 1)


@pytest.mark.parametrize("status", ["", "x", "99", "²", "1" * 5000])
def test_invalid_status_of_the_next_request_is_rejected(browser: BrowserClient, status: str) -> None:
    call(browser.mock, "GET", "/agents")
    page = browser.submit_invalid("requests/1/fail", status=status)
    assert "respond.status" in page.alerts[0]
    assert "Next time" in page.text
    assert list_rules(browser.mock) == []


def test_response_of_a_request_fills_the_form_of_a_rule(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents?per_page=1")
    (link,) = [url for url in browser.open("requests/1").list_attributes("a", "href") if "request=1" in url]
    fields = browser.open(link.partition("#")[0].removeprefix("/__mock/")).fields
    assert (fields["operation"], fields["status"]) == ("listAgents", "200")
    assert list_rules(browser.mock) == []
    names = ("operation", "status", "body", "name", "times")
    page = browser.submit("rules", do="create", **{name: fields[name] for name in names})
    assert "The rule saved-listagents is active." in page.text
    (rule,) = list_rules(browser.mock)
    assert (rule["match"], rule["respond"]["status"]) == ({"operation": "listAgents"}, 200)
    browser.mock.control("POST", f"{DEFAULT}/records", {"Agent": [{}]})
    reply = browser.mock.request("GET", "/api/v1/agents", authorization="Bearer demo-token")
    assert len(reply.json["data"]) == 1


def test_request_without_a_response_fills_the_form_with_its_fault() -> None:
    entry = {"operation": "listAgents", "response": None, "fault": "no-response"}
    texts = {"operation": "listAgents", "name": "saved", "fault": "no-response"}
    assert fill_from_request(entry, "saved") == texts


def test_request_to_an_unknown_path_cannot_become_a_rule(browser: BrowserClient) -> None:
    assert call(browser.mock, "GET", "/nothing") == 404
    page = browser.open("requests/1")
    assert "Next time" not in page.text
    assert "match.path" in browser.submit_invalid("requests/1/fail", status="503").alerts[0]
    reply = browser.get("rules", request="1")
    assert (reply.status, list_rules(browser.mock)) == (422, [])
    assert "unknown operation" in HtmlPage(reply.body).alerts[0]


@pytest.mark.parametrize("number", ["7", "x", "²", "-1"])
def test_form_of_an_unrecorded_request_is_an_error(browser: BrowserClient, number: str) -> None:
    reply = browser.get("rules", request=number)
    assert reply.status == 404
    assert "New rule" in HtmlPage(reply.body).text


def test_recorded_requests_are_deleted(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents")
    page = browser.submit("requests/delete")
    assert "No requests yet." in page.text


@pytest.mark.parametrize("path", ["requests", "requests/1", "requests/1/save", "requests/7/fail", "requests/x/fail"])
def test_form_of_an_unknown_request_returns_404(browser: BrowserClient, path: str) -> None:
    call(browser.mock, "GET", "/agents")
    assert browser.post(path).status == 404
    assert list_rules(browser.mock) == []


def list_rows(page: HtmlPage) -> str:
    """Return the text of the list of requests; the filter above it names operations, too."""
    return page.text.partition("recorded")[2]


def test_requests_are_filtered_and_paged(browser: BrowserClient) -> None:
    for number in range(60):
        call(browser.mock, "GET", "/agents" if number % 2 else "/prompts")
    page = browser.open("requests", operation="listAgents")
    assert "30 recorded." in page.text
    assert "GET /prompts" not in list_rows(page)
    first = browser.open("requests")
    (older,) = [url for url in first.list_attributes("a", "href") if "before=" in url]
    second = browser.open(older.removeprefix("/__mock/"))
    assert list_rows(second).count("GET /agents") == 5


@pytest.mark.parametrize(("status", "count"), [("4xx", 2), ("4XX", 2), ("2xx", 1), ("5xx", 0), ("404", 1)])
def test_requests_are_filtered_by_a_class_of_statuses(browser: BrowserClient, status: str, count: int) -> None:
    statuses = [call(browser.mock, "GET", path) for path in ("/agents", "/nothing")]
    statuses.append(call(browser.mock, "POST", "/agents", {"name": 7}))
    assert statuses == [200, 404, 422]
    page = browser.open("requests", status=status)
    assert f"{count} recorded." in page.text
    assert page.fields["status"] == status


@pytest.mark.parametrize("status", ["9xx", "99", "<b>"])
def test_rejected_filter_keeps_the_form_and_the_list(browser: BrowserClient, status: str) -> None:
    call(browser.mock, "GET", "/agents")
    reply = browser.get("requests", operation="listAgents", status=status)
    page = HtmlPage(reply.body)
    assert reply.status == 422
    assert page.alerts[0].startswith("status:")
    assert (page.fields["status"], page.fields["operation"]) == (status, "listAgents")
    assert "Status (such as 404 or 4xx)" in page.text
    assert "GET /agents" in list_rows(page)
    assert not [attributes for _, attributes in page.elements if "hx-get" in attributes]


def test_live_rows_are_a_fragment_of_the_page(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents")
    (url,) = [attributes["hx-get"] for _, attributes in browser.open("requests").elements if "hx-get" in attributes]
    rows = browser.open(url.removeprefix("/__mock/"))
    assert "html" not in [tag for tag, _ in rows.elements]
    assert "GET /agents" in rows.text
    assert "hx-get" not in browser.get("requests", paused="1").body.decode()


# Data


def test_record_is_found_along_its_relations(browser: BrowserClient) -> None:
    key = find_record(browser.mock, "Message")
    page = browser.open(f"data/Message/{key}")
    (thread,) = [url for url in page.list_attributes("a", "href") if url.startswith("/__mock/data/Thread/")]
    assert "messages of Message" in browser.open(thread.removeprefix("/__mock/")).text or "Message" in page.text


def test_search_lists_matching_records(browser: BrowserClient) -> None:
    browser.mock.control("POST", f"{DEFAULT}/records", {"Agent": [{"name": "Zebra 50%"}]})
    page = browser.open("data/Agent", search="zebra 50%")
    assert "1 record, 1 to 1" in page.text
    assert "Zebra 50%" in page.text


def test_pages_of_records_are_linked(browser: BrowserClient) -> None:
    total = browser.mock.control("GET", f"{DEFAULT}/records/Message")["total"]
    first = browser.open("data/Message")
    (following,) = [url for url in first.list_attributes("a", "href") if "offset=50" in url]
    assert f"{total} records, 51 to 100" in browser.open(following.removeprefix("/__mock/")).text


def test_record_is_created_with_the_filled_fields(browser: BrowserClient) -> None:
    page = browser.submit("data/Agent/new", name="Ümlaut <b>")
    assert "The record is created." in page.text
    key = find_record(browser.mock)
    assert read_record(browser.mock, key)["name"] == "Ümlaut <b>"


def test_record_is_changed_in_the_sent_fields_only(browser: BrowserClient) -> None:
    key = find_record(browser.mock)
    before = read_record(browser.mock, key)
    fields = browser.open(f"data/Agent/{key}").fields
    page = browser.submit(f"data/Agent/{key}", **{**fields, "name": "Changed"})
    assert "The record is saved." in page.text
    assert read_record(browser.mock, key) == {**before, "name": "Changed"}


def patch_record(mock: ControlledMock, key: str, values: dict[str, Any]) -> None:
    mock.control("PATCH", f"{DEFAULT}/records/Agent/{key}", values)


def test_save_keeps_what_the_client_wrote_since_the_page_was_opened(browser: BrowserClient) -> None:
    key = find_record(browser.mock)
    fields = browser.open(f"data/Agent/{key}").fields
    patch_record(browser.mock, key, {"instruction": "Written by the client"})
    written = read_record(browser.mock, key)
    browser.submit(f"data/Agent/{key}", **{**fields, "name": "Changed"})
    assert read_record(browser.mock, key) == {**written, "name": "Changed"}


def test_save_after_a_rejected_form_keeps_what_the_client_wrote(browser: BrowserClient) -> None:
    key = find_record(browser.mock)
    fields = browser.open(f"data/Agent/{key}").fields
    patch_record(browser.mock, key, {"instruction": "Written by the client"})
    rejected = browser.submit_invalid(f"data/Agent/{key}", **{**fields, "name": "x" * 5000})
    browser.submit(f"data/Agent/{key}", **{**rejected.fields, "name": "Changed"})
    record = read_record(browser.mock, key)
    assert (record["name"], record["instruction"]) == ("Changed", "Written by the client")


@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r"])
def test_untouched_text_keeps_its_newlines(browser: BrowserClient, newline: str) -> None:
    key, text = find_record(browser.mock), f"first{newline}second"
    patch_record(browser.mock, key, {"instruction": text})
    fields = {**browser.open(f"data/Agent/{key}").fields, "instruction": "first\r\nsecond", "name": "Changed"}
    browser.submit(f"data/Agent/{key}", **fields)
    record = read_record(browser.mock, key)
    assert (record["name"], record["instruction"]) == ("Changed", text)


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_changed_text_keeps_the_kind_of_its_newlines(browser: BrowserClient, newline: str) -> None:
    key = find_record(browser.mock)
    patch_record(browser.mock, key, {"instruction": f"first{newline}second"})
    fields = {**browser.open(f"data/Agent/{key}").fields, "instruction": "first\r\nthird"}
    browser.submit(f"data/Agent/{key}", **fields)
    assert read_record(browser.mock, key)["instruction"] == f"first{newline}third"


@pytest.mark.parametrize("resource", ["Agent", "Message", "Thread", "Workflow", "User", "Workspace"])
def test_unchanged_form_changes_nothing(browser: BrowserClient, resource: str) -> None:
    key = find_record(browser.mock, resource)
    before = read_record(browser.mock, key, resource)
    fields = browser.open(f"data/{resource}/{key}").fields
    page = browser.submit(f"data/{resource}/{key}", **fields)
    assert "Nothing was changed." in page.text
    assert read_record(browser.mock, key, resource) == before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "x" * 5000}, "The name field must not be greater than 255 characters"),
        ({"user": "[1]"}, 'Invalid value "[1]" (expected an integer).'),
        ({"user": "0"}, "The record '0' does not exist (expected the key of User)."),
        ({"name:null": "on"}, "The name field must be a string"),
        ({"created_at": "soon"}, "The created_at field must be a valid date"),
        ({"metadata": "{"}, 'Invalid value "{" (expected JSON).'),
        ({"favorite": "perhaps"}, 'Invalid value "perhaps" (expected true or false).'),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_error_of_a_record_is_shown_at_its_field(
    browser: BrowserClient, fields: dict[str, str], message: str, is_new: bool
) -> None:
    key = find_record(browser.mock)
    before = read_record(browser.mock, key)
    page = browser.submit_invalid(f"data/Agent/{'new' if is_new else key}", **fields)
    name = next(iter(fields)).removesuffix(":null")
    (invalid,) = [attributes for _, attributes in page.elements if attributes.get("aria-invalid")]
    assert invalid["name"] == name
    error_id = invalid["aria-describedby"].split()[0]
    assert error_id in [attributes.get("id") for _, attributes in page.elements]
    assert message in page.text
    assert "Agent.0" not in page.text
    assert page.alerts == ["Not saved. Fields with an error:", name]
    assert f"#{invalid['id']}" in page.list_attributes("a", "href")
    assert read_record(browser.mock, key) == before


def test_errors_of_several_fields_of_a_record_are_linked(browser: BrowserClient) -> None:
    page = browser.submit_invalid("data/Thread/new", name="x" * 5000, created_at="soon")
    assert page.alerts == ["Not saved. Fields with an error:", "name", ",", "created_at"]


def test_key_of_another_record_is_an_error_at_its_field(browser: BrowserClient) -> None:
    page = browser.submit_invalid("data/User/new", id=str(find_record(browser.mock, "User")))
    assert page.alerts == ["Not saved. Fields with an error:", "id"]
    assert "exists (expected one that no other record has)." in page.text
    assert "User.0" not in page.text


@pytest.mark.parametrize("path", ["data/Agent/new", ""])
def test_rejected_form_keeps_its_texts(browser: BrowserClient, path: str) -> None:
    fields = {"name": "typed", "instruction": "two\nlines", "metadata": "{"}
    reply = browser.post(path or f"data/Agent/{find_record(browser.mock)}", fields)
    assert 'Invalid value "{" (expected JSON).' in HtmlPage(reply.body).text
    shown = HtmlPage(reply.body).fields
    assert {name: shown[name] for name in fields} == fields


def find_hint(page: HtmlPage, name: str) -> str:
    """Return the text from the hint of a field on."""
    (described,) = [a["aria-describedby"] for _, a in page.elements if a.get("name") == name]
    assert described in [attributes.get("id") for _, attributes in page.elements]
    return page.text


@pytest.mark.parametrize(
    ("resource", "name", "hint", "target"),
    [
        ("Thread", "agent", "key of an Agent", "Agent"),
        ("Thread", "creator", "key of a User", "User"),  # its key is an integer
        ("Agent", "workflows", "keys of Workflow , one on each line", "Workflow"),
        ("Share", "entity", ", such as ", "User"),  # several resources
    ],
)
def test_relation_says_which_keys_it_accepts(
    browser: BrowserClient, resource: str, name: str, hint: str, target: str
) -> None:
    page = browser.open(f"data/{resource}/new")
    assert hint in find_hint(page, name)
    assert f"/__mock/data/{target}?sandbox=default" in page.list_attributes("a", "href")
    assert f"/__mock/data/{resource}?sandbox=default" in page.list_attributes("a", "href")


def test_relations_are_changed_by_keys(browser: BrowserClient) -> None:
    user, agent = find_record(browser.mock, "User"), find_record(browser.mock)
    page = browser.submit("data/Thread/new", creator=str(user), agent=agent)
    assert "The record is created." in page.text
    key = find_record(browser.mock, "Thread")
    record = read_record(browser.mock, key, "Thread")
    assert (record["creator"], record["agent"]) == (user, agent)
    fields = browser.open(f"data/Thread/{key}").fields
    assert (fields["creator"], fields["agent"]) == (str(user), agent)
    browser.submit(f"data/Thread/{key}", **{**fields, "agent": ""})
    assert read_record(browser.mock, key, "Thread")["agent"] is None


def test_list_of_references_has_one_key_on_each_line(browser: BrowserClient) -> None:
    first, second = browser.mock.control("GET", f"{DEFAULT}/records/Workflow?limit=2")["records"]
    keys = [first["key"], second["key"]]
    agent = find_record(browser.mock)
    browser.submit(f"data/Agent/{agent}", workflows="\r\n".join(keys))
    assert read_record(browser.mock, agent)["workflows"] == keys
    assert browser.open(f"data/Agent/{agent}").fields["workflows"] == "\n".join(keys)
    page = browser.submit_invalid(f"data/Agent/{agent}", workflows="nothing")
    assert "The record 'nothing' does not exist (expected the key of Workflow)." in page.text


def test_related_records_are_a_list_with_one_resource_name(browser: BrowserClient) -> None:
    workspace = find_record(browser.mock, "Workspace")
    created = browser.mock.control("POST", f"{DEFAULT}/records", {"User": [{"name": "A"}, {"name": "B"}]})
    keys = [user["id"] for user in created["User"]]
    browser.mock.control("PATCH", f"{DEFAULT}/records/Workspace/{workspace}", {"members": keys})
    page = browser.open(f"data/Workspace/{workspace}")
    assert "members User A B " in page.text
    links = [f"/__mock/data/User/{key}?sandbox=default" for key in keys]
    assert set(links) <= set(page.list_attributes("a", "href"))


def test_record_is_deleted(browser: BrowserClient) -> None:
    key = find_record(browser.mock)
    assert "The record is deleted." in browser.submit(f"data/Agent/{key}/delete").text
    assert browser.get(f"data/Agent/{key}").status == 404


def test_records_are_listed_with_their_owner(browser: BrowserClient) -> None:
    (record, *_) = browser.mock.control("GET", f"{DEFAULT}/records/Agent?limit=1")["records"]
    page = browser.open("data/Agent")
    assert "Key Owner" in page.text
    owner_url = f"/__mock/data/{record['owner']['resource']}/{record['owner']['key']}?sandbox=default"
    assert owner_url in page.list_attributes("a", "href")
    assert owner_url in browser.open(f"data/Agent/{record['key']}").list_attributes("a", "href")


def test_resource_without_an_owner_has_no_column_for_it(browser: BrowserClient) -> None:
    assert "Key Owner" not in browser.open("data/LargeLanguageModel").text


@pytest.mark.parametrize("view", ["list", "record", "new"])
def test_properties_are_shown_with_their_provenance(browser: BrowserClient, view: str) -> None:
    contract = athena_contract()
    pointer = contract.resources["Agent"].attributes["instruction"].pointer
    level = get_provenance(contract.document, pointer)
    path = {"list": "", "record": f"/{find_record(browser.mock)}", "new": "/new"}[view]
    page = browser.open(f"data/Agent{path}")
    assert f"instruction {level}" in page.text
    shown = {
        attributes["class"].split()[-1] for _, attributes in page.elements if "badge" in attributes.get("class", "")
    }
    assert len(shown) > 1


def test_booleans_and_enums_are_chosen(browser: BrowserClient) -> None:
    schemas = browser.mock.control("GET", "/openapi.json")["components"]["schemas"]
    choosable = {
        (name, field)
        for name, schema in schemas.items()
        if name.endswith("Input")
        for field, node in schema["properties"].items()
        if node.get("type") == "boolean" or any("enum" in part for part in (node, *node.get("allOf", ())))
    }
    assert {("AgentInput", "visibility"), ("AgentInput", "favorite"), ("WorkflowApprovalInput", "status")} <= choosable
    for name, field in choosable:
        page = browser.open(f"data/{name.removesuffix('Input')}/new")
        assert field in page.list_attributes("select", "name"), (name, field)


def test_boolean_is_changed_by_its_choice(browser: BrowserClient) -> None:
    resource, field = "Workflow", "is_active"
    key = find_record(browser.mock, resource)
    before = read_record(browser.mock, key, resource)
    fields = browser.open(f"data/{resource}/{key}").fields
    changed = "false" if fields[field] == "true" else "true"
    browser.submit(f"data/{resource}/{key}", **{**fields, field: changed})
    assert read_record(browser.mock, key, resource) == {**before, field: changed == "true"}
    page = browser.submit_invalid(f"data/{resource}/{key}", **{**fields, field: "perhaps"})
    assert 'Invalid value "perhaps" (expected true or false).' in page.text
    assert page.fields[field] == "perhaps"


def test_enum_is_changed_by_its_choice(browser: BrowserClient) -> None:
    key = find_record(browser.mock)
    before = read_record(browser.mock, key)
    fields = browser.open(f"data/Agent/{key}").fields
    assert fields["visibility"] == before["visibility"]
    changed = "private" if before["visibility"] == "public" else "public"
    browser.submit(f"data/Agent/{key}", **{**fields, "visibility": changed})
    assert read_record(browser.mock, key) == {**before, "visibility": changed}


def test_date_times_have_a_hint(browser: BrowserClient) -> None:
    page = browser.open(f"data/Agent/{find_record(browser.mock)}")
    (described,) = [a["aria-describedby"] for _, a in page.elements if a.get("name") == "created_at"]
    assert described in [attributes.get("id") for _, attributes in page.elements]
    assert "date and time in UTC, such as 2026-03-01T09:00:00Z" in page.text


# Changes and snapshots


def test_changes_and_snapshots(browser: BrowserClient) -> None:
    mock = browser.mock
    assert "The snapshot is saved." in browser.submit("changes", do="save", name="before").text
    browser.submit("data/Agent/new", name="Newcomer")
    page = browser.open("changes", since="before")
    assert "Created (1) Agent Newcomer" in page.text
    assert f"/__mock/data/Agent/{find_record(mock)}?sandbox=default" in page.list_attributes("a", "href")
    assert "The snapshot is restored." in browser.submit("changes", do="restore", name="before").text
    assert "Nothing has changed." in browser.open("changes", since="before").text
    assert "The snapshot is deleted." in browser.submit("changes", do="delete", name="before").text
    assert mock.control("GET", f"{DEFAULT}/snapshots")["snapshots"] == []


def test_reset_restores_the_initial_records(browser: BrowserClient) -> None:
    browser.submit("data/Agent/new", name="Newcomer")
    browser.submit("changes", do="reset")
    assert "Nothing has changed." in browser.open("changes").text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"do": "other"},
        {"do": "save", "name": ""},
        {"do": "save", "name": "Ä b"},
        {"do": "restore", "name": "nothing"},
        {"do": "delete", "name": ""},
        {"do": "delete", "name": ".."},
    ],
)
def test_invalid_form_of_changes_shows_an_error_and_changes_nothing(
    browser: BrowserClient, fields: dict[str, str]
) -> None:
    browser.submit("data/Agent/new", name="Newcomer")
    page = browser.submit_invalid("changes", **fields)
    assert page.alerts
    assert "Created (1)" in page.text
    assert "default" in browser.mock.registry.entries


def test_questions_name_all_effects_of_reset_and_restore(browser: BrowserClient) -> None:
    page = browser.submit("changes", do="save", name="before")
    restore, reset = page.list_attributes("form", "data-confirm")
    assert restore.startswith("Restore the snapshot before?")
    assert "sets the clock back" in restore
    assert all(effect in reset for effect in ("initial time", "recorded requests", "rules", "tokens"))


# Rules


def test_ready_made_rule_is_added_and_deleted(browser: BrowserClient) -> None:
    assert "server-error" in browser.open("rules").text
    browser.submit("rules", do="preset", name="server-error")
    assert call(browser.mock, "GET", "/agents") == 500
    assert "1" in browser.open("rules").text
    (rule,) = list_rules(browser.mock)
    browser.submit("rules", do="delete", name=rule["name"])
    assert call(browser.mock, "GET", "/agents") == 200


def test_replaced_rule_is_reported(browser: BrowserClient) -> None:
    assert "replaced" not in browser.submit("rules", do="preset", name="server-error").text
    page = browser.submit("rules", do="preset", name="server-error")
    assert "The rule server-error is active: it replaced another rule of that name." in page.text
    call(browser.mock, "GET", "/agents")
    assert "replaced" not in browser.submit("requests/1/fail", status="429").text
    assert "replaced" in browser.submit("requests/1/fail", status="503").text


def test_operations_of_the_form_are_sorted_and_have_their_paths(browser: BrowserClient) -> None:
    page = browser.open("rules")
    values = [value for value in page.list_attributes("option", "value") if value in athena_contract().operations]
    assert values == sorted(values, key=str.lower)
    assert "createAgent (POST /agents)" in page.text
    assert "createAgent (POST /agents)" in browser.open("requests").text


def test_rule_is_added_as_json(browser: BrowserClient) -> None:
    browser.submit("rules", do="create-json", rule=json.dumps(RULE))
    assert call(browser.mock, "GET", "/agents") == 503
    browser.submit("rules", do="delete-all")
    assert list_rules(browser.mock) == []


RULE_FORM = {
    "do": "create",
    "operation": "listAgents",
    "status": "503",
    "delay_ms": "5",
    "times": "2",
    "probability": "0.5",
    "priority": "-3",
    "name": "mine",
    "fault": "",
    "example": "",
    "body": '{"message": "Later"}',
}


def test_rule_of_the_form_has_all_its_values(browser: BrowserClient) -> None:
    page = browser.submit("rules", **RULE_FORM)
    assert "The rule mine is active." in page.text
    (rule,) = list_rules(browser.mock)
    assert rule["match"] == {"operation": "listAgents"}
    assert rule["respond"] == {"status": 503, "delay_ms": 5, "body": {"message": "Later"}}
    assert (rule["name"], rule["times"], rule["probability"], rule["priority"]) == ("mine", 2, 0.5, -3)


def test_rule_without_operation_applies_to_all_of_them(browser: BrowserClient) -> None:
    browser.submit("rules", do="create", operation="", fault="", status="500", name="")
    assert [call(browser.mock, "GET", path) for path in ("/agents", "/prompts")] == [500, 500]


def test_rule_with_an_example_of_the_contract(browser: BrowserClient) -> None:
    assert "example" in browser.open("rules").list_attributes("option", "value")
    browser.submit("rules", do="create", operation="listAgents", example="example")
    (rule,) = list_rules(browser.mock)
    assert rule["respond"] == {"example": "example"}
    assert call(browser.mock, "GET", "/agents") == 200


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"status": "999"}, "status"),
        ({"status": "abc"}, "status"),
        ({"status": "", "delay_ms": "", "body": ""}, "status"),
        ({"operation": "nothing"}, "operation"),
        ({"fault": "nothing"}, "fault"),
        ({"body": "", "example": "nothing"}, "example"),
        ({"body": "{"}, "body"),
        ({"delay_ms": "soon"}, "delay_ms"),
        ({"times": "0"}, "times"),
        ({"times": "1.5"}, "times"),
        ({"probability": "2"}, "probability"),
        ({"priority": "high"}, "priority"),
        ({"name": "Mine"}, "name"),
    ],
)
def test_error_of_a_rule_is_shown_at_its_field(browser: BrowserClient, fields: dict[str, str], name: str) -> None:
    form = {**RULE_FORM, **fields}
    page = browser.submit_invalid("rules", **form)
    invalid = [attributes for _, attributes in page.elements if attributes.get("aria-invalid")]
    assert [attributes["name"] for attributes in invalid] == [name]
    error_id = invalid[0]["aria-describedby"].split()[0]
    assert error_id in [attributes.get("id") for _, attributes in page.elements]
    label = name.partition("_")[0].capitalize()
    assert page.alerts == ["Not saved. Fields with an error:", label]
    assert not re.search(r"The [a-z_. ]+ field", page.text)
    assert {field: page.fields[field] for field in form if field != "do"} == {
        f: t for f, t in form.items() if f != "do"
    }
    assert list_rules(browser.mock) == []


def test_exhausted_rule_is_marked_as_used_up(browser: BrowserClient) -> None:
    browser.submit("rules", do="create-json", rule=json.dumps({**RULE, "times": 1}))
    assert "used up" not in browser.open("rules").text
    assert [call(browser.mock, "GET", "/agents") for _ in range(2)] == [503, 200]
    page = browser.open("rules")
    assert "1 of 1, used up" in page.text
    assert "Active rules" not in page.text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"do": "create-json", "rule": "{"}, "invalid JSON"),
        ({"do": "create-json", "rule": ""}, "invalid JSON"),
        ({"do": "create-json", "rule": '{"respond": {"status": 999}}'}, "respond.status"),
        ({"do": "create-json", "rule": '{"match": {"operation": "nothing"}, "respond": {"status": 503}}'}, "operation"),
        ({"do": "create-json", "rule": "[]"}, "object"),
        ({"do": "preset", "name": "nothing"}, "preset"),
        ({"do": "delete", "name": "nothing"}, "nothing"),
        ({"do": "delete", "name": ""}, "name: missing"),
        ({}, "do:"),
    ],
)
def test_invalid_rule_shows_an_error_and_keeps_the_text(
    browser: BrowserClient, fields: dict[str, str], message: str
) -> None:
    browser.mock.control("POST", f"{DEFAULT}/rules", RULE)
    reply = browser.post("rules", fields)
    assert 400 <= reply.status < 500
    page = HtmlPage(reply.body)
    assert message in page.alerts[0]
    assert fields.get("rule", "") in page.text
    assert [rule["name"] for rule in list_rules(browser.mock)] == ["mine"]


# Clock


def test_clock_is_advanced_frozen_set_and_accelerated(browser: BrowserClient) -> None:
    mock = browser.mock
    assert "The clock is frozen." in browser.submit("clock", do="freeze").text
    assert "The clock is advanced by 1 day." in browser.submit("clock", do="advance", seconds="86400").text
    assert read_now(mock).startswith("2026-03-02T00:00:00")
    assert "The time is set." in browser.submit("clock", do="set", now="2030-01-01T00:00:00Z").text
    assert read_now(mock).startswith("2030-01-01T00:00:00")
    assert "The clock runs again." in browser.submit("clock", do="continue").text
    assert "The speed is set." in browser.submit("clock", do="speed", speed="60").text
    assert mock.control("GET", f"{DEFAULT}/clock")["speed"] == 60


@pytest.mark.parametrize("path", ["requests", "data/Agent", "changes", "rules", "sandboxes", "contract", "requests/7"])
def test_clock_that_is_not_real_time_is_shown_on_each_page(browser: BrowserClient, path: str) -> None:
    clock_link = "Sandbox default clock "
    assert clock_link not in HtmlPage(browser.get(path).body).text
    browser.mock.control("POST", f"{DEFAULT}/clock/advance", {"seconds": 86400})
    page = HtmlPage(browser.get(path).body)
    assert f"{clock_link}+24 h" in page.text
    assert page.list_attributes("a", "href").count("/__mock/clock?sandbox=default") == 2
    browser.mock.control("PATCH", f"{DEFAULT}/clock", {"frozen": True})
    assert f"{clock_link}frozen" in HtmlPage(browser.get(path).body).text


def test_unknown_notice_of_the_clock_shows_nothing(browser: BrowserClient) -> None:
    assert "advanced" not in browser.open("clock", notice="advance", seconds="<b>").text


def test_clock_returns_to_real_time(browser: BrowserClient) -> None:
    browser.mock.control("PATCH", f"{DEFAULT}/clock", {"now": "2030-01-01T00:00:00Z", "frozen": True, "speed": 60})
    page = browser.submit("clock", do="synchronize")
    assert EPOCH.date().isoformat() in page.text
    clock = browser.mock.control("GET", f"{DEFAULT}/clock")
    assert (clock["frozen"], clock["speed"]) == (False, 1)


def test_token_of_a_sign_in_expires_when_the_clock_is_advanced(browser: BrowserClient) -> None:
    mock = browser.mock
    account = mock.control("GET", DEFAULT)["accounts"][0]
    token = mock.request("POST", "/api/v1/auth/sign-in", account).json["data"]["token"]
    statuses = [mock.request("GET", "/api/v1/agents", authorization=f"Bearer {token}").status]
    browser.submit("clock", do="advance", seconds=str(30 * 86400))
    statuses.append(mock.request("GET", "/api/v1/agents", authorization=f"Bearer {token}").status)
    assert statuses == [200, 401]


def test_clock_page_states_the_lifetime_of_tokens(browser: BrowserClient) -> None:
    hours = TOKEN_LIFETIME.total_seconds() / 3600
    assert f"expires after {hours:g} hours" in browser.open("clock").text


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"do": "advance", "seconds": "x"}, "seconds"),
        ({"do": "advance", "seconds": ""}, "seconds"),
        ({"do": "advance", "seconds": "nan"}, "seconds"),
        ({"do": "advance", "seconds": "1e400"}, "seconds"),
        ({"do": "advance", "seconds": "-1"}, "seconds"),
        ({"do": "set", "now": "tomorrow"}, "now"),
        ({"do": "speed", "speed": "fast"}, "speed"),
        ({"do": "other"}, "do"),
    ],
)
def test_invalid_clock_shows_an_error(browser: BrowserClient, fields: dict[str, str], name: str) -> None:
    page = browser.submit_invalid("clock", **fields)
    assert page.alerts[0].startswith(f"{name}:")
    assert read_now(browser.mock).startswith(EPOCH.date().isoformat())


# Sandboxes


def test_sandbox_is_created_used_and_deleted(browser: BrowserClient) -> None:
    mock = browser.mock
    assert "mine" in browser.submit("sandboxes", do="create", name="mine", dataset="").text
    mock.call("mine", "GET", "/agents")
    page = browser.open("requests", sandbox="mine")
    assert "1 recorded." in page.text
    assert all("sandbox=mine" in url for url in page.list_attributes("a", "href") if url.startswith("/__mock/"))
    browser.submit("sandboxes", do="delete", name="mine")
    assert list(mock.registry.entries) == ["default"]


def test_forms_apply_to_the_shown_sandbox(browser: BrowserClient) -> None:
    browser.submit("sandboxes", do="create", name="mine")
    browser.submit("rules", do="preset", name="server-error", sandbox="mine")
    assert list_rules(browser.mock) == []
    assert browser.mock.call("mine", "GET", "/agents").status == 500


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "create", "name": "Ä"},
        {"do": "create", "name": ""},
        {"do": "create", "name": "x", "dataset": "nothing"},
        {"do": "delete", "name": "default"},
        {"do": "delete", "name": "nothing"},
        {"do": "delete", "name": ""},
        {"do": "other", "name": "x"},
    ],
)
def test_invalid_sandbox_form_shows_an_error(browser: BrowserClient, fields: dict[str, str]) -> None:
    page = browser.submit_invalid("sandboxes", **fields)
    assert page.alerts
    assert "New sandbox" in page.text
    assert list(browser.mock.registry.entries) == ["default"]


# Contract


def test_contract_page_lists_called_operations_and_inferred_facts(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents?sort_by=name")
    page = browser.open("contract")
    assert "Contract: 1 of" in page.text
    assert any("operation=listAgents" in url for url in page.list_attributes("a", "href"))


def test_called_and_never_called_operations_are_listed_apart(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents")
    total = len(browser.mock.control("GET", f"{DEFAULT}/coverage")["operations"])
    page = browser.open("contract", show="called")
    assert f"All ({total}) Called (1) Never called ({total - 1})" in page.text
    assert ("listAgents" in page.text, "listPrompts" in page.text) == (True, False)
    page = browser.open("contract", show="never-called")
    operations = page.text.partition("Statuses")[2].partition("Inferred facts")[0]
    assert ("listAgents" in operations, "listPrompts" in operations) == (False, True)


def test_counts_of_the_contract_page_lead_to_the_requests(browser: BrowserClient) -> None:
    call(browser.mock, "GET", "/agents")
    call(browser.mock, "POST", "/agents", {"name": 7})
    (link,) = [url for url in browser.open("contract").list_attributes("a", "href") if "status=422" in url]
    assert "1 recorded." in browser.open(link.removeprefix("/__mock/")).text


def test_unknown_choice_of_operations_is_an_error(browser: BrowserClient) -> None:
    reply = browser.get("contract", show="other")
    assert reply.status == 422
    assert HtmlPage(reply.body).alerts[0].startswith("show:")


# Bodies


def test_too_large_form_is_rejected(browser: BrowserClient) -> None:
    reply = browser.post("rules", {"do": "create-json", "rule": "x" * (MAX_FORM_BYTES + 1)})
    assert reply.status == 413
    assert "expected at most" in HtmlPage(reply.body).alerts[0]


def test_body_that_is_not_a_form_changes_nothing(browser: BrowserClient) -> None:
    for name in ("changes", "rules", "clock", "sandboxes"):
        reply = browser.mock.request("POST", f"/__mock/{name}", {"do": "reset"}, origin="http://localhost:8000")
        assert reply.status == 422, name
