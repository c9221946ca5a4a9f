"""What a run leaves behind when its output or its files cannot be written, or it is interrupted."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conformance.errors import UsageError
from conformance.files import write_text
from conformance.gate.verdict import ExitCode
from tests.conformance.support.http_target import GOOD, STUBBED, run_command, run_http_target, start
from tests.mock_process import MODULE, ROOT, build_environment, run_mock

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX files and signals")

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_")} | {
    "PYTHONPATH": str(ROOT),
    "ATHENA_TOKEN": "demo-token",
}


def test_report_is_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report"
    write_text("--report-dir", path, "first")
    write_text("--report-dir", path, "second \ud800")
    assert path.read_text() == "second \\ud800"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="--report-dir: cannot write"):
        write_text("--report-dir", tmp_path / "missing" / "report", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="--report-dir: cannot write"):
        write_text("--report-dir", tmp_path / "folder", "text")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "report"]


@pytest.mark.slow
@pytest.mark.parametrize("output", ["| head -c 1", ">&-", ">&- 2>&-", "2>&-", ">/dev/full", ">/dev/full 2>/dev/full"])
def test_output_that_cannot_be_written_does_not_change_the_exit_code(output: str, tmp_path: Path) -> None:
    if "/dev/full" in output and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "suite.py").write_text(STUBBED)
    with run_http_target(GOOD) as base:
        command = f"'{sys.executable}' '{tmp_path}/suite.py' run --base-url {base} --read-only --operation listAgents"
        command += f" --report-dir '{tmp_path}/reports' {output}"
        script = f"set -o pipefail; {command}; echo code $? >'{tmp_path}/code'"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert (tmp_path / "code").read_text() == "code 0\n", done.stderr
    assert (tmp_path / "reports" / "conformance.json").exists()


@pytest.mark.parametrize("options", [(), ("--github",)])
@pytest.mark.slow
def test_last_line_has_the_exit_code_if_the_reports_cannot_be_written(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "conformance.json").mkdir()
    with run_http_target(GOOD) as base:
        arguments = ("--base-url", base, "--read-only", "--operation", "listAgents", "--report-dir", str(tmp_path))
        with start("run", *arguments, *options) as process:
            output, error = process.communicate(timeout=60)
    assert process.returncode == ExitCode.USAGE
    assert error.startswith("athena-conformance: --report-dir: cannot write")
    assert "REPORTS NOT WRITTEN (exit 2): --report-dir: cannot write" in output.splitlines()[-1]
    assert "checks: PASSED" in output.splitlines()[-1]
    assert "exit 0" not in output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_write_log_on_a_full_disk_is_a_usage_error() -> None:
    exit_code, output = run_command(
        "run", "--base-url", "http://127.0.0.1:1", "--operation", "listAgents", "--write-log", "/dev/full"
    )
    assert exit_code == ExitCode.USAGE
    assert "--write-log: cannot write /dev/full: No space left on device" in output
    assert len(output.splitlines()) == 1


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a mock."""
    command = (*MODULE, "--port", "0", "--quiet")
    with run_mock(command, build_environment(tmp_path_factory.mktemp("cache"))) as (_, banner):
        url = next(word for word in banner.split() if word.startswith("http://127.0.0.1:"))
        yield f"http://{httpx.URL(url).netloc.decode()}/api/v1"


def list_prompts(base: str) -> set[str]:
    """The keys of all prompts."""
    headers = {"Authorization": "Bearer demo-token"}
    response = httpx.get(f"{base}/prompts", headers=headers, params={"per_page": 100}, trust_env=False)
    return {prompt["uuid"] for prompt in response.json()["data"]}


@pytest.mark.slow
@pytest.mark.parametrize(("count", "pause"), [(1, 0.0), (2, 0.05), (2, 0.5), (3, 0.1), (50, 0.02)])
def test_interrupted_run_deletes_or_names_what_it_created(mock: str, tmp_path: Path, count: int, pause: float) -> None:
    log, before = tmp_path / "write-log.jsonl", list_prompts(mock)
    command = [sys.executable, "-m", "conformance", "run", "--base-url", mock, "--write-log", str(log)]
    command += ["--operation", "listPrompts,createPrompt,retrievePrompt,deletePrompt", "--no-fuzzing"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT, cwd=ROOT) as process:
        while not (log.exists() and log.read_bytes().count(b'"created"') > 10) and process.poll() is None:
            time.sleep(0.01)

        def interrupt() -> None:
            for number in range(count):
                if process.poll() is None:
                    process.send_signal((signal.SIGINT, signal.SIGTERM)[number % 2])
                time.sleep(pause)

        threading.Thread(target=interrupt).start()
        output, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert process.returncode == ExitCode.INCOMPLETE, output + errors
    left = list_prompts(mock) - before
    named = re.findall(r"records not deleted from the target: (.*)", output)
    assert not left or named, output
    assert subprocess.run(
        [sys.executable, "-m", "conformance", "cleanup", str(log)], capture_output=True, env=ENVIRONMENT, cwd=ROOT
    ).returncode in (ExitCode.PASSED, ExitCode.INCOMPLETE)
    assert list_prompts(mock) == before
