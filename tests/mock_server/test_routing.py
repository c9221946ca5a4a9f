"""Tests routing by path and method, and the errors for unknown paths and methods."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.web.routing import Routes
from spec.document import parse_document
from spec.errors import ContractError
from spec.loader import parse_contract
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
      x-action: static
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


def test_brace_without_counterpart_is_an_error() -> None:
    contract = edit_contract(("/books/{uuid}:", "/books/{uuid:"))
    with pytest.raises(ContractError, match="parameters in the form"):
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


PATH_FAMILIES = (
    "/",
    "/items",
    "/items/{id}",
    "/items/{id}:archive",
    "/items/{id}:{verb}",
    "/items:search",
    "/files/{name}.json",
    "/files/{name}",
    "/compare/{base}...{head}",
    "/slashed/",
    "/twins",
    "/twins/",
    "/twins/{id}",
    "/twins/{id}/",
    "/a%20b/{c}",
    "/über/{c}",
)


def build_contract(paths: str, servers: str = "[{url: /v1}]") -> Contract:
    head = f'openapi: 3.0.3\ninfo: {{title: x, version: "1"}}\nservers: {servers}\npaths:\n'
    return parse_contract(parse_document((head + paths).encode(), "x.yaml"))


def build_operation(path: str, method: str = "get", **keywords: str) -> str:
    lines = "".join(f"      {key}: {value}\n" for key, value in keywords.items())
    return f"""  {path!r}:
    {method}:
      operationId: {method} {path}
      x-action: static
      responses: {{"204": {{description: x}}}}
{lines}"""


@pytest.fixture(scope="module", params=["/", "/v1"])
def base_path(request: pytest.FixtureRequest) -> str:
    return str(request.param).rstrip("/")


@pytest.fixture(scope="module")
def path_families(base_path: str) -> Routes:
    paths = "".join(map(build_operation, PATH_FAMILIES))
    return Routes.from_contract(build_contract(paths, f"[{{url: '{base_path}/'}}]"))


@pytest.mark.parametrize(
    ("path", "template", "values"),
    [
        ("/", "/", {}),
        ("/items", "/items", {}),
        ("/items/", "/items", {}),
        ("/items/5", "/items/{id}", {"id": "5"}),
        ("/items/5:archive", "/items/{id}:archive", {"id": "5"}),
        ("/items/5%3Aarchive", "/items/{id}:archive", {"id": "5"}),
        ("/items/a:b:archive", "/items/{id}:archive", {"id": "a:b"}),
        ("/items/:archive", "/items/{id}", {"id": ":archive"}),
        ("/items/5:delete:now", "/items/{id}:{verb}", {"id": "5", "verb": "delete:now"}),
        ("/items/5:", "/items/{id}", {"id": "5:"}),
        ("/items:search", "/items:search", {}),
        ("/files/a.json", "/files/{name}.json", {"name": "a"}),
        ("/files/a.json.json", "/files/{name}.json", {"name": "a.json"}),
        ("/files/.json", "/files/{name}", {"name": ".json"}),
        ("/files/a.xml", "/files/{name}", {"name": "a.xml"}),
        ("/compare/v1...v2", "/compare/{base}...{head}", {"base": "v1", "head": "v2"}),
        ("/compare/a%2Fb...c%20d", "/compare/{base}...{head}", {"base": "a/b", "head": "c d"}),
        ("/compare/......", "/compare/{base}...{head}", {"base": ".", "head": ".."}),
        ("/slashed/", "/slashed/", {}),
        ("/slashed", "/slashed/", {}),
        ("/twins", "/twins", {}),
        ("/twins/", "/twins/", {}),
        ("/twins/5", "/twins/{id}", {"id": "5"}),
        ("/twins/5/", "/twins/{id}/", {"id": "5"}),
        ("/a%20b/5", "/a%20b/{c}", {"c": "5"}),
        ("/%C3%BCber/5", "/über/{c}", {"c": "5"}),
    ],
)
def test_path_is_matched(path_families: Routes, base_path: str, path: str, template: str, values: object) -> None:
    match = path_families.find((base_path + path).encode())
    assert match is not None
    assert match.route.path == template
    assert match.path_parameters == values


@pytest.mark.parametrize("path", ["/compare/v1..v2", "/compare/...v2", "/compare/v1...", "/item", "/items:", "//"])
def test_other_path_is_not_matched(path_families: Routes, base_path: str, path: str) -> None:
    assert path_families.find((base_path + path).encode()) is None


texts = st.text(alphabet=":.-ab/ ", min_size=1, max_size=8)


@given(texts, texts, texts)
def test_parameters_of_one_segment_are_split_at_the_first_literals(a: str, b: str, c: str) -> None:
    routes = Routes.from_contract(build_contract(build_operation("/x{a}-{b}.{c}y")))
    match = routes.find(f"/v1/{quote(f'x{a}-{b}.{c}y', safe='')}".encode())
    assert match is not None
    values = dict(match.path_parameters)
    assert f"x{values['a']}-{values['b']}.{values['c']}y" == f"x{a}-{b}.{c}y"
    assert "-" not in values["a"][1:]


def test_partial_template_takes_linear_time() -> None:
    routes = Routes.from_contract(build_contract(build_operation("/" + "-".join(f"{{p{n}}}" for n in range(20)))))
    assert routes.find(b"/v1/" + b"-" * 60_000 + b"/") is not None
    assert routes.find(b"/v1/" + b"-" * 60_000 + b"/x") is None


def test_paths_that_differ_in_parameter_names_share_a_route() -> None:
    contract = build_contract(build_operation("/items/{id}") + build_operation("/items/{key}", "put"))
    match = Routes.from_contract(contract).find(b"/v1/items/5")
    assert match is not None
    assert match.route.allowed_methods == "GET, PUT, HEAD, OPTIONS"
    assert match.path_parameters == {"id": "5", "key": "5"}
    operation = match.route.find_operation("PUT")
    assert operation is not None
    assert operation.path == "/items/{key}"


def test_each_base_path_of_the_servers_is_served() -> None:
    paths = build_operation("/items") + build_operation("/files", servers="[{url: /uploads}]")
    routes = Routes.from_contract(build_contract(paths, "[{url: /v1}, {url: https://x/v2}, {url: /v1/beta}]"))
    for path in ("/v1/items", "/v2/items/", "/v1/beta/items", "/uploads/files"):
        match = routes.find(path.encode())
        assert match is not None
        assert match.route.url_path == path.rstrip("/")
    for path in ("/items", "/uploads/items", "/v1/files", "/v1/beta"):
        assert routes.find(path.encode()) is None


def test_similar_paths_are_suggested_with_their_base_path() -> None:
    paths = build_operation("/items") + build_operation("/uploads", servers="[{url: /media}]")
    routes = Routes.from_contract(build_contract(paths))
    assert "did you mean /v1/items?" in str(routes.not_found_error("/v1/item"))
    assert "did you mean /media/uploads?" in str(routes.not_found_error("/media/upload"))
