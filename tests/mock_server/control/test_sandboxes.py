"""Sandboxes: isolation, everything that selects one, creation, reset and deletion."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import pytest

from mock_server.control.call import LOADING_TIMEOUT
from mock_server.images import DatasetParameters
from mock_server.registry.registry import ALIAS_BYTES, DEFAULT_IDLE_SECONDS
from tests.asgi import Reply, call
from tests.mock_server.athena import athena_contract
from tests.mock_server.controlled_mock import SANDBOXES, ControlledMock, build_image_with_pools, use_dataset


def count_agents(mock: ControlledMock, sandbox: str) -> int:
    reply = mock.call(sandbox, "GET", "/agents?per_page=1")
    assert reply.status == 200
    return int(reply.json["meta"]["total"])


def create_agent(mock: ControlledMock, sandbox: str, name: str = "New") -> str:
    reply = mock.call(sandbox, "POST", "/agents", {"name": name, "instruction": "Answer."})
    assert reply.status == 201, reply.body
    return str(reply.json["data"]["uuid"])


def test_write_in_a_sandbox_is_visible_only_there(mock: ControlledMock) -> None:
    counts = {name: count_agents(mock, name) for name in ("default", "a", "b")}
    assert len(set(counts.values())) == 1
    create_agent(mock, "a")
    assert {name: count_agents(mock, name) - counts[name] for name in counts} == {"default": 0, "a": 1, "b": 0}


def test_response_describes_how_to_select_the_sandbox(mock: ControlledMock) -> None:
    reply = mock.request("PUT", f"{SANDBOXES}/checkout")
    assert reply.status == 201
    body = reply.json
    assert body["base_url"] == "http://localhost:8000/__mock/s/checkout/api/v1"
    assert (body["host"], body["header"]) == ("checkout.localhost:8000", "X-Mock-Sandbox: checkout")
    assert set(body["tokens"]) == {"demo", "other", "viewer", "expired"}
    assert body["accounts"][0] == {"email": "john.doe+checkout@example.com", "password": "password"}
    assert not body["is_modified"]


# What selects the sandbox `a`: path, and headers without the token.
SELECTIONS: Mapping[str, tuple[str, dict[str, str]]] = {
    "path": ("/__mock/s/a/api/v1", {}),
    "host": ("/api/v1", {"host": "a.localhost:8000"}),
    "header": ("/api/v1", {"x_mock_sandbox": "a"}),
    "baggage": ("/api/v1", {"baggage": "user=7, mock-sandbox=a;ttl=1"}),
    "token": ("/api/v1", {"authorization": "Bearer demo-token~a"}),
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_each_selection_alone_selects(mock: ControlledMock, selection: str) -> None:
    key = create_agent(mock, "a")
    base, headers = SELECTIONS[selection]
    headers = {"authorization": "Bearer demo-token", **headers}
    assert mock.request("GET", f"{base}/agents/{key}", **headers).status == 200
    assert mock.request("GET", f"/api/v1/agents/{key}", authorization="Bearer demo-token").status == 404


@pytest.mark.parametrize("selection", SELECTIONS)
def test_urls_in_a_response_keep_the_selection(mock: ControlledMock, selection: str) -> None:
    create_agent(mock, "a", "Newest")
    base, headers = SELECTIONS[selection]
    headers = {"authorization": "Bearer demo-token", **headers}
    page = mock.request("GET", f"{base}/agents?per_page=1", **headers).json
    next_url, picture = page["links"]["next"], page["data"][0]["profile_photo_url"]
    plain = {"authorization": "Bearer demo-token"}
    for url in (next_url, picture) if picture else (next_url,):
        host, _, path = url.removeprefix("http://").partition("/")
        assert mock.request("GET", f"/{path}", host=host, **plain).status == 200, url
    assert "/__mock/s/a/" in next_url or "//a.localhost:8000/" in next_url


def test_selections_that_disagree_are_rejected(mock: ControlledMock) -> None:
    reply = mock.request("GET", "/__mock/s/a/api/v1/agents", x_mock_sandbox="b", authorization="Bearer demo-token~a")
    assert reply.status == 400
    assert reply.headers["x-mock-reason"] == "sandbox"
    message = "The request names different sandboxes: path names a, header X-Mock-Sandbox names b, token names a."
    assert reply.json == {"message": message}


def test_selections_that_agree_are_accepted(mock: ControlledMock) -> None:
    headers = {"host": "a.localhost", "x_mock_sandbox": "a", "authorization": "Bearer demo-token~a"}
    assert mock.request("GET", "/__mock/s/a/api/v1/agents", **headers).status == 200


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([("baggage", "mock-sandbox=a"), ("baggage", "user=7")], ["a"]),
        ([("baggage", "mock-sandbox=a"), ("baggage", "mock-sandbox=a")], ["a"]),
        ([("baggage", "mock-sandbox=a"), ("baggage", "mock-sandbox=b")], ["a", "b"]),
        ([("baggage", "mock-sandbox=a,mock-sandbox=b")], ["a", "b"]),
        ([("x-mock-sandbox", "a"), ("x-mock-sandbox", "a")], ["a"]),
        ([("x-mock-sandbox", "a"), ("x-mock-sandbox", "b")], ["a", "b"]),
        ([("x-mock-sandbox", "a, b")], ["a", "b"]),
    ],
)
def test_all_lines_of_a_header_select(mock: ControlledMock, lines: list[tuple[str, str]], names: list[str]) -> None:
    headers = [("host", "localhost:8000"), ("authorization", "Bearer demo-token"), *lines]
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "query_string": b"",
    }
    scope |= {"path": "/api/v1/agents", "headers": [(name.encode(), value.encode()) for name, value in headers]}
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(mock.app(scope, receive, send))
    assert messages[0]["status"] == (200 if len(names) == 1 else 400)
    if len(names) == 1:
        assert list(mock.registry.entries) == ["default", *names]
    else:
        assert [b"names " + name.encode() in messages[1]["body"] for name in names] == [True, True]


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a" * 64, "", "a.b"])
def test_invalid_name_is_rejected(mock: ControlledMock, name: str) -> None:
    assert mock.request("GET", "/api/v1/agents", x_mock_sandbox=name).status == 400
    if name:
        reply = mock.request("PUT", f"{SANDBOXES}/{name}")
        assert (reply.status, list(reply.json["errors"])) == (422, ["name"])


def test_unrelated_host_label_baggage_and_token_select_the_default_sandbox(mock: ControlledMock) -> None:
    for headers in ({"host": "a.b.localhost"}, {"baggage": "sandbox=a"}, {"authorization": "Bearer x~A!"}):
        mock.request("GET", "/api/v1/agents", **headers)
    assert list(mock.registry.entries) == ["default"]


def test_sign_in_with_an_account_of_a_sandbox_selects_it(mock: ControlledMock) -> None:
    account = mock.control("PUT", "/sandboxes/a")["accounts"][0]
    reply = mock.request("POST", "/api/v1/auth/sign-in", account)
    assert reply.status == 200, reply.body
    token = reply.json["data"]["token"]
    assert token.endswith("~a")
    key = create_agent(mock, "a")
    assert mock.request("GET", f"/api/v1/agents/{key}", authorization=f"Bearer {token}").status == 200


def test_sign_in_with_an_account_of_another_sandbox_is_rejected(mock: ControlledMock) -> None:
    account = mock.control("PUT", "/sandboxes/a")["accounts"][0]
    assert mock.request("POST", "/__mock/s/b/api/v1/auth/sign-in", account).status == 400


def test_account_whose_own_login_has_a_plus_sign_stays_in_the_default_sandbox(mock: ControlledMock) -> None:
    mock.control("PUT", "/sandboxes/a")
    login = {"email": "bob+a@example.com", "password": "correct horse"}
    mock.control("POST", "/sandboxes/default/records", {"User": [{**login, "name": "Bob"}]})
    reply = mock.request("POST", "/api/v1/auth/sign-in", login)
    assert reply.status == 200
    assert "~" not in reply.json["data"]["token"]


def test_expired_token_of_a_sandbox_is_rejected(mock: ControlledMock) -> None:
    tokens = mock.control("PUT", "/sandboxes/a")["tokens"]
    statuses = {n: mock.request("GET", "/api/v1/agents", authorization=f"Bearer {t}").status for n, t in tokens.items()}
    assert statuses == {"demo": 200, "other": 200, "viewer": 200, "expired": 401}


def test_unknown_sandbox_is_404_if_creation_is_required() -> None:
    mock = ControlledMock.create(requires_creation=True)
    reply = mock.call("a", "GET", "/agents")
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "sandbox")
    mock.control("PUT", "/sandboxes/a")
    assert mock.call("a", "GET", "/agents").status == 200


def test_ids_and_times_depend_on_the_sandbox_alone(mock: ControlledMock) -> None:
    keys = {name: create_agent(mock, name) for name in ("a", "b")}
    create_agent(mock, "a")
    mock.control("PUT", "/sandboxes/c")
    assert create_agent(mock, "c") == keys["a"] == keys["b"]
    bodies = {name: mock.call(name, "GET", f"/agents/{keys['a']}").body for name in ("b", "c")}
    assert bodies["b"].replace(b"/__mock/s/b/", b"/__mock/s/c/") == bodies["c"]


def test_second_put_keeps_the_sandbox_and_other_parameters_replace_it(mock: ControlledMock) -> None:
    create_agent(mock, "a")
    assert mock.control_status("PUT", "/sandboxes/a") == 200
    assert mock.control("GET", "/sandboxes/a")["is_modified"]
    assert mock.control_status("PUT", "/sandboxes/a", {"dataset": "empty"}) in (201, 202)
    wait_until_ready(mock, "a")
    assert mock.control("GET", "/sandboxes/a")["dataset"] == "empty"
    assert count_agents(mock, "a") == 0


def wait_until_ready(mock: ControlledMock, name: str) -> None:
    deadline = time.monotonic() + 30
    while mock.request("GET", f"{SANDBOXES}/{name}").status == 202:
        assert time.monotonic() < deadline


def test_epoch_and_seed_determine_the_data_and_the_clock(mock: ControlledMock) -> None:
    parameters = {"dataset": "empty", "epoch": "2027-01-02T03:04:05Z", "seed": 7}
    mock.request("PUT", f"{SANDBOXES}/a", parameters)
    wait_until_ready(mock, "a")
    assert mock.control("GET", "/sandboxes/a/clock")["now"] == "2027-01-02T03:04:05.000000Z"
    body = mock.control("GET", "/sandboxes/a")
    assert (body["dataset"], body["seed"], body["epoch"]) == ("empty", 7, "2027-01-02T03:04:05.000000Z")


def test_dataset_that_is_being_built_is_a_202() -> None:
    may_build = Event()

    def get_image(parameters: DatasetParameters) -> bytes | Path:
        may_build.wait(30)
        return build_image_with_pools(parameters)

    mock = ControlledMock.create(get_image=get_image)
    other_seed = {"seed": 1}
    reply = mock.request("PUT", f"{SANDBOXES}/a", other_seed)
    assert (reply.status, reply.headers["retry-after"]) == (202, "1")
    assert reply.json["name"] == "a"
    assert mock.request("PUT", f"{SANDBOXES}/a", other_seed).status == 202
    may_build.set()
    wait_until_ready(mock, "a")
    assert count_agents(mock, "a") > 0


def create_slow_mock() -> tuple[ControlledMock, Event]:
    """Return a mock whose datasets with the seed 777 are built when the event is set."""
    may_build = Event()

    def get_image(parameters: DatasetParameters) -> bytes | Path:
        if parameters.seed == 777:
            may_build.wait(30)
        return build_image_with_pools(replace(parameters, seed=0))

    mock = ControlledMock.create(get_image=get_image)
    mock.control("PUT", "/sandboxes/loaded")
    return mock, may_build


def test_waiting_request_is_served_by_the_sandbox_that_replaces_the_pending_one() -> None:
    mock, may_build = create_slow_mock()
    assert mock.request("PUT", f"{SANDBOXES}/a", {"seed": 777}).status == 202
    waiting, created = send_during(mock, ("GET", "/__mock/s/a/api/v1/agents", None), [("PUT", f"{SANDBOXES}/a", None)])
    may_build.set()
    assert (waiting.status, created.status) == (200, 201)


@pytest.mark.parametrize(
    ("method", "problem"),
    [("DELETE", "was deleted while it was created"), ("PUT", "was created with other parameters at the same time")],
)
def test_creation_that_another_request_ends_is_a_409(method: str, problem: str) -> None:
    mock, may_build = create_slow_mock()
    pending, other = send_during(mock, ("PUT", f"{SANDBOXES}/a", {"seed": 777}), [(method, f"{SANDBOXES}/a", None)])
    may_build.set()
    assert other.status in (201, 204)
    assert (pending.status, pending.json) == (409, {"message": f"The sandbox a {problem}."})


def test_dataset_of_the_start_is_waited_for() -> None:
    def get_image(parameters: DatasetParameters) -> bytes:
        time.sleep(LOADING_TIMEOUT + 0.3)
        return build_image_with_pools(parameters)

    mock = ControlledMock.create(get_image=get_image)
    assert mock.request("PUT", f"{SANDBOXES}/a").status == 201


def test_dataset_that_cannot_be_built_is_a_422() -> None:
    def get_image(parameters: DatasetParameters) -> bytes:
        raise ValueError("no space for the image")

    mock = ControlledMock.create(get_image=get_image)
    reply = mock.request("PUT", f"{SANDBOXES}/a")
    assert (reply.status, reply.json["errors"]) == (422, {"dataset": ["no space for the image"]})


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"dataset": "nope"}, ["dataset"]),
        ({"dataset": "/etc/passwd"}, ["dataset"]),
        ({"seed": -1, "epoch": "yesterday"}, ["epoch", "seed"]),
        ({"epoch": "2026-02-30T00:00:00Z"}, ["epoch"]),
        ({"sed": 1}, ["sed"]),
    ],
)
def test_invalid_parameters_are_all_named_and_change_nothing(
    mock: ControlledMock, body: dict[str, Any], fields: list[str]
) -> None:
    reply = mock.request("PUT", f"{SANDBOXES}/a", body)
    assert (reply.status, sorted(reply.json["errors"])) == (422, fields)
    assert "a" not in mock.registry.entries
    assert mock.request("GET", f"{SANDBOXES}/a").status == 404


@pytest.mark.parametrize("name", ["a", "default"])
def test_reset_restores_records_tokens_and_clock(mock: ControlledMock, name: str) -> None:
    before = mock.call(name, "GET", "/agents?per_page=100").body
    first_token = mock.call(name, "POST", "/auth/sign-in", {"email": "john.doe@example.com", "password": "password"})
    key = create_agent(mock, name)
    mock.control("PATCH", f"/sandboxes/{name}/clock", {"now": "2030-01-01T00:00:00Z", "frozen": True})
    mock.control("POST", f"/sandboxes/{name}/reset")
    assert mock.call(name, "GET", "/agents?per_page=100").body == before
    assert mock.control("GET", f"/sandboxes/{name}/clock") == {
        "now": "2026-03-01T00:00:00.000000Z",
        "frozen": False,
        "speed": 1.0,
        "offset_seconds": 0,
    }
    token = first_token.json["data"]["token"]
    assert mock.call(name, "GET", "/agents", token=token).status == 401
    assert create_agent(mock, name) == key


def test_deleted_sandbox_is_created_again_on_use(mock: ControlledMock) -> None:
    count = count_agents(mock, "a")
    create_agent(mock, "a")
    assert mock.control_status("DELETE", "/sandboxes/a") == 204
    assert mock.control_status("GET", "/sandboxes/a") == 404
    assert mock.control_status("DELETE", "/sandboxes/a") == 404
    assert count_agents(mock, "a") == count


def send_during(
    mock: ControlledMock, waiting: tuple[str, str, Any], following: list[tuple[str, str, Any]]
) -> list[Reply]:
    """Send a request, and the following ones while it waits. Return all replies.

    Each request is (method, target, JSON). The first one is delayed by 50 ms if it is one to the API.
    """
    headers = {"host": "localhost:8000", "authorization": "Bearer demo-token", "content-type": "application/json"}

    async def send(method: str, target: str, data: Any, **more: str) -> Reply:
        body = b"" if data is None else orjson.dumps(data)
        return await call(mock.app, method, target, {**headers, "content-length": str(len(body)), **more}, body, None)

    async def send_all() -> list[Reply]:
        first = asyncio.ensure_future(send(*waiting, **{"x-mock-delay": "50"}))
        await asyncio.sleep(0.01)
        replies = [await send(*request) for request in following]
        return [await first, *replies]

    return asyncio.run(send_all())


@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "data"),
    [("GET", "/agents", None), ("GET", "/agents/nope", None), ("POST", "/agents", {"name": "A", "instruction": "B"})],
)
@pytest.mark.parametrize("change", [("DELETE", None), ("PUT", {"execution_seconds": 7})])
def test_pending_request_of_a_deleted_or_replaced_sandbox_is_404(
    mock: ControlledMock, method: str, path: str, data: Any, change: tuple[str, Any], is_private: bool
) -> None:
    mock.control("PUT", "/sandboxes/a")
    if is_private:
        create_agent(mock, "a")
    pending, changed = send_during(
        mock, (method, f"/__mock/s/a/api/v1{path}", data), [(change[0], f"{SANDBOXES}/a", change[1])]
    )
    assert changed.status in (201, 204)
    message = "The sandbox a was deleted or replaced while the request was processed."
    assert (pending.status, pending.headers["x-mock-reason"], pending.json) == (404, "sandbox", {"message": message})


def test_request_whose_body_arrives_after_the_deletion_is_404(mock: ControlledMock) -> None:
    path = f"/__mock/s/a/api/v1/agents/{create_agent(mock, 'a')}"
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        mock.registry.delete("a")
        return {"type": "http.request", "body": b'{"name": 1}', "more_body": False}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    headers = {"host": "localhost:8000", "authorization": "Bearer demo-token", "content-length": "11"}
    headers["content-type"] = "application/json"
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "PUT", "scheme": "http", "path": path}
    scope |= {
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    asyncio.run(mock.app(scope, receive, send))
    assert statuses[0] == 404


def test_default_sandbox_is_neither_deleted_nor_replaced(mock: ControlledMock) -> None:
    assert mock.control_status("DELETE", "/sandboxes/default") == 409
    assert mock.control_status("PUT", "/sandboxes/default", {"seed": 5}) == 409
    assert mock.control_status("PUT", "/sandboxes/default") == 200


def test_sandboxes_are_listed_by_name(mock: ControlledMock) -> None:
    for name in ("b", "a"):
        mock.control("PUT", f"/sandboxes/{name}")
    assert [item["name"] for item in mock.control("GET", "/sandboxes")["sandboxes"]] == ["a", "b", "default"]


# Memory


def test_reads_share_the_store_until_the_first_write(mock: ControlledMock) -> None:
    for name in ("a", "b"):
        count_agents(mock, name)
    stores = [mock.registry.entries[name].sandbox.store for name in ("a", "b")]
    assert stores[0] is stores[1]
    assert mock.call("a", "POST", "/agents", {"visibility": 7}).status == 422
    assert mock.registry.entries["a"].sandbox.is_alias
    create_agent(mock, "a")
    assert not mock.registry.entries["a"].sandbox.is_alias
    assert mock.registry.entries["b"].sandbox.is_alias


def test_write_beyond_the_memory_limit_is_a_429() -> None:
    mock = ControlledMock.create(max_bytes=5 * 1024 * 1024)
    create_agent(mock, "a")
    count = count_agents(mock, "b")
    reply = mock.call("b", "POST", "/agents", {"name": "New", "instruction": "Answer."})
    assert (reply.status, reply.headers["x-mock-reason"]) == (429, "sandbox-memory")
    assert "--sandbox-memory" in reply.json["message"]
    assert count_agents(mock, "b") == count
    mock.control("DELETE", "/sandboxes/a")
    create_agent(mock, "b")


def test_creation_beyond_the_memory_limit_is_a_429() -> None:
    mock = ControlledMock.create(max_bytes=ALIAS_BYTES)
    assert mock.control_status("PUT", "/sandboxes/a") == 429


def test_growing_sandbox_is_limited() -> None:
    mock = ControlledMock.create(max_bytes=6 * 1024 * 1024)
    mock.control("PUT", "/sandboxes/a")
    mock.control("POST", "/sandboxes/a/records", {"Message": {"count": 30, "content": "x" * 100_000}})
    statuses = {mock.call("a", "POST", "/agents", {"name": "A", "instruction": "B"}).status for _ in range(100)}
    assert statuses == {201, 429}


def test_idle_sandbox_is_deleted_and_a_used_one_is_not(mock: ControlledMock) -> None:
    for name in ("used", "idle"):
        count_agents(mock, name)
    mock.timer.seconds = DEFAULT_IDLE_SECONDS - 1
    count_agents(mock, "used")
    mock.timer.seconds = DEFAULT_IDLE_SECONDS + 1
    assert [item["name"] for item in mock.control("GET", "/sandboxes")["sandboxes"]] == ["default", "used"]


def test_sandbox_with_an_event_stream_or_a_pending_request_is_not_idle(mock: ControlledMock) -> None:
    for name in ("stream", "pending", "idle"):
        count_agents(mock, name)
    journal = mock.registry.entries["stream"].sandbox.journal
    assert journal is not None
    journal.listeners.add(asyncio.Event())

    async def list_while_a_request_waits() -> list[str]:
        waiting = asyncio.create_task(send_delayed_request(mock, "pending"))
        while not mock.registry.entries["pending"].sandbox.pending_requests:
            await asyncio.sleep(0.01)
        mock.timer.seconds = DEFAULT_IDLE_SECONDS + 1
        mock.registry.expire_idle()
        await waiting
        return sorted(mock.registry.entries)

    assert asyncio.run(list_while_a_request_waits()) == ["default", "pending", "stream"]
    assert mock.registry.entries["pending"].sandbox.pending_requests == 0


async def send_delayed_request(mock: ControlledMock, sandbox: str) -> None:
    """Send a request that waits for 0.2 seconds."""
    headers = [(b"host", b"localhost"), (b"x-mock-sandbox", sandbox.encode()), (b"x-mock-delay", b"200")]
    path = "/api/v1/agents"
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    await mock.app(scope, receive, send)


@pytest.mark.parametrize("dataset", ["demo", "empty"])
def test_every_read_is_the_same_in_an_unmodified_sandbox(dataset: str) -> None:
    build_image_with_pools(use_dataset(dataset))
    mock = ControlledMock.create()
    mock.control("PUT", "/sandboxes/a", {"dataset": dataset})
    mock.control("PUT", "/sandboxes/b", {"dataset": dataset})
    mock.registry.entries["b"].sandbox.prepare_write()
    for operation in athena_contract().operations.values():
        if operation.method == "get":
            resource = athena_contract().resources.get(operation.resource or "")
            records = (
                mock.registry.entries["a"].sandbox.store.select(resource.name, limit="LIMIT 1") if resource else []
            )
            key = records[0].key if records else "550e8400-e29b-41d4-a716-446655440000"
            path = operation.path
            for name in operation.path_parameter_names:
                path = path.replace(f"{{{name}}}", str(key))
            replies = [mock.call(name, "GET", f"{path}?search=age") for name in ("a", "b")]
            assert replies[0].status == replies[1].status < 500
            assert replies[0].body.replace(b"/__mock/s/a/", b"/__mock/s/b/") == replies[1].body
    assert mock.registry.entries["a"].sandbox.is_alias


@pytest.mark.parametrize("name", ["default", "a"])
def test_sandbox_is_modified_until_its_reset(mock: ControlledMock, name: str) -> None:
    assert not mock.control("PUT", f"/sandboxes/{name}")["is_modified"]
    assert mock.call(name, "POST", "/agents", {"name": "New", "instruction": "Answer."}).status == 201
    assert mock.control("GET", f"/sandboxes/{name}")["is_modified"]
    assert not mock.control("POST", f"/sandboxes/{name}/reset")["is_modified"]
