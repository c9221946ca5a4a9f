"""Tests the documents: sends their curl requests to an installed mock, and compares their tables with the code.

`test_document_commands.py` runs the other commands.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.cli import commands
from fixtures import dataset
from mock_server import image_cache
from mock_server.cli.settings import OPTIONS
from mock_server.errors import ErrorKind
from mock_server.sandbox.sandbox import BUILTIN_TOKENS
from spec import extensions
from spec.line_numbers import find_line_numbers
from tests.document_texts import DOCUMENTS, code_blocks, code_spans, read
from tests.mock_process import INSTALLED, ROOT, build_environment, run_mock

README = "README.md"
CONTRIBUTING = "CONTRIBUTING.md"
AUTHENTICATION = "docs/guides/authentication.md"
DATASETS = "docs/guides/datasets.md"
ERRORS = "docs/guides/errors.md"
RUN_THE_MOCK = "docs/guides/run-the-mock.md"
CI = "docs/guides/ci.md"
CLIENTS = "docs/guides/clients.md"
FRONTENDS = "docs/guides/playwright.md"
MOCK_SETTINGS = "docs/reference/mock-settings.md"
SUITE_OPTIONS = "docs/reference/suite-options.md"
EXIT_CODES = "docs/reference/exit-codes.md"
EXTENSIONS = "docs/reference/specification-extensions.md"
ARCHITECTURE = "docs/explanation/architecture.md"
MAX_README_LINES = 150
MAX_README_COLUMNS = 140
MOCK_URL = "http://127.0.0.1:8000"
COOKIE_FILE = "/tmp/athena-cookies"  # of the documents
CONFORMANCE_COMMAND = INSTALLED.with_name("athena-conformance")


def section(document: str, heading: str) -> str:
    """The text below a heading, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", read(document), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{document} has no heading {heading!r}"
    return found[1]


