"""Whole runs on targets that violate HTTP, JSON or common sense: bounded, without internal errors, never passed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from conformance.gate.verdict import ExitCode
from tests.conformance.support.sick_target import LEGAL, SICK, SickTarget, run_sick_target
from tests.mock_process import MODULE, ROOT, build_environment, run_mock

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="needs wait4")]

BASE_PATH, SICK_PATH = "/api/v1", "/api/v1/prompts"
OPERATIONS = "listPrompts,createPrompt,retrievePrompt,deletePrompt"
MAX_MIB = 500
MAX_TIME = 6
OPTIONS = ("--operation", OPERATIONS, "--profile", "smoke", "--max-time", str(MAX_TIME), "--consistency-timeout", "0")
MAX_SECONDS = 3 * MAX_TIME + 30 + 10  # the run, its cleanup, start and reports


@dataclass(frozen=True)
class Run:
    """A finished run of the command."""

    exit_code: int
    output: str
    seconds: float
    mebibytes: float


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host and port of a mock."""
    command = (*MODULE, "--port", "0", "--quiet")
    with run_mock(command, build_environment(tmp_path_factory.mktemp("cache"))) as (_, banner):
        url = next(word for word in banner.split() if word.startswith("http://127.0.0.1:"))
        yield httpx.URL(url).netloc.decode()


def run_suite(base: str, folder: Path, *options: str) -> Run:
    """Run the command; its peak memory is that of the process."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_")}
    env |= {"ATHENA_TOKEN": "demo-token", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "conformance", "run", "--base-url", base, *OPTIONS, *options]
    start = time.monotonic()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    text = (folder / "output").read_text(errors="replace")
    return Run(process.returncode, text, time.monotonic() - start, usage.ru_maxrss * unit / 2**20)


def list_prompts(mock: str) -> list[str]:
    """The keys of all prompts on the mock."""
    headers = {"Authorization": "Bearer demo-token"}
    response = httpx.get(f"http://{mock}{SICK_PATH}", headers=headers, params={"per_page": 100}, trust_env=False)
    return sorted(prompt["uuid"] for prompt in response.json()["data"])


def assert_bounded(run: Run) -> None:
    """The run kept its limits and ended without an internal error."""
    for text in ("internal error", "Traceback"):
        assert text not in run.output, run.output
    assert run.mebibytes < MAX_MIB, run.output
    assert run.seconds < MAX_SECONDS, run.output


@pytest.mark.parametrize("name", SICK)
def test_sick_list_does_not_pass(name: str, mock: str, tmp_path: Path) -> None:
    before = list_prompts(mock)
    with run_sick_target(SickTarget(mock, SICK_PATH, SICK[name])) as address:
        run = run_suite(address + BASE_PATH, tmp_path, "--timeout", "0.7")
    assert_bounded(run)
    assert run.exit_code in (ExitCode.FAILED, ExitCode.TARGET_UNREACHABLE, ExitCode.INCOMPLETE), run.output
    left = set(list_prompts(mock)) - set(before)
    assert not left or all(key in run.output for key in left), run.output


@pytest.mark.parametrize("name", LEGAL)
def test_legal_list_passes(name: str, mock: str, tmp_path: Path) -> None:
    before = list_prompts(mock)
    with run_sick_target(SickTarget(mock, SICK_PATH, transform=LEGAL[name])) as address:
        run = run_suite(address + BASE_PATH, tmp_path, "--timeout", "10", "--max-time", "300")
    assert "internal error" not in run.output
    assert run.mebibytes < MAX_MIB
    assert run.exit_code == ExitCode.PASSED, run.output
    assert list_prompts(mock) == before
