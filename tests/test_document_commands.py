"""Runs the commands of README.md and of the pages in `docs/`, as a reader does.

The `sh` blocks of a page run in order in one shell, except requests that start with `curl` (see `test_documents.py`).
The folder of the shell has links to the files of the repository, so that files of a run are not written there.
"""

import importlib.util
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from conformance.cli.commands import parse_settings
from tests.document_texts import DOCUMENTS, code_blocks, code_spans, find_code_blocks, read, without_code_blocks
from tests.mock_process import INSTALLED, ROOT, build_environment

PAGES = ("README.md", *(document for document in DOCUMENTS if document.startswith("docs/")))
SLOW_PAGES = (
    "docs/tutorial.md",
    "docs/guides/read-a-report.md",
    "docs/guides/run-the-suite.md",
    "docs/guides/your-own-contract.md",
    "docs/guides/datasets.md",
)

# Start of a block -> why it does not run here.
NOT_EXECUTED: Mapping[str, str] = {
    "python3 -m venv .venv": "installs packages; tests/test_wheel.py does the same",
    "python3 -m pip": "the same",
    "pipx install": "needs pipx",
    "uvx": "needs uv",
    "export ATHENA_TOKEN=...": "the host is a placeholder; its options are parsed below",
    "docker build": "needs Docker; test_containers.py builds and runs the images without it",
    "docker run": "the same",
    "export TARGET=": "needs Docker; test_containers.py tests the Compose file",
    ".venv/bin/athena-mock store": "needs a store file; tests/mock_server/test_store_commands.py runs these commands",
    "python -m tests.conformance.twenty_faults": "takes 20 minutes",
    ".venv/bin/python -m tests.reference_backend.compare": "takes hours",
    "python -m bench.contracts": "the files are placeholders; tests/contracts tests the requests that it sends",
    "npm install --save-dev @hey-api": "downloads a client generator; tests/clients runs them",
    "npm install openapi-fetch": "the same",
    "npm ci --prefix athena": "tests/frontends/test_frontends.py runs it",
    "npx playwright": "the same",
    "pip install openapi-": "the same",
    "pip install 'datamodel-": "the same",
    ".venv/bin/athena-conformance run --contract plaid.yml": "a placeholder; tests/contracts tests the option",
    ".venv/bin/athena-conformance accept": "needs a report; tests/conformance/gate/test_accept.py runs it",
    ".venv/bin/athena-contract diff": "the files are placeholders; tests/spec/test_contract_diff.py runs it",
}
# Inline command -> why it does not run here. `make` targets and commands of the suite are tested separately.
NOT_EXECUTED_INLINE: Mapping[str, str] = {
    "apt install python3-venv": "needs root",
    "curl --fail": "an option; tests/test_documents.py sends the requests of the page",
    "curl -c": "the same",
    "pip install '.[conformance]'": "installs packages; tests/test_wheel.py does the same",
    "pip install clients/pytest_athena": "installs a package; tests/pytest_athena builds and uses it",
    "rm -r ~/.cache/athena-mock": "deletes files of the user",
    "rm -r ~/Library/Caches/athena-mock": "deletes files of the user, on macOS",
    "docker build --build-arg EPOCH=2027-01-01T00:00:00Z .": "needs Docker",
    "docker network inspect NAME": "needs Docker",
    "docker compose up": "needs Docker; test_containers.py tests the Compose file",
    "docker compose --profile store up mock-store": "needs Docker",
    "docker compose --profile suite up --exit-code-from suite suite": "needs Docker",
}
SERVER_COMMANDS = ("make mock", ".venv/bin/athena-mock --")  # they run until the page ends
_COMMAND = re.compile(
    r"(make|python3?|athena-mock|athena-conformance|docker|curl|rm|pip|apt|git|sh|\.venv/bin/\S+) \S.*"
)
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=--port )\d{2,}")
_VARIABLE_PARTS = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"conformance-[0-9a-f]{8}"), "conformance-RUN"),
    (re.compile(r"(?<=\.yaml):\d+"), ":LINE"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\d+ (?=checks ran|passed|skipped|of )|(?<=of )\d+"), "N "),  # depends on the data of the day
    (re.compile(r"(?<=meta\.total: got )\d+"), "N"),  # so does this: the records at the time of the failure
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True)
class CommandBlock:
    """A block of commands, and the output that the page shows (empty: none)."""

    commands: str
    shown_output: str

    @property
    def is_server(self) -> bool:
        return self.commands.startswith(SERVER_COMMANDS) and "||" not in self.commands

    @property
    def exit_code(self) -> int:
        """The last `(exit N)` of the shown output; 0 without one."""
        codes = re.findall(r"\(exit (\d)\)", self.shown_output)
        return int(codes[-1]) if codes else 0


