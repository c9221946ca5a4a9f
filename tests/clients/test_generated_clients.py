"""Clients generated from the published contract: they compile, and they parse the answers of all operations."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts.publish_contract import COLLECTION, CONTRACT, FOLDER, build_collection
from spec.loader import load_contract
from tests.clients.matrix import run_tool
from tests.clients.recording import Answer, list_documented_answers, record_answers
from tests.clients.tools import (
    FAST_TOOLS,
    GENERATED,
    NPM,
    OTHER_TOOLS,
    PYTHON,
    PYTHON_CLIENT,
    TYPESCRIPT_OPTIONS,
    TYPESCRIPT_TYPES,
    ClientTool,
    Output,
    find_missing_kotlin,
    has_java,
    is_installed,
    run,
)
from tests.document_texts import find_code_blocks, read
from tests.mock_process import MODULE, build_environment, run_mock

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not is_installed(), reason="the client generators are not installed: make test-clients"),
]
DRIVERS = Path(__file__).parent / "drivers"
FILES = ("openapi.json", "openapi-3.1.json")


@cache
def list_answers() -> list[Answer]:
    return [*list_documented_answers(), *record_answers()]


def check_tool(tool: ClientTool, name: str, folder: Path) -> None:
    """Generate a client from a published file; it must compile and parse every answer."""
    if tool.name.startswith("openapi-generator") and not has_java():
        pytest.skip("openapi-generator needs Java")
    result = run_tool(tool, FOLDER / name, folder, list_answers())
    assert result.output.status == 0, result.output.text[-3000:]
    assert result.unexpected_warnings == []
    if tool.language == "Kotlin" and (missing := find_missing_kotlin()):
        pytest.skip(f"not installed: {missing}")
    assert not result.errors
    assert result.unexpected_rejections == []


def test_an_answer_of_every_operation_is_recorded() -> None:
    operations = [answer.operation for answer in record_answers()]
    assert operations == list(load_contract(CONTRACT).operations)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("tool", FAST_TOOLS, ids=lambda tool: tool.name)
def test_client_parses_the_answers(tool: ClientTool, name: str, tmp_path: Path) -> None:
    check_tool(tool, name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("tool", OTHER_TOOLS, ids=lambda tool: tool.name)
def test_client_of_another_tool_parses_the_answers(tool: ClientTool, name: str, tmp_path: Path) -> None:
    check_tool(tool, name, tmp_path)


@pytest.mark.parametrize("tool", FAST_TOOLS, ids=lambda tool: tool.name)
def test_wrong_answers_are_rejected(tool: ClientTool, tmp_path: Path) -> None:
    """The check itself: a value of another type, a missing property and an operation that does not exist."""
    documented = list_documented_answers()[0]
    record = documented.body["data"]
    answers = [
        Answer("wrong_type", "createMessage", 201, {"data": {**record, "created_at": {"a": 1}}}),
        Answer("missing_property", "createMessage", 201, {"data": {k: v for k, v in record.items() if k != "uuid"}}),
        Answer("unknown_operation", "createNothing", 201, documented.body),
        documented,
    ]
    result = run_tool(tool, FOLDER / "openapi.json", tmp_path, answers)
    assert result.rejected is not None
    assert set(result.rejected) == {"wrong_type", "missing_property", "unknown_operation"}


# Requests to the mock


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running mock."""
    env = build_environment(tmp_path_factory.mktemp("cache"))
    with run_mock((*MODULE, "--port", "0", "--quiet"), env) as (_, banner):
        match = re.search(r"http://[\w.]+:\d+/api/v1", banner)
        assert match is not None, banner
        yield match[0]


def run_typescript(name: str, arguments: Sequence[str], folder: Path) -> Output:
    """Compile the module `name` in `folder` with `tsc --strict`, and run it."""
    (folder / "node_modules").symlink_to(NPM.parent)
    (folder / "package.json").write_text('{"type": "module"}')
    options = [option for option in TYPESCRIPT_OPTIONS if option != "--noEmit"]
    compiled = run((NPM / "tsc", *options, f"{name}.ts"), folder)
    assert compiled.status == 0, compiled.text
    return run(("node", f"{name}.js", *arguments), folder)


def test_typescript_client_creates_lists_updates_and_deletes(base_url: str, tmp_path: Path) -> None:
    assert run(TYPESCRIPT_TYPES.generate(FOLDER / "openapi.json"), tmp_path).status == 0
    (tmp_path / "round.ts").write_bytes((DRIVERS / "round.ts").read_bytes())
    result = run_typescript("round", (base_url,), tmp_path)
    assert result.text.startswith("deleted: 404 "), result.text


def test_example_of_the_guide_handles_errors(base_url: str, tmp_path: Path) -> None:
    (example,) = (text for language, text in find_code_blocks(read("docs/guides/clients.md")) if language == "ts")
    assert "http://127.0.0.1:8000/api/v1" in example
    (tmp_path / "example.ts").write_text(
        example.replace("http://127.0.0.1:8000/api/v1", base_url) + (DRIVERS / "rename_thread.ts").read_text()
    )
    assert run(TYPESCRIPT_TYPES.generate(FOLDER / "openapi.json"), tmp_path).status == 0
    (tmp_path / f"{GENERATED}.ts").rename(tmp_path / "athena.d.ts")
    result = run_typescript("example", (), tmp_path)
    assert result.text.splitlines() == [
        "renamed: Renamed",
        "name: The name field is required.",
        "There is no thread 00000000-0000-4000-8000-000000000000.",
        "Sign in again.",
    ]


def test_discriminator_narrows_a_union(tmp_path: Path) -> None:
    assert run(TYPESCRIPT_TYPES.generate(FOLDER / "openapi.json"), tmp_path).status == 0
    (tmp_path / "narrowing.ts").write_bytes((DRIVERS / "narrowing.ts").read_bytes())
    assert run((NPM / "tsc", *TYPESCRIPT_OPTIONS, "narrowing.ts"), tmp_path).text == ""


def test_python_client_creates_lists_updates_and_deletes(base_url: str, tmp_path: Path) -> None:
    assert run(PYTHON_CLIENT.generate(FOLDER / "openapi.json"), tmp_path).status == 0
    result = run((PYTHON / "python", DRIVERS / "round_python.py", base_url), tmp_path)
    assert result.text.startswith("deleted: 404 "), result.text


# Files


def test_postman_collection_is_current(tmp_path: Path) -> None:
    assert build_collection(FOLDER / "openapi.json") == COLLECTION.read_bytes(), "outdated: run `make contract`"


def test_postman_collection_defines_the_variables_of_its_authorization() -> None:
    collection = json.loads(COLLECTION.read_bytes())
    authorizations = [collection["auth"], *_list_authorizations(collection["item"])]
    used = set(re.findall(r"\{\{(\w+)\}\}", json.dumps(authorizations)))
    assert used == {"bearerToken"}
    assert {variable["key"]: variable["value"] for variable in collection["variable"]} == {
        "baseUrl": "https://localhost/api/v1",
        **dict.fromkeys(used, "demo-token"),
    }


def _list_authorizations(items: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for item in items:
        yield item.get("request", {}).get("auth")
        yield from _list_authorizations(item.get("item", []))
