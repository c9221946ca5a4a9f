"""Runs pytest with the installed plugin in a separate process, on test files that each test writes."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.document_texts import code_blocks, code_spans, without_code_blocks
from tests.mock_process import INSTALLED, MODULE, ROOT, build_environment, run_mock
from tests.test_wheel import build

SOURCE = ROOT / "clients" / "pytest_athena"
GUIDE = "docs/guides/pytest.md"
COMMAND = " ".join(MODULE)
WORKERS = pytest.mark.parametrize(
    "workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)], ids=["one process", "xdist"]
)
REQUESTS = """
import json
import os
import pytest
import urllib.request


def request(sandbox, method, path, body=None):
    headers = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(sandbox.base_url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def list_names(sandbox):
    return [agent["name"] for agent in request(sandbox, "GET", "/agents")["data"]]
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the installed plugin and a cache of datasets."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(SOURCE, folder / "source")
    wheel = build("build_wheel", folder / "source", folder / "wheel")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return build_environment(folder / "cache") | {"PYTHONPATH": os.pathsep.join((str(folder / "installed"), str(ROOT)))}


def run_pytest(
    folder: Path, env: Mapping[str, str], content: str, *arguments: str, command: str = COMMAND
) -> "subprocess.CompletedProcess[str]":
    (folder / "test_it.py").write_text(REQUESTS + content)
    (folder / "pytest.ini").write_text(f"[pytest]\nathena_mock_command = {command}\n")
    options = ("-q", "-p", "no:cacheprovider", "--strict-markers", *arguments)
    variables = {**env, "FOLDER": str(folder)}
    return subprocess.run(
        (sys.executable, "-m", "pytest", *options),
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


ISOLATED = """
@pytest.mark.athena(dataset="empty", epoch="2026-03-01T09:00:00Z")
@pytest.mark.parametrize("number", range({tests}))
def test_isolation(athena_sandbox, athena_mock, number):
    open(os.environ["FOLDER"] + f"/mock-{{athena_mock.url.rpartition(':')[2]}}", "a").close()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    open(os.environ["FOLDER"] + f"/worker-{{worker}}", "a").close()
    assert list_names(athena_sandbox) == []
    athena_sandbox.create_records({{"Agent": [{{"name": f"Created {{number}}"}}]}})
    created = request(athena_sandbox, "POST", "/agents", {{"name": f"Sent {{number}}"}})["data"]
    assert sorted(list_names(athena_sandbox)) == [f"Created {{number}}", f"Sent {{number}}"]
    assert created["created_at"].startswith("2026-03-01T09:00:")
    changes = athena_sandbox.list_changes()
    assert [change["record"]["name"] for change in changes["created"]] == [f"Created {{number}}", f"Sent {{number}}"]
"""


@pytest.mark.slow
def test_tests_of_a_session_share_a_mock_and_have_their_own_sandboxes(tmp_path: Path, env: Mapping[str, str]) -> None:
    result = run_pytest(tmp_path, env, ISOLATED.format(tests=3))
    assert "3 passed" in result.stdout, result.stdout + result.stderr
    assert len(list(tmp_path.glob("mock-*"))) == 1


@pytest.mark.slow
def test_200_tests_on_four_workers_share_a_mock(tmp_path: Path, env: Mapping[str, str]) -> None:
    result = run_pytest(tmp_path, env, ISOLATED.format(tests=200), "-n", "4")
    assert "200 passed" in result.stdout, result.stdout + result.stderr
    assert len(list(tmp_path.glob("mock-*"))) == 1
    assert len(list(tmp_path.glob("worker-gw*"))) == 4


@pytest.mark.slow
@WORKERS
def test_mock_is_stopped_at_the_end(tmp_path: Path, env: Mapping[str, str], workers: tuple[str, ...]) -> None:
    content = """
def test_url(athena_mock):
    with open(os.environ["FOLDER"] + "/url", "w") as file:
        file.write(athena_mock.url)
"""
    assert run_pytest(tmp_path, env, content, *workers).returncode == 0
    url = (tmp_path / "url").read_text()
    result = run_pytest(tmp_path, env, "def test_it(athena_sandbox): ...", "--athena-mock-url", url)
    assert f"ConnectionError: PUT {url}/__mock/api/sandboxes/" in result.stdout
    assert "the mock cannot be reached" in result.stdout


@pytest.mark.slow
def test_running_mock_is_used_by_all_workers(tmp_path: Path, env: Mapping[str, str]) -> None:
    with run_mock((*MODULE, "--port", "0"), env) as (_, banner):
        url = banner.split("/api/", 1)[0]
        content = f"def test_it(athena_mock, athena_sandbox): assert athena_mock.url == {url!r}"
        result = run_pytest(tmp_path, env, content, "-n", "2", "--athena-mock-url", url, command="no-such-command")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_rules_clock_and_snapshots(tmp_path: Path, env: Mapping[str, str]) -> None:
    content = """
@pytest.mark.athena(dataset="empty", epoch="2026-03-01T09:00:00Z")
def test_control(athena_sandbox):
    athena_sandbox.add_rule({"status": 503}, match={"operation": "listAgents"}, times=1)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        list_names(athena_sandbox)
    athena_sandbox.set_clock(now="2026-03-01T10:00:00Z", frozen=True)
    assert athena_sandbox.advance_clock(60)["now"] == "2026-03-01T10:01:00.000000Z"
    synchronized = athena_sandbox.synchronize_clock()
    assert (synchronized["frozen"], synchronized["speed"]) == (False, 1)
    assert synchronized["now"] != "2026-03-01T10:01:00.000000Z"
    athena_sandbox.save_snapshot("before")
    athena_sandbox.create_records({"Agent": [{"name": "Alpha"}]})
    athena_sandbox.restore_snapshot("before")
    assert list_names(athena_sandbox) == []
    athena_sandbox.create_records({"Agent": [{"name": "Alpha"}]})
    athena_sandbox.reset()
    assert list_names(athena_sandbox) == []
"""
    result = run_pytest(tmp_path, env, content)
    assert result.returncode == 0, result.stdout + result.stderr


def test_guide_lists_the_members_of_a_sandbox() -> None:
    source = (SOURCE / "src" / "pytest_athena" / "client.py").read_text(encoding="utf-8")
    members = set(re.findall(r"^    def ([a-z]\w+)", source.partition("class AthenaSandbox:")[2], re.MULTILINE))
    documented = {match[0] for span in code_spans(without_code_blocks(GUIDE)) if (match := re.match(r"\w+", span))}
    assert "create_records" in members
    assert members - documented == set()


@pytest.mark.slow
@pytest.mark.parametrize("document", [GUIDE, "clients/pytest_athena/README.md"])
def test_example_of_a_document_passes(tmp_path: Path, env: Mapping[str, str], document: str) -> None:
    (example,) = (content for language, content in code_blocks(document) if language == "python")
    result = run_pytest(tmp_path, env, example)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_ready_made_rule_is_added_listed_and_deleted(tmp_path: Path, env: Mapping[str, str]) -> None:
    content = """
def test_preset(athena_sandbox):
    rule = athena_sandbox.add_rule(preset="token-expires")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        list_names(athena_sandbox)
    assert [(each["name"], each["hits"]) for each in athena_sandbox.list_rules()] == [(rule["name"], 1)]
    athena_sandbox.delete_rule(rule["name"])
    assert list_names(athena_sandbox)
    athena_sandbox.add_rule({"status": 503})
    athena_sandbox.delete_rule()
    assert athena_sandbox.list_rules() == []
"""
    result = run_pytest(tmp_path, env, content)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_requests_are_exported_and_deleted(tmp_path: Path, env: Mapping[str, str]) -> None:
    content = """
def test_requests(athena_sandbox):
    list_names(athena_sandbox)
    (entry,) = athena_sandbox.export_har()["log"]["entries"]
    assert entry["request"]["url"].endswith("/agents")
    athena_sandbox.delete_requests()
    assert athena_sandbox.find_requests() == []
    assert athena_sandbox.get_clock()["frozen"] is False
"""
    result = run_pytest(tmp_path, env, content)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_report_of_a_failed_test_shows_its_requests(tmp_path: Path, env: Mapping[str, str]) -> None:
    content = """
def test_it(athena_sandbox):
    request(athena_sandbox, "POST", "/agents?colour=red", {"name": "Alpha", "size": 3})
    athena_sandbox.verify_requests(operation="createAgent", count=1)
    assert athena_sandbox.find_requests(operation="createAgent", status=201)
    athena_sandbox.verify_requests(operation="createAgent", body={"name": "Beta"})
"""
    result = run_pytest(tmp_path, env, content)
    assert "requests/verify: got 409: Expected at least 1 request, got 0." in result.stdout, result.stdout
    assert "body.name: expected 'Beta', received 'Alpha'." in result.stdout
    section = result.stdout.partition("- Requests to the Athena mock -")[2]
    assert "POST /agents?colour=red: 201\n" in section
    assert "  unknown-parameter query.colour: " in section
    assert "  unknown-field body.size: " in section


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "unexpected"), [('"empty"', "'empty'"), ('data="empty"', "data")])
def test_unexpected_argument_of_the_marker_is_an_error(
    tmp_path: Path, env: Mapping[str, str], arguments: str, unexpected: str
) -> None:
    content = f"@pytest.mark.athena({arguments})\ndef test_it(athena_sandbox): ..."
    result = run_pytest(tmp_path, env, content)
    assert result.returncode != 0
    assert f"test_it.py::test_it: @pytest.mark.athena: unexpected {unexpected} (expected the keyword" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.slow