def list_blocks(document: str) -> list[CommandBlock]:
    """The `sh` blocks of a page, each with the `text` block that follows it in the same section."""
    sections = re.split(r"^#+ .*\n", read(document), flags=re.MULTILINE)
    return [block for section in sections for block in _list_section_blocks(find_code_blocks(section))]


def _list_section_blocks(blocks: list[tuple[str, str]]) -> Iterator[CommandBlock]:
    following = [*blocks, ("", "")][1:]
    for (language, content), (next_language, output) in zip(blocks, following, strict=False):
        if language == "sh":
            yield CommandBlock(content, output if next_language == "text" else "")


def list_steps(document: str) -> list[CommandBlock]:
    """The blocks of a page that run in its shell."""
    excluded = ("curl", *NOT_EXECUTED)
    return [step for step in list_blocks(document) if not step.commands.startswith(excluded)]


def list_inline_commands() -> list[str]:
    spans = (span for page in PAGES for span in code_spans(without_code_blocks(page)))
    return sorted({" ".join(span.split()) for span in spans if _COMMAND.fullmatch(" ".join(span.split()))})


# Blocks


def build_script(steps: list[CommandBlock]) -> str:
    """A shell script that runs the steps. Step N writes `N.output` and `N.code`."""
    lines = []
    for number, step in enumerate(steps):
        commands = re.sub(r"^make mock$", ".venv/bin/athena-mock", step.commands, flags=re.MULTILINE)
        lines.append(f"{{\n{commands}}} >{number}.output 2>&1 {'&' if step.is_server else ''}")
        wait = f"until grep -qs ^Open {number}.output; do sleep 0.1; done; echo 0 >{number}.code"
        lines.append(wait if step.is_server else f"echo $? >{number}.code")
    return "\n".join(lines) + "\n"


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def with_free_ports(script: str) -> tuple[str, Mapping[str, int]]:
    """Replace every port by a free one. Returns the script and the new ports, also that of port 8000."""
    ports = {port: find_free_port() for port in {*_PORT.findall(script), "8000"}}
    return _PORT.sub(lambda match: str(ports[match[0]]), script), ports


