"""Tests routing by path and method, and the errors for unknown paths and methods."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.web.routing import Routes
from spec.errors import ContractError
from spec.model import Contract
from tests.mock_server.library_contract import API, POE, LogCapture, RecordedCalls, app, client, edit_contract, library


@pytest.fixture(scope="module")
def routes() -> Routes:
    return Routes.from_contract(library())


@pytest.fixture(scope="module")
def overlapping_contract() -> Contract:
    """/authors/{uuid} and /authors/famous, and /{kind}/famous/{uuid} and /authors/{uuid}/books."""
    paths = "".join(
        f"""
  {path}:
    parameters: [{", ".join(f"{{name: {n}, in: path, required: true, schema: {{type: string}}}}" for n in names)}]
    {method}:
      operationId: {identity}
      x-action: retrieve
      responses: {{"204": {{description: x}}}}"""
        for path, names, method, identity in (
            ("/authors/famous", (), "post", "famous"),
            ("/{kind}/famous", ("kind",), "get", "famousOfKind"),
            ("/{kind}/{uuid}/books", ("kind", "uuid"), "get", "booksOfKind"),
            ("/authors/{uuid}/{part}", ("uuid", "part"), "get", "part"),
        )
    )
    return edit_contract(("\ncomponents:\n", paths + "\n\ncomponents:\n"))


@pytest.mark.parametrize("path", ["/authors", "/authors/", "/%61uthors", "/author%73/"])
def test_literal_path_is_matched(routes: Routes, path: str) -> None:
    match = routes.find((API + path).encode())
    assert match is not None
    assert match.route.path == "/authors"


@given(st.text(min_size=1))
def test_path_parameter_is_decoded(value: str) -> None:
    match = Routes.from_contract(library()).find(f"{API}/authors/{quote(value, safe='')}".encode())
    assert match is not None
    assert dict(match.path_parameters) == {"uuid": value}


@pytest.mark.parametrize(
    "path", [b"", b"/", b"//authors", b"/authors//x", b"/authors/%", b"/authors/%zz", b"/authors/%ff", b"/authors/\xff"]
)
def test_malformed_path_is_not_matched(routes: Routes, path: bytes) -> None:
    assert routes.find(API.encode() + path) is None


@given(st.binary())
def test_any_bytes_can_be_looked_up(path: bytes) -> None:
    Routes.from_contract(library()).find(API.encode() + b"/" + path)


@pytest.mark.parametrize(
    ("path", "operation_id"),
    [
        ("/authors/famous", "/authors/famous"),
        ("/authors/other", "/authors/{uuid}"),
        ("/books/famous", "/books/{uuid}"),
        ("/shelves/famous", "/{kind}/famous"),
        ("/authors/famous/books", "/authors/{uuid}/{part}"),
        ("/books/x/books", "/{kind}/{uuid}/books"),
    ],
)
def test_route_with_fewest_parameters_is_selected(overlapping_contract: Contract, path: str, operation_id: str) -> None:
    match = Routes.from_contract(overlapping_contract).find((API + path).encode())
    assert match is not None
    assert match.route.path == operation_id


def test_path_is_selected_before_the_method(overlapping_contract: Contract) -> None:
    match = Routes.from_contract(overlapping_contract).find(f"{API}/authors/famous".encode())
    assert match is not None
    assert match.route.find_operation("GET") is None
    assert match.route.allowed_methods == "POST, OPTIONS"


def test_template_within_a_segment_is_an_error() -> None:
    contract = edit_contract(("/books/{uuid}:", "/books/{uuid}.json:"))
    with pytest.raises(ContractError, match="complete segment"):
        Routes.from_contract(contract)


def test_ambiguous_paths_are_an_error() -> None:
    contract = edit_contract(
        ("  /books/{uuid}:", "  /authors/{key}:"), ("{name: uuid, in: path", "{name: key, in: path")
    )
    with pytest.raises(ContractError, match="one path for each pattern of segments"):
        Routes.from_contract(contract)


@pytest.mark.parametrize(
    ("path", "similar_paths"),
    [
        (f"{API}/author", ["/authors"]),
        (f"{API}/author/{POE}", ["/authors/{uuid}"]),
        ("/authors", ["/authors"]),
        (f"{API}/auth/signin", ["/auth/sign-in"]),
        ("/nothing/of/the/kind", []),
    ],
)
def test_similar_paths_are_found(routes: Routes, path: str, similar_paths: list[str]) -> None:
    assert [route.path for route in routes.find_similar(path)][: len(similar_paths) or 1] == similar_paths


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/authors", "GET, POST, HEAD, OPTIONS"),
        (f"/authors/{POE}", "GET, PUT, DELETE, HEAD, OPTIONS"),
        ("/auth/logout", "POST, OPTIONS"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "TRACE", "PROPFIND", "get"])
def test_405_and_options_list_all_methods(path: str, allow: str, method: str) -> None:
    caller = client(app())
    reply = caller.request(method, API + path)
    assert (reply.status, reply.headers["allow"], reply.headers["x-mock-reason"]) == (
        405,
        allow,
        "route-not-found",
    )
    response = caller.request("OPTIONS", API + path)
    assert (response.status, response.headers["allow"], response.body) == (204, allow, b"")


def test_head_is_get_without_body() -> None:
    caller = client(app())
    head, get = caller.request("HEAD", f"{API}/authors"), caller.get(f"{API}/authors")
    assert head.body == b""
    assert (head.status, head.headers["content-type"]) == (get.status, get.headers["content-type"])
    # the page's own links name no method, so both are equally long
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))


def test_unknown_path_logs_the_most_similar_path() -> None:
    terminal = LogCapture()
    reply = client(app(terminal=terminal)).get(f"{API}/author")
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "route-not-found")
    assert reply.json == {"message": f"The route {API}/author could not be found."}
    line = terminal.getvalue()
    assert line.startswith(f"404 GET {API}/author - route-not-found: did you mean {API}/authors? (")
    assert line.endswith("library.yaml:57) [req 1]\n")


@pytest.mark.parametrize("path", ["nothing", f"nothing/{'0' * 36}", "zzzzzzz", "authors/1/2/3/4/5/6/7/8/9/10/11"])
def test_unknown_path_without_similar_paths_logs_no_suggestion(path: str) -> None:
    terminal = LogCapture()
    assert client(app(terminal=terminal)).get(f"{API}/{path}").status == 404
    assert "route-not-found: the contract has no similar path (" in terminal.getvalue()


@pytest.mark.parametrize(
    ("path", "similar_path"),
    [
        (f"{API}/author/{'0' * 36}", f"{API}/authors/{{uuid}}"),
        ("/authors", f"{API}/authors"),
        ("/health", "/__mock/health?"),
        (f"{API}/healthz/", "/__mock/health?"),
        ("/swagger/openapi.yml", "/openapi.yaml?"),
    ],
)
def test_base_path_and_parameters_do_not_affect_similarity(path: str, similar_path: str) -> None:
    terminal = LogCapture()
    assert client(app(terminal=terminal)).get(path).status == 404
    assert f"route-not-found: did you mean {similar_path}" in terminal.getvalue()


def test_action_gets_decoded_path_parameters() -> None:
    calls = RecordedCalls()
    client(app(calls)).get(f"{API}/authors/a%2Fb%20%C3%A9%00")
    assert dict(calls.last.path_parameters) == {"uuid": "a/b é\x00"}