def test_rejected_request_names_its_locations(tmp_path: Path, env: Mapping[str, str]) -> None:
    content = 'def test_it(athena_sandbox): athena_sandbox.create_records({"Agnt": [{}]})'
    result = run_pytest(tmp_path, env, content)
    assert result.returncode == 1
    assert "records: got 422" in result.stdout
    summary = result.stdout.partition("short test summary info")[0]
    lines = [line for line in summary.splitlines() if "no resource of this name" in line]
    assert [line.removeprefix("E").strip().partition(":")[0] for line in lines] == ["Agnt"]


@pytest.mark.slow
@WORKERS
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-command", "no-such-command: cannot be started"),
        (f"{COMMAND} --dataset none", "exit code 2: "),
    ],
)
def test_mock_that_does_not_start_is_an_error_with_its_reason(
    tmp_path: Path, env: Mapping[str, str], workers: tuple[str, ...], command: str, message: str
) -> None:
    result = run_pytest(tmp_path, env, "def test_it(athena_mock): ...", *workers, command=command)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "INTERNALERROR" not in result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED.exists(), reason="athena-mock is not installed next to this Python")
def test_command_of_the_environment_is_found(tmp_path: Path, env: Mapping[str, str]) -> None:
    result = run_pytest(tmp_path, env, "def test_it(athena_sandbox): assert list_names(athena_sandbox)", command="")
    assert result.returncode == 0, result.stdout + result.stderr