def tables(text: str) -> list[list[str]]:
    """The rows of all tables in a text, without their headers, each a list of cells."""
    rows = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows += [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    return rows


# Requests


@dataclass(frozen=True, slots=True)
class DocumentedRequest:
    """A curl command, and the response that follows it: a part of its JSON, or lines of the complete response.

    `body` and `lines` are empty if the document does not show the response.
    """

    document: str
    command: str
    body: Any = None
    lines: tuple[str, ...] = ()


def list_documented_requests() -> list[DocumentedRequest]:
    """The curl commands of all documents, README first, in their order."""
    requests = []
    for document in DOCUMENTS:
        blocks = code_blocks(document)
        for (language, content), (next_language, response) in zip(blocks, [*blocks[1:], ("", "")], strict=False):
            if language == "sh" and content.startswith("curl"):
                value = json.loads(response) if next_language == "json" else None
                lines = tuple(response.splitlines()) if next_language == "http" else ()
                requests.append(DocumentedRequest(document, content, value, lines))
    return requests


REQUESTS = list_documented_requests()


@pytest.fixture(scope="module")
def responses(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """Status and text of each response; the requests are sent one after the other, as a reader does."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    if not INSTALLED.exists():
        pytest.skip("athena-mock is not installed next to this Python")
    env = build_environment(tmp_path_factory.mktemp("cache"))
    cookies = str(tmp_path_factory.mktemp("cookies") / "cookies")
    with run_mock((str(INSTALLED), "--port", "0", "--epoch", "2026-03-01T00:00:00Z"), env) as (_, banner):
        base = re.findall(r"http://127\.0\.0\.1:\d+", banner)[0]
        commands = [request.command.replace(MOCK_URL, base).replace(COOKIE_FILE, cookies) for request in REQUESTS]
        return [send(command) for command in commands]


def send(command: str) -> tuple[int, str]:
    """Run a curl command; status and text of the response, with its headers if the command has -i."""
    curl = command.rstrip() + " -w '\\n%{http_code}'"
    result = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=20, check=True)
    body, _, status = result.stdout.rpartition("\n")
    return int(status), body


def find_differences(documented: Any, actual: Any, path: str = "") -> list[str]:
    """Where a response differs from the documented one, which may omit keys of objects and the end of lists."""
    if isinstance(documented, dict) and isinstance(actual, dict):
        lines = []
        for key, value in documented.items():
            location = f"{path}.{key}"
            lines += find_differences(value, actual[key], location) if key in actual else [f"{location} is missing"]
        return lines
    if isinstance(documented, list) and documented and isinstance(actual, list) and len(actual) >= len(documented):
        return [
            line for n, value in enumerate(documented) for line in find_differences(value, actual[n], f"{path}.{n}")
        ]
    return [] if documented == actual else [f"{path}: got {actual!r}, expected {documented!r}"]


def test_readme_shows_three_requests_and_requests_md_shows_each_step() -> None:
    documents = [request.document for request in REQUESTS]
    assert documents.count(README) == 3
    assert documents.count("docs/guides/requests.md") >= 7
    assert [request for request in REQUESTS if MOCK_URL not in request.command] == []


def test_every_code_block_that_calls_the_mock_with_curl_is_executed() -> None:
    executed = {request.command for request in REQUESTS}
    blocks = (content for document in DOCUMENTS for _, content in code_blocks(document))
    assert {content for content in blocks if content.startswith("curl -s")} == executed


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_request_returns_the_documented_response(responses: list[tuple[int, str]], number: int) -> None:
    request, (status, actual) = REQUESTS[number], responses[number]
    if request.lines:
        response_lines = actual.splitlines()
        assert [line for line in request.lines if line not in response_lines] == []
        return
    keys = set(request.body or {})
    is_expected = status == 422 if "errors" in keys else status >= 400 if keys == {"message"} else status in (200, 201)
    assert is_expected, actual
    differences = [] if request.body is None else find_differences(request.body, json.loads(actual))
    assert differences == [], f"{request.document} shows another response"


def test_differences_finds_other_values_missing_keys_and_shorter_lists() -> None:
    assert find_differences({"a": [1], "b": {}}, {"a": [1, 2], "b": {}, "c": 3}) == []
    assert find_differences({"a": 1, "b": 2}, {"a": 2}) == [".a: got 2, expected 1", ".b is missing"]
    assert find_differences([1, 2], [1]) == [": got [1], expected [1, 2]"]
    assert find_differences([], [1]) == [": got [1], expected []"]


# README


def test_readme_is_short() -> None:
    lines = read(README).splitlines()
    assert len(lines) <= MAX_README_LINES
    assert [line for line in lines if len(line) > MAX_README_COLUMNS] == []


@pytest.mark.parametrize(
    ("document", "heading"),
    [(README, "Test tokens"), (AUTHENTICATION, "Tokens")],
    ids=[README, AUTHENTICATION],
)
def test_every_built_in_token_is_documented(document: str, heading: str) -> None:
    tokens = [code_spans(row[0])[0] for row in tables(section(document, heading)) if row[0].endswith("-token`")]
    assert tokens == [*BUILTIN_TOKENS]


# Mock server


def test_every_option_of_the_mock_is_documented_with_its_environment_variable() -> None:
    rows = tables(section(MOCK_SETTINGS, "Mock settings"))
    documented = [(code_spans(row[0])[0].split()[0], code_spans(row[2])[0]) for row in rows]
    assert documented == [(option.opts[0], option.envvar) for option in OPTIONS]


def test_every_dataset_is_documented() -> None:
    documented = {code_spans(row[0])[0] for row in tables(section(DATASETS, "Datasets"))}
    assert documented == set(dataset.list_names())


def test_every_x_mock_reason_is_documented_with_its_statuses() -> None:
    documented = {code_spans(row[0])[0]: row[1] for row in tables(section(ERRORS, "X-Mock-Reason"))}
    statuses: dict[str, set[int]] = {}
    for problem in ErrorKind:
        statuses.setdefault(problem.value.reason, set()).add(int(problem.value.status))
    assert documented == {reason: ", ".join(map(str, sorted(codes))) for reason, codes in statuses.items()}


def test_cache_folder_is_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert image_cache.find_cache_folder() == tmp_path / "athena-mock"
    text = section(RUN_THE_MOCK, "Cache folder")
    assert {"athena-mock", "$XDG_CACHE_HOME", "XDG_CACHE_HOME", "%LOCALAPPDATA%", "~/.cache"} <= set(code_spans(text))
    assert "eight most recent images" in " ".join(text.split())
    assert image_cache.MAX_CACHED_IMAGES == 8


def test_proxy_headers_are_documented() -> None:
    documented = set(code_spans(section(RUN_THE_MOCK, "Proxies")))
    assert {"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"} <= documented


# Conformance suite


@cache
def help_text(*command: str) -> str:
    """What `athena-conformance COMMAND --help` prints."""
    if not CONFORMANCE_COMMAND.exists():
        pytest.skip("athena-conformance is not installed next to this Python")
    env = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    arguments = [str(CONFORMANCE_COMMAND), *command, "--help"]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True, env=env).stdout


def list_documented_commands() -> list[str]:
    return [code_spans(row[0])[0].split()[0] for row in tables(section(SUITE_OPTIONS, "Commands"))]


def test_every_command_of_the_suite_is_documented() -> None:
    command_list = re.search(r"^Commands:\n((?: +.*\n)+)", help_text(), re.MULTILINE)
    assert command_list is not None
    names = re.findall(r"^ {1,4}([a-z][a-z-]*) ", command_list[1], re.MULTILINE)
    assert sorted(list_documented_commands()) == sorted(names)


def test_every_option_of_the_suite_is_documented() -> None:
    options: set[str] = set()
    for command in list_documented_commands():
        options |= set(re.findall(r"^ +(--[a-z][a-z-]*)", help_text(command), re.MULTILINE))
    documented = [code_spans(row[0])[0].split()[0] for row in tables(section(SUITE_OPTIONS, "Options"))]
    assert sorted(documented) == sorted(options - {"--help", "--version"})


@pytest.mark.parametrize("document", [MOCK_SETTINGS, SUITE_OPTIONS])
def test_details_name_existing_options(document: str) -> None:
    known = {flag.split()[0] for flag in code_spans(read(document)) if flag.startswith("--")}
    details = {flag for row in tables(section(document, "Details")) for flag in code_spans(row[0])}
    assert details
    assert details <= known


def test_every_exit_code_is_documented() -> None:
    documented = [code_spans(row[0])[0] for row in tables(section(EXIT_CODES, "Exit codes"))]
    shown = re.findall(r"^ +(\d) {2,}", help_text("run"), re.MULTILINE)
    assert documented[: len(shown)] == shown
    rows = tables(section(CI, "What a job does with an exit code"))
    assert [code_spans(row[0])[0] for row in rows] == shown
    assert [row[1] for row in rows] == [text.partition(":")[0] for text in commands.EXIT_CODES.values()]


def test_documented_settings_file_is_valid(tmp_path: Path) -> None:
    (content,) = [content for language, content in code_blocks(SUITE_OPTIONS) if language == "toml"]
    (tmp_path / "athena-conformance.toml").write_text(content)
    help_text()
    command = [str(CONFORMANCE_COMMAND), "run", "--env", "production", "--show-config"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True)
    settings = {line.split()[0]: line.split(maxsplit=1)[1] for line in result.stdout.splitlines() if " " in line}
    assert settings["base-url"].startswith("https://example.com/api/v1 ")
    assert settings["rate-limit"].startswith("20 ")
    assert settings["read-only"].startswith("true ")
    assert settings["skip.generateAgent"].startswith("no model in staging ")


# Clients


def test_guide_for_frontends_lists_the_members_of_a_sandbox() -> None:
    source = (ROOT / "clients/typescript/src/sandbox.ts").read_text(encoding="utf-8").partition("class Sandbox {")[2]
    members = set(re.findall(r"^  (?:get |async )?(\w+)(?: = |\()", source, re.MULTILINE)) - {"constructor"}
    names = " ".join(row[0] for row in tables(section(FRONTENDS, "The fixture `mock`")))
    assert {"requests", "getToken"} <= members
    assert members - set(re.findall(r"\w+", names)) == set()


def test_generators_that_the_typescript_client_depends_on_are_installed_before_use() -> None:
    """`npx NAME@VERSION` fails if a linked package has that version as a development dependency."""
    package = json.loads((ROOT / "clients/typescript/package.json").read_text(encoding="utf-8"))
    commands = "\n".join(content for language, content in code_blocks(CLIENTS) if language == "sh")
    requested = set(re.findall(r"npx (?:-\S+ )*([^\s@]+)@", commands))
    assert requested
    assert requested.isdisjoint(package["devDependencies"])


# Specification extensions


def extension_table() -> dict[str, str]:
    """Extension -> its meaning, from the first table."""
    return {code_spans(row[0])[0]: row[2] for row in tables(section(EXTENSIONS, "Specification extensions"))}


def test_every_extension_is_documented() -> None:
    assert set(extension_table()) == set(extensions.KNOWN_EXTENSIONS)


@pytest.mark.parametrize("extension", extensions.KNOWN_EXTENSIONS)
def test_every_extension_is_described_in_a_section(extension: str) -> None:
    assert section(EXTENSIONS, "Provenance" if extension == "x-source" else extension).strip()


@pytest.mark.parametrize(
    ("extension", "values"),
    [
        ("x-source", extensions.PROVENANCE_LEVELS),
        ("x-csrf", extensions.CSRF_KEYS),
        ("x-evidence", extensions.EVIDENCE_KEYS),
        ("x-relation", extensions.ON_DELETE),
        ("x-stamp", extensions.STAMPS),
        ("x-query", extensions.QUERY_ROLES),
        ("x-page", extensions.PAGINATION_ROLES),
        ("x-effects", extensions.EFFECTS),
    ],
)
def test_every_value_of_an_extension_is_documented(extension: str, values: tuple[str, ...]) -> None:
    documented = code_spans(extension_table()[extension])
    assert [value for value in values if value not in documented] == []


def test_documented_lines_of_the_contract_are_current() -> None:
    line_numbers = find_line_numbers((ROOT / "spec" / "openapi.yaml").read_bytes())
    for document in DOCUMENTS:
        for number, pointer in re.findall(r"spec/openapi\.yaml:(\d+) (#/\S+)", (ROOT / document).read_text()):
            assert line_numbers[pointer] == int(number), f"{document}: {pointer} is on line {line_numbers[pointer]}"


# Layout


def test_every_folder_is_documented() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.[ps][yh]"))}
    folders -= {line.strip().strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    documented = {code_spans(row[0])[0].rstrip("/") for row in tables(section(ARCHITECTURE, "Folders"))}
    assert documented == folders | {"clients", "docs", "examples"}


def package_rows(package: str) -> dict[str, list[str]]:
    """Package or module -> the names in its row of the table of packages (the last column)."""
    text = section(CONTRIBUTING, "Packages and layers")
    (block,) = re.findall(rf"^`{package}/`, top layer first:\n\n((?:^\|.*\n)+)", text, re.MULTILINE)
    return {code_spans(row[0])[0]: code_spans(row[2]) for row in tables(block)}


@pytest.mark.parametrize("package", ["mock_server", "conformance"])
def test_every_package_is_documented(package: str) -> None:
    rows = package_rows(package)
    packages = (path.parent.relative_to(ROOT / package) for path in (ROOT / package).rglob("__init__.py"))
    assert {name for name in rows if name.endswith("/")} == {f"{path}/" for path in packages if path.parts}
    modules = {path.stem for path in (ROOT / package).glob("*.py") if not path.stem.startswith("__")}
    assert {name for name in rows if not name.endswith("/")} == modules


@pytest.mark.parametrize(
    ("package", "name"),
    [(package, name) for package in ("mock_server", "conformance") for name in package_rows(package)],
)
def test_every_module_is_documented(package: str, name: str) -> None:
    documented = {span for span in package_rows(package)[name] if re.fullmatch("[a-z_]+", span)}
    modules = {path.stem for path in (ROOT / package / name).glob("*.py") if not path.stem.startswith("__")}
    assert documented == modules


@pytest.mark.parametrize("package", ["spec", "fixtures"])
def test_every_module_of_a_flat_package_is_documented(package: str) -> None:
    text = section(CONTRIBUTING, "Packages and layers")
    (paragraph,) = re.findall(rf"^`{package}/`: (.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    modules = {path.stem for path in (ROOT / package).rglob("*.py") if not path.stem.startswith("__")}
    assert {span for span in code_spans(paragraph) if re.fullmatch("[a-z0-9_]+", span)} == modules


# A path in a code span has a slash; a part in upper case matches any name (`fixtures/datasets/NAME.yaml`). Files in
# `build/` are built.
REPOSITORY_PATHS = sorted(
    span
    for span in set(code_spans(re.sub(r"^```.*?^```", "", read(CONTRIBUTING), flags=re.MULTILINE | re.DOTALL)))
    if re.fullmatch(r"(?!/)[\w.*-]+/[\w./*-]*", span) and not span.endswith("/*") and not span.startswith("build/")
)


@pytest.mark.parametrize("path", REPOSITORY_PATHS)
def test_path_in_contributing_exists(path: str) -> None:
    folders = (ROOT, *(ROOT / package for package in ("fixtures", "mock_server", "conformance")))
    pattern = re.sub(r"\b[A-Z]+\b", "*", path)
    assert [folder for folder in folders if any(folder.glob(pattern))] != []


# Links


def anchors(document: str) -> set[str]:
    """The anchors of a document's headings, as GitHub derives them."""
    text = re.sub(r"^```.*?^```", "", read(document), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKS = [(document, link) for document in DOCUMENTS for link in re.findall(r"\]\((?!http)([^)\s]+)\)", read(document))]


@pytest.mark.parametrize(("document", "link"), LINKS)
def test_link_leads_to_an_existing_file_and_heading(document: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (ROOT / document).parent / path if path else ROOT / document
    assert target.exists()
    assert not anchor or anchor in anchors(target.resolve().relative_to(ROOT).as_posix())
