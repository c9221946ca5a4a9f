"""Tests of the CI files in `examples/`: structure, valid commands, and the scripts run as the CI systems run them.

`make lint-examples` validates the files against the schemas of both systems.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.cli.commands import EXIT_CODES, parse_settings
from conformance.reporting import REPORT_WRITERS
from conformance.reporting.github import MAX_ANNOTATIONS
from tests.document_texts import code_blocks, read
from tests.mock_process import INSTALLED, MODULE, ROOT, build_environment, run_mock
from tests.test_document_commands import find_free_port, link_repository

CI = "docs/guides/ci.md"
FILES = {path.relative_to(ROOT / "examples").as_posix(): path for path in (ROOT / "examples").glob("git*/*.yml")}
DOCUMENTS: Mapping[str, Any] = {name: yaml.safe_load(path.read_text("utf-8")) for name, path in FILES.items()}
GITHUB_GATE, GITLAB_GATE = DOCUMENTS["github-actions/release-gate.yml"], DOCUMENTS["gitlab-ci/release-gate.yml"]
GITHUB_FRONTEND = DOCUMENTS["github-actions/frontend-tests.yml"]
GITLAB_FRONTEND = DOCUMENTS["gitlab-ci/frontend-tests.yml"]["end-to-end"]
GITHUB_STEPS: list[dict[str, Any]] = GITHUB_GATE["jobs"]["conformance"]["steps"]
CONFORMANCE: dict[str, Any] = GITLAB_GATE["conformance"]
needs_commands = pytest.mark.skipif(not INSTALLED.exists(), reason="athena-mock is not installed next to this Python")


def find_step(start: str) -> dict[str, Any]:
    (step,) = [step for step in GITHUB_STEPS if step.get("name", "").startswith(start)]
    return step


# Documentation and structure


def test_guide_shows_every_file() -> None:
    blocks = [content for language, content in code_blocks(CI) if language == "yaml"]
    assert sorted(blocks) == sorted(path.read_text(encoding="utf-8") for path in FILES.values())
    assert len(FILES) == 4


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("github")])
def test_github_workflow_has_the_required_keys(name: str) -> None:
    workflow = DOCUMENTS[name]
    assert {"name", True, "permissions", "jobs"} <= set(workflow)  # YAML 1.1 reads the key `on` as a boolean
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 20
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
        assert all(re.fullmatch(r"[\w./-]+@v\d+", step.get("uses", "a@v1")) for step in job["steps"])


def test_gates_run_on_changes_and_every_night() -> None:
    assert set(GITHUB_GATE[True]) == {"pull_request", "schedule"}
    assert [rule["if"].split()[-1] for rule in CONFORMANCE["rules"]] == ['"merge_request_event"', '"schedule"']


def test_reports_are_stored_as_artifacts() -> None:
    assert CONFORMANCE["artifacts"]["paths"] == [find_step("Store")["with"]["path"]] == ["reports"]
    named = [CONFORMANCE["artifacts"]["reports"]["junit"], find_step("Upload")["with"]["sarif_file"]]
    assert {Path(name).name for name in named} <= set(REPORT_WRITERS)
    assert GITHUB_GATE["permissions"] == {"contents": "read", "security-events": "write"}


def test_steps_after_the_suite_run_if_it_failed() -> None:
    following = GITHUB_STEPS[GITHUB_STEPS.index(find_step("Check")) + 1 :]
    assert len(following) == 4
    assert [step["name"] for step in following if not step["if"].startswith("always()")] == []
    assert CONFORMANCE["artifacts"]["when"] == "always"


# Options


def read_baseline_options(name: str) -> str:
    """Return the value of the variable BASELINE, which is a comment in a file."""
    (options,) = re.findall("# BASELINE: (.+)", FILES[name].read_text(encoding="utf-8"))
    return str(options)


BASELINE_OPTIONS = read_baseline_options("github-actions/release-gate.yml")


def suite_calls(script: str, baseline_options: str = "") -> list[list[str]]:
    """The arguments of each call of the suite, with the variables of the shell replaced."""
    variables = {'"$STAGING"': "https://a.test/api", '"$STAGING_HOST"': "a.test", "${BASELINE-}": baseline_options}
    joined = script.replace("\\\n", " ")
    for variable, value in variables.items():
        joined = joined.replace(variable, value)
    return [call.split("||")[0].split() for call in re.findall(r"athena-conformance (.*)", joined)]


@pytest.mark.parametrize(
    "script",
    [
        *(step["run"] for step in GITHUB_STEPS if "athena-conformance" in step.get("run", "")),
        *CONFORMANCE["script"],
        *CONFORMANCE["after_script"],
    ],
)
def test_options_of_a_workflow_are_valid(script: str) -> None:
    (arguments,) = suite_calls(script)
    assert parse_settings(arguments, {}).allow_writes_to == ("a.test",)


def test_baseline_and_ratchet_are_optional() -> None:
    """A first run has neither file."""
    assert read_baseline_options("gitlab-ci/release-gate.yml") == BASELINE_OPTIONS
    for script in (find_step("Check")["run"], *CONFORMANCE["script"]):
        settings, first_run = (
            parse_settings(suite_calls(script, options)[0], {}) for options in (BASELINE_OPTIONS, "")
        )
        assert (str(settings.baseline), str(settings.ratchet)) == ("baseline.yaml", "ratchet.yaml")
        assert (first_run.baseline, first_run.ratchet) == (None, None)


def test_jobs_install_what_they_need_only() -> None:
    text = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
    targets = {name: re.findall("make -C athena-contract (.+)", content) for name, content in text.items()}
    assert targets == {
        "github-actions/frontend-tests.yml": ["install-mock"],
        "github-actions/release-gate.yml": ["install-conformance"],
        "gitlab-ci/frontend-tests.yml": [],
        "gitlab-ci/release-gate.yml": ["install-conformance"],
    }


# Exit codes


@pytest.fixture
def fake_suite(tmp_path: Path) -> Path:
    """The path of the suite in the folder of a job; tests write a script to it."""
    command = tmp_path / "athena-contract" / ".venv" / "bin" / "athena-conformance"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    return command


def run_step(step: Mapping[str, Any], folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the script of a step of GitHub Actions as its default shell does, with the files that a runner provides."""
    script = folder / "step.sh"
    script.write_text(step["run"], encoding="utf-8")
    files = {name: str(folder / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    return subprocess.run(
        ["bash", "-e", str(script)],
        cwd=folder,
        env=os.environ | files | env,
        capture_output=True,
        text=True,
        timeout=300,
    )


def run_gate(command: Path, suite_code: int) -> tuple[int, int, str]:
    """Run a gate whose suite ends with `suite_code`. Returns exit code, number of calls, and the explanation."""
    command.write_text(f"#!/bin/sh\necho call >>calls\nexit {suite_code}\n", encoding="utf-8")
    folder = command.parents[3]
    check = run_step(find_step("Check"), folder, STAGING="https://a.test/api", STAGING_HOST="a.test")
    (output,) = (folder / "github_output").read_text(encoding="utf-8").splitlines()
    assert output == f"exit-code={suite_code}"
    explain = run_step(find_step("Explain"), folder, EXIT_CODE=output.partition("=")[2])
    assert explain.returncode == 0
    return check.returncode, len((folder / "calls").read_text(encoding="utf-8").splitlines()), explain.stdout


def documented_job_result(code: int) -> str:
    (row,) = re.findall(rf"^\| `{code}` \| [^|]+ \| ([^|]+) \|", read(CI), re.MULTILINE)
    return str(row).strip()


@pytest.mark.parametrize("code", EXIT_CODES)
def test_github_job_handles_exit_code_as_documented(fake_suite: Path, code: int) -> None:
    job_code, calls, explanation = run_gate(fake_suite, code)
    result = documented_job_result(code)
    assert job_code == (0 if result.startswith("passes") else code)
    assert explanation.count("::warning") == ("warning" in result)
    assert explanation.count("::error") == result.endswith("fails")
    assert calls == (2 if result.startswith("runs again once") else 1)


def test_github_step_of_the_suite_adds_no_annotations() -> None:
    """The suite may use all that GitHub shows of a step."""
    assert "::" not in find_step("Check")["run"]
    assert "--github" in find_step("Check")["run"]
    assert MAX_ANNOTATIONS == 10


@pytest.mark.parametrize("code", EXIT_CODES)
def test_gitlab_job_handles_exit_code_as_documented(code: int) -> None:
    result = documented_job_result(code)
    assert (code in CONFORMANCE["allow_failure"]["exit_codes"]) == ("warning" in result)
    assert (code in CONFORMANCE["retry"]["exit_codes"]) == result.startswith("runs again once")
    assert CONFORMANCE["retry"]["max"] == 1


# Complete jobs


@pytest.fixture
def job_folder(tmp_path: Path) -> Path:
    """The folder of a job, with a checkout of this repository as the jobs expect it."""
    folder = tmp_path / "job"
    (folder / "athena-contract").mkdir(parents=True)
    link_repository(folder / "athena-contract")
    return folder


@pytest.fixture(scope="module")
def mock_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running mock."""
    env = build_environment(tmp_path_factory.mktemp("cache"))
    with run_mock((*MODULE, "--port", "0", "--epoch", "2026-03-01T00:00:00Z"), env) as (_, banner):
        yield banner.split()[0]


def shorten(script: str) -> str:
    """Limit a run to the checks of one operation."""
    limited = script.replace("--profile gate", "--operation listAgents --no-fuzzing")
    assert ("athena-conformance run" in script) == (limited != script)
    return limited


TOKENS = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}


def write_baselines(folder: Path) -> None:
    (folder / "baseline.yaml").write_text("version: 1\naccepted: []\n", encoding="utf-8")
    (folder / "ratchet.yaml").write_text("version: 1\npassed: {}\n", encoding="utf-8")


def is_enabled(step: Mapping[str, Any], folder: Path) -> bool:
    """Whether the files exist that the condition of a step requires."""
    return all((folder / name).exists() for name in re.findall(r"hashFiles\('([^']+)'\)", step.get("if", "")))


@needs_commands
@pytest.mark.slow
def test_github_gate_writes_reports_summary_and_annotations(job_folder: Path, mock_url: str) -> None:
    write_baselines(job_folder)
    env = TOKENS | {"STAGING": mock_url, "STAGING_HOST": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    env["BASELINE"] = BASELINE_OPTIONS
    check = find_step("Check")
    result = run_step(check | {"run": shorten(check["run"])}, job_folder, **env)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (job_folder / "github_output").read_text(encoding="utf-8") == "exit-code=0\n"
    assert re.search("^::notice title=athena-conformance::", result.stdout, re.MULTILINE)
    delete = find_step("Delete")
    assert is_enabled(delete, job_folder)
    assert run_step(delete, job_folder, **env).returncode == 0
    summary = (job_folder / "github_step_summary").read_text(encoding="utf-8")
    assert summary == (job_folder / "reports" / "conformance.md").read_text(encoding="utf-8")
    assert is_enabled(find_step("Upload"), job_folder)
    assert {path.name for path in (job_folder / "reports").iterdir()} >= {*REPORT_WRITERS}


def test_steps_that_need_a_report_are_skipped_without_one(tmp_path: Path) -> None:
    skipped = [step["name"].split()[0] for step in GITHUB_STEPS if not is_enabled(step, tmp_path)]
    assert skipped == ["Delete", "Upload"]


def run_gitlab(lines: list[str], folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the lines of a script as the GitLab runner does: in one shell that stops at the first error."""
    script = "set -eo pipefail\n" + "\n".join(lines)
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=os.environ | env, capture_output=True, text=True, timeout=300
    )


@needs_commands
@pytest.mark.slow
def test_gitlab_gate_writes_the_junit_report(job_folder: Path, mock_url: str) -> None:
    env = TOKENS | {"STAGING": mock_url, "STAGING_HOST": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    assert run_gitlab(CONFORMANCE["after_script"], job_folder, **env).returncode == 0  # without a log of writes
    result = run_gitlab([shorten(line) for line in CONFORMANCE["script"]], job_folder, **env)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (job_folder / CONFORMANCE["artifacts"]["reports"]["junit"]).exists()
    assert run_gitlab(CONFORMANCE["after_script"], job_folder, **env).returncode == 0


NPM = """#!/bin/sh
echo "npm $1" >>calls
[ "$1" = ci ] || exec curl --silent --fail --header 'Authorization: Bearer demo-token' "$API_BASE_URL/agents"
"""


@pytest.fixture
def npm(tmp_path: Path) -> str:
    """A search path with an npm whose tests send a request to the API."""
    command = tmp_path / "bin" / "npm"
    command.parent.mkdir()
    command.write_text(NPM, encoding="utf-8")
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


def with_port(text: str, port: int) -> str:
    return text.replace(":8000", f":{port}")


@contextmanager
def process_group() -> Iterator[list[int]]:
    """Yield a list of process groups, which are killed at the end."""
    groups: list[int] = []
    try:
        yield groups
    finally:
        for group in groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.mark.slow
@needs_commands
@pytest.mark.skipif(sys.platform == "win32", reason="process groups are not available there")
def test_github_job_with_the_mock_as_a_step_runs_the_tests(job_folder: Path, npm: str, tmp_path: Path) -> None:
    job, port = GITHUB_FRONTEND["jobs"]["mock-as-step"], find_free_port()
    scripts = [step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("make ")]
    variables = {name: with_port(value, port) for name, value in job["env"].items()}
    env = build_environment(tmp_path / "cache") | variables | {"PATH": npm, "ATHENA_MOCK_PORT": str(port)}
    script = with_port("\n".join(scripts), port)
    log = tmp_path / "log"
    with log.open("wb") as stream, process_group() as groups:
        shell = subprocess.Popen(
            ["bash", "-e", "-c", script],
            cwd=job_folder,
            env=env | {"PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        groups.append(shell.pid)
        code = shell.wait(timeout=120)
    output = log.read_text(encoding="utf-8")
    assert code == 0, output
    assert (job_folder / "calls").read_text(encoding="utf-8").splitlines() == ["npm ci", "npm test"]
    assert '"data"' in output
    assert "Open" in (job_folder / "mock.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_github_job_with_the_mock_as_a_service_runs_the_tests(job_folder: Path, npm: str, mock_url: str) -> None:
    job = GITHUB_FRONTEND["jobs"]["mock-as-service"]
    (service,) = job["services"].values()
    assert service["ports"] == ["8000:8000"]
    (step,) = [step for step in job["steps"] if "run" in step]
    variables = {name: value.replace("http://localhost:8000/api/v1", mock_url) for name, value in job["env"].items()}
    result = run_step(step, job_folder, **variables, PATH=npm)
    assert (result.returncode, '"data"' in result.stdout) == (0, True), result.stderr


def test_gitlab_job_with_the_mock_as_a_service_runs_the_tests(job_folder: Path, npm: str, mock_url: str) -> None:
    (service,) = GITLAB_FRONTEND["services"]
    address = f"http://{service['alias']}:8000"
    variables = {
        name: value.replace(f"{address}/api/v1", mock_url) for name, value in GITLAB_FRONTEND["variables"].items()
    }
    origin = mock_url.removesuffix("/api/v1")
    lines = [line.replace(address, origin) for line in (*GITLAB_FRONTEND["before_script"], *GITLAB_FRONTEND["script"])]
    assert variables["API_BASE_URL"] == mock_url
    result = run_gitlab(lines, job_folder, **variables, PATH=npm)
    assert (result.returncode, '"data"' in result.stdout) == (0, True), result.stderr
