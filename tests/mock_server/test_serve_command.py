"""The serve command on our contract: its banner, the commands printed in it, and file stores."""

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mock_server.sandbox.sandbox import BUILTIN_TOKENS
from tests.mock_process import MODULE, ROOT, build_environment, run_mock
from tests.mock_server.athena import athena_contract
from tests.mock_server.test_command import without_notes

EPOCH = ("--epoch", "2026-03-01T00:00:00Z")
SERVE = (*MODULE, "--port", "0", *EPOCH)


@pytest.fixture(scope="module")
def process_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of all processes: one cache folder, so that the dataset is built once."""
    return build_environment(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def banner(process_environment: dict[str, str]) -> Iterator[str]:
    """The startup banner of a running mock."""
    with run_mock(SERVE, process_environment) as (_, banner):
        yield banner


def get_base_url(banner: str) -> str:
    """Return the base URL of the API."""
    return banner.split()[0]


def get_origin(base_url: str) -> str:
    return base_url.removesuffix("/api/v1")


def send_request(url: str, body: Any = None) -> Any:
    """Return the JSON of a response to the first user."""
    headers = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as response:
        return json.load(response)


def run_command(process_environment: dict[str, str], *options: str) -> tuple[int, str, str]:
    """Return exit status, output and errors of a command that does not serve."""
    command = (*SERVE, *options)
    completed = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=process_environment, timeout=60, check=False
    )
    return completed.returncode, completed.stdout, completed.stderr


def run_shell_line(line: str) -> tuple[int, Any]:
    """Run a curl command as printed and return status and JSON."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    command = re.sub(r"^\s*curl ", "curl -s -w '\\\\n%{http_code}' ", line)
    completed = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=20, check=True)
    body, _, status = completed.stdout.rpartition("\n")
    return int(status), json.loads(body)


# The banner ---------------------------------------------------------------------------------------------------------


def test_banner_starts_with_the_base_url(banner: str) -> None:
    assert re.match(r"http://127\.0\.0\.1:\d+/api/v1  Athena API \S+\n", banner)
    assert send_request(get_base_url(banner) + "/user")["data"]["id"] == 123


def test_banner_shows_the_number_of_records(banner: str) -> None:
    operations, records = re.findall(r"^(\d+) operations, (\d+) records", banner, re.MULTILINE)[0]
    assert int(operations) == len(athena_contract().operations)
    health = send_request(re.findall(r"http\S+/health", banner)[0])
    assert int(records) == sum(health["records"].values()) > 500


def test_banner_lists_every_token(banner: str) -> None:
    assert re.findall(r"^  (\S+-token) ", banner, re.MULTILINE) == [*BUILTIN_TOKENS]


def test_curl_command_of_the_banner_works(banner: str) -> None:
    line = next(line for line in banner.splitlines() if line.startswith("  curl") and "# 422" not in line)
    status, answer = run_shell_line(line)
    assert status == 200
    assert answer["data"]["uuid"] in line


def test_second_curl_command_returns_422(banner: str) -> None:
    line = next(line for line in banner.splitlines() if line.endswith("# 422"))
    status, answer = run_shell_line(line)
    assert status == 422
    assert set(answer) == {"message", "errors"}


def test_error_is_one_line_in_the_request_log(process_environment: dict[str, str]) -> None:
    with run_mock(SERVE, process_environment) as (mock, banner):
        with pytest.raises(urllib.error.HTTPError):
            send_request(get_base_url(banner) + "/agnets")
        mock.send_signal(signal.SIGTERM)
        _, errors = mock.communicate(timeout=20)
    assert re.fullmatch(r"404 GET /api/v1/agnets - route-not-found: .*/agents.*\n", errors)


# Pictures of the documented records -----------------------------------------------------------------------------------


def test_documented_user_has_a_picture_that_the_mock_serves(banner: str) -> None:
    base_url = get_base_url(banner)
    url = send_request(base_url + "/user")["data"]["profile_photo_url"]
    assert url == get_origin(base_url) + "/storage/users/123.svg"
    with urllib.request.urlopen(url, timeout=10) as response:
        assert (response.status, response.headers["content-type"]) == (200, "image/svg+xml")


@pytest.mark.slow
def test_documented_user_has_the_documented_picture_on_request(process_environment: dict[str, str]) -> None:
    with run_mock(SERVE, process_environment | {"ATHENA_MOCK_DOCUMENTED_URLS": "1"}) as (_, banner):
        user = send_request(get_base_url(banner) + "/user")["data"]
    assert user["profile_photo_url"] == "https://example.com/storage/photos/user-123.jpg"


# Exit codes and startup errors --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signal_exits_with_0_without_output(process_environment: dict[str, str], stop_signal: signal.Signals) -> None:
    with run_mock(SERVE, process_environment) as (mock, _):
        mock.send_signal(stop_signal)
        assert without_notes(mock.communicate(timeout=20)[1]) == ""
        assert mock.returncode == 0


def test_port_in_use_exits_with_1(process_environment: dict[str, str], banner: str) -> None:
    port = re.findall(r":(\d+)/", banner)[0]
    status, _, errors = run_command(process_environment, "--port", port)
    assert status == 1
    assert f"Port {port}" in errors
    assert "in use" in errors


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        (("--dataset", "no-such"), "demo"),
        (("--nonsense",), "No such option"),
        (("--store", "postgres://x"), "sqlite:///"),
        (("--size", "none"), "a number greater than 0"),
    ],
)
def test_invalid_option_exits_with_2_and_shows_expected_values(
    process_environment: dict[str, str], options: tuple[str, ...], allowed: str
) -> None:
    status, output, errors = run_command(process_environment, *options)
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert allowed in errors


# File stores --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_file_store_survives_a_restart(process_environment: dict[str, str], tmp_path: Path) -> None:
    command = (*SERVE, "--store", f"sqlite:///{tmp_path}/mock.db")
    with run_mock(command, process_environment) as (mock, banner):
        old_url = get_base_url(banner)
        created = send_request(old_url + "/threads", {"name": "Still here"})["data"]
        mock.send_signal(signal.SIGTERM)
        mock.communicate(timeout=20)
    with run_mock(command, process_environment) as (_, banner):
        url = get_base_url(banner)
        expected = json.loads(json.dumps(created).replace(get_origin(old_url), get_origin(url)))  # in URLs of pictures
        assert send_request(f"{url}/threads/{created['uuid']}")["data"] == expected
        assert send_request(get_base_url(banner) + "/threads", {})["data"]["uuid"] != created["uuid"]


@pytest.mark.slow
def test_file_of_another_seed_is_rejected_with_advice(process_environment: dict[str, str], tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/mock.db", "--dataset", "empty")
    with run_mock((*SERVE, *store), process_environment) as (mock, _):
        mock.send_signal(signal.SIGTERM)
        mock.communicate(timeout=20)
    status, output, errors = run_command(process_environment, *store, "--seed", "7")
    assert (status, output) == (2, "")
    assert "another seed" in errors
    assert "delete this one to start over" in errors