def link_repository(folder: Path) -> None:
    """Link the files of the repository, and the environment of this Python as `.venv`."""
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in ("build", "reports"):
            (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    link_repository(tmp_path)
    return tmp_path


def run_script(script: str, folder: Path) -> None:
    """Run a script, then end everything that it started."""
    text, ports = with_free_ports(script)
    settings = {"ATHENA_MOCK_PORT": str(ports["8000"]), "ATHENA_MOCK_EPOCH": "2026-03-01T00:00:00Z"}
    python = {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"}
    env = build_environment(folder / "cache") | settings | python
    shell = subprocess.Popen(["sh", "-c", text], cwd=folder, env=env, start_new_session=True)
    try:
        shell.wait(timeout=150)
    finally:
        with suppress(ProcessLookupError):  # the script has stopped everything
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def normalize(text: str) -> str:
    """Replace what differs between runs: times, ids, ports, counts, line breaks, and the folder of the repository."""
    text = text.replace(f"{ROOT}/", "")
    for pattern, replacement in _VARIABLE_PARTS:
        text = pattern.sub(replacement, text)
    return text.strip()


def find_missing_lines(shown: str, actual: str) -> list[str]:
    output = normalize(actual)
    return [line for line in shown.splitlines() if normalize(line) not in output]


PAGES_WITH_STEPS = [
    pytest.param(page, marks=pytest.mark.slow if page in SLOW_PAGES else ())
    for page in PAGES
    if any(not step.is_server for step in list_steps(page))
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.skipif(not INSTALLED.exists(), reason="athena-mock is not installed next to this Python")
@pytest.mark.parametrize("page", PAGES_WITH_STEPS)
def test_commands_of_a_page_return_the_documented_output(page: str, folder: Path) -> None:
    steps = list_steps(page)
    run_script(build_script(steps), folder)
    for number, step in enumerate(steps):
        output = (folder / f"{number}.output").read_text(encoding="utf-8")
        code = (folder / f"{number}.code").read_text(encoding="utf-8").strip()
        assert int(code) == step.exit_code, f"{step.commands}\n{output}"
        assert find_missing_lines(step.shown_output, output) == [], output


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_commands_is_found(page: str) -> None:
    blocks = code_blocks(page)
    assert [block.commands for block in list_blocks(page)] == [text for language, text in blocks if language == "sh"]
    assert [text for language, text in blocks if language == "text" and _COMMAND.match(text)] == []


def test_every_exception_occurs_in_a_page() -> None:
    blocks = [step.commands for page in PAGES for step in list_blocks(page)]
    assert [start for start in NOT_EXECUTED if not any(block.startswith(start) for block in blocks)] == []
    assert set(NOT_EXECUTED_INLINE) <= set(list_inline_commands())


def suite_commands_with_placeholders() -> Iterator[str]:
    """Command lines of the suite in blocks that are not executed."""
    for page in PAGES:
        for step in list_blocks(page):
            if step.commands.startswith("export ATHENA_TOKEN=..."):
                yield from (line for line in join_lines(step.commands) if "athena-conformance" in line)


def join_lines(commands: str) -> list[str]:
    return commands.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("command", sorted(set(suite_commands_with_placeholders())))
def test_options_of_a_command_with_a_placeholder_are_valid(command: str) -> None:
    _, *arguments = shlex.split(command, comments=True)
    assert parse_settings(arguments, {}).base_url == "https://staging.example.com/api/v1"


def test_comparison_ignores_times_ports_counts_and_line_breaks() -> None:
    shown = "a 2026-01-01T00:00:00Z\n  b.yaml:12 http://127.0.0.1:8000/x\n2 passed, 1 failed"
    assert (
        find_missing_lines(shown, "a 2027-02-02T01:01:01.5Z b.yaml:7\nhttp://127.0.0.1:99/x\n 3 passed,\n1 failed d")
        == []
    )
    assert find_missing_lines(shown, "a 2026-01-01 c") == [
        "a 2026-01-01T00:00:00Z",
        "  b.yaml:12 http://127.0.0.1:8000/x",
        "2 passed, 1 failed",
    ]


# Commands in sentences and tables

INLINE_COMMANDS = list_inline_commands()
MAKE_COMMANDS = [command for command in INLINE_COMMANDS if command.startswith("make ")]
MODULE_COMMANDS = [command for command in INLINE_COMMANDS if command.startswith("python -m ")]
PROGRAM_COMMANDS = [c for c in INLINE_COMMANDS if c.startswith(("athena-mock ", "athena-conformance "))]


def test_every_inline_command_is_tested_or_excepted() -> None:
    tested = {*MAKE_COMMANDS, *MODULE_COMMANDS, *PROGRAM_COMMANDS, *NOT_EXECUTED_INLINE}
    assert [command for command in INLINE_COMMANDS if command not in tested] == []


@pytest.mark.parametrize("command", MAKE_COMMANDS)
def test_inline_make_command_names_a_target(command: str) -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert command.split()[1] in targets


@pytest.mark.parametrize("command", MODULE_COMMANDS)
def test_inline_module_exists(command: str) -> None:
    """The measurements take minutes; `make nightly` runs most of them."""
    assert importlib.util.find_spec(command.split()[2]) is not None


@pytest.mark.parametrize("command", PROGRAM_COMMANDS)
def test_inline_command_of_a_program_has_a_help_text(command: str, tmp_path: Path) -> None:
    """Runs the program with its subcommand (the first words in lower case) and `--help`."""
    program, *arguments = command.split()
    subcommand = list(takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, arguments))
    options = [word for word in arguments if word.startswith("--")]
    executable = INSTALLED.with_name(program)
    if not executable.exists():
        pytest.skip(f"{program} is not installed next to this Python")
    env = build_environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([executable, *subcommand, "--help"], capture_output=True, text=True, env=env, check=True)
    assert [option for option in options if option not in result.stdout] == []
