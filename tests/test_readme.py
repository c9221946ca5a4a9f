"""What README says is so: its requests, sent by curl in its order to the installed command, and its tables."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures import dataset
from mock_server.cli.settings import OPTIONS
from mock_server.errors import ErrorKind
from mock_server.images import images
from mock_server.sandbox.sandbox import BUILTIN_TOKENS
from spec import extensions
from tests.running import INSTALLED, ROOT, environment, running

README = (ROOT / "README.md").read_text()
SETTINGS = README.split("\n## Settings\n", 1)[1].split("\n## ", 1)[0]
HERE = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Request:
    """A block of shell that sends something, and the JSON that README shows of the answer (None: it shows none)."""

    command: str
    shown: Any


def requests() -> list[Request]:
    """The requests of README, in its order."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    found = []
    for index, (kind, text) in enumerate(blocks):
        if kind == "sh" and text.startswith("curl"):
            after, answer = blocks[index + 1] if index + 1 < len(blocks) else ("", "")
            found.append(Request(text, json.loads(answer) if after == "json" else None))
    return found


REQUESTS = requests()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, Any]]:
    """Status and JSON of each request; they are sent one after the other, as a reader does."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    if not INSTALLED.exists():
        pytest.skip("athena-mock is not installed beside this Python")
    around = environment(tmp_path_factory.mktemp("cache"))
    with running((str(INSTALLED), "--port", "0", "--epoch", "2026-03-01T00:00:00Z"), around) as (_, greeting):
        base = re.findall(r"http://127\.0\.0\.1:\d+", greeting)[0]
        return [sent(request.command.replace(HERE, base)) for request in REQUESTS]


def sent(command: str) -> tuple[int, Any]:
    """What curl gets for a command."""
    curl = command.rstrip() + " -w '\\n%{http_code}'"
    done = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=20, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def lacking(shown: Any, answer: Any, at: str = "") -> list[str]:
    """Where an answer is not as shown: of objects some keys stand there, of lists the first elements; [] is empty."""
    if isinstance(shown, dict) and isinstance(answer, dict):
        below = [lacking(v, answer[k], f"{at}.{k}") if k in answer else [f"{at}.{k}"] for k, v in shown.items()]
        return [place for places in below for place in places]
    if isinstance(shown, list) and shown and isinstance(answer, list) and len(answer) >= len(shown):
        return [place for n, value in enumerate(shown) for place in lacking(value, answer[n], f"{at}.{n}")]
    return [] if shown == answer else [f"{at}: {answer!r}"]


def test_there_are_requests_to_try() -> None:
    assert len(REQUESTS) >= 7
    assert all(HERE in request.command for request in REQUESTS)


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_a_request_is_answered_as_it_is_shown(answers: list[tuple[int, Any]], number: int) -> None:
    request, (status, answer) = REQUESTS[number], answers[number]
    refusal = isinstance(request.shown, dict) and "errors" in request.shown
    assert status == 422 if refusal else status in (200, 201), answer
    assert request.shown is None or lacking(request.shown, answer) == []


# Tables --------------------------------------------------------------------------------------------------------------


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, each a list of its cells."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


def quoted(cell: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_option_is_told_with_its_default() -> None:
    told: dict[str, str] = {}
    for row in table("Settings"):
        flags, defaults = quoted(row[0]), quoted(row[1])
        told |= dict(zip(flags, defaults or [""] * len(flags), strict=True))
    shown = {"--contract": "spec/openapi.yaml", "--quiet": ""}  # the packaged one; a flag has no value
    assert told == {option.flag: shown.get(option.flag, option.default) for option in OPTIONS}


def test_every_dataset_is_told() -> None:
    (row,) = [row for row in table("Settings") if row[0] == "`--dataset`"]
    assert set(dataset.list_names()) <= set(quoted(" ".join(row)))


def test_every_reason_of_a_refusal_is_told() -> None:
    section = README.split("\n## Why 404?\n", 1)[1].split("\n## ", 1)[0]
    assert {problem.value.reason for problem in ErrorKind} <= set(quoted(section))


def test_where_images_are_kept_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert images.find_cache_folder() == tmp_path / "athena-mock"
    assert {"athena-mock", "$XDG_CACHE_HOME", "XDG_CACHE_HOME", "%LOCALAPPDATA%", "~/.cache"} <= set(quoted(SETTINGS))
    assert "the eight last built" in SETTINGS
    assert images.MAX_CACHED_IMAGES == 8


def test_the_side_door_is_told() -> None:
    assert "GET /__mock/health" in quoted(SETTINGS)


def test_the_headers_of_a_proxy_are_told() -> None:
    assert {"X-Forwarded-Proto", "-Host", "-Prefix"} <= set(quoted(SETTINGS))


def test_every_folder_is_told() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.[ps][yh]"))}
    assert folders <= {name.rstrip("/") for row in table("Where things are") for name in quoted(" ".join(row))}


def test_every_token_is_told() -> None:
    assert [quoted(row[0])[0] for row in table("Who you are")] == [*BUILTIN_TOKENS]


def test_every_word_of_the_contract_is_told() -> None:
    assert {quoted(row[0])[0] for row in table("The words of the contract")} == set(extensions.KNOWN_EXTENSIONS)


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("x-source", extensions.PROVENANCE_LEVELS),
        ("x-relation", extensions.ON_DELETE),
        ("x-stamp", extensions.STAMPS),
        ("x-query", extensions.QUERY_ROLES),
        ("x-page", extensions.PAGINATION_ROLES),
        ("x-effects", extensions.EFFECTS),
    ],
)
def test_what_a_word_may_say_is_told(word: str, values: tuple[str, ...]) -> None:
    (said,) = [row[2] for row in table("The words of the contract") if quoted(row[0]) == [word]]
    assert [value for value in values if not re.search(rf"\b{value}\b", said)] == []


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_a_link_leads_to_a_file_that_is_there(path: str) -> None:
    assert (ROOT / path).exists()
