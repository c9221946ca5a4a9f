"""Tests the command `athena-mock` in a child process: start, banner, addresses, errors and shutdown."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

import mock_server.cli.dataset_image
import mock_server.cli.main
from mock_server.cli.main import parse_settings
from tests.mock_process import run_mock
from tests.mock_server.library_contract import API, LIBRARY

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "mock_server")
SERVE = ("--contract", str(LIBRARY), "--dataset", "plain", "--epoch", "2026-03-01T00:00:00Z", "--port", "0")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cache = tmp_path_factory.mktemp("cache")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_MOCK_")}
    return inherited | {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)}


def run_library_mock(
    environment: dict[str, str], *options: str
) -> AbstractContextManager[tuple["subprocess.Popen[str]", str]]:
    """Run a mock of the library until the block ends; yields the process and its banner."""
    return run_mock((*COMMAND, *SERVE, *options), environment)


def without_notes(errors: str) -> str:
    """Return stderr without the progress message of the dataset and the note about parameters without effect."""
    notes = (": building ", ": query parameters without x-query ")
    return "".join(line for line in errors.splitlines(keepends=True) if not any(note in line for note in notes))


def send(url: str, *, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request_headers = {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, request_headers), timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def wait_until_ready(url: str, mock: "subprocess.Popen[str]") -> bool:
    """Whether a mock responds within half a minute."""
    deadline = time.monotonic() + 30
    while mock.poll() is None and time.monotonic() < deadline:
        try:
            return send(url)[0] == 200
        except OSError:
            time.sleep(0.1)
    return False


def run_curl(command: str) -> tuple[int, bytes]:
    """Send the request of a curl command; return (status, body)."""
    _, *words = shlex.split(command, comments=True)
    headers: dict[str, str] = {}
    body = None
    while len(words) > 1:
        option, text, *words = words
        if option == "-d":
            body = text.encode()
        else:
            assert option == "-H"
            name, _, value = text.partition(": ")
            headers[name] = value
    return send(words[0], body=body, **headers)


@pytest.fixture(scope="module")
def banner(environment: dict[str, str]) -> Iterator[str]:
    with run_library_mock(environment) as (_, banner):
        yield banner


def test_banner_has_url_counts_and_tokens(banner: str) -> None:
    assert re.match(rf"http://127\.0\.0\.1:\d+{API}  Library 1\.0\.0\n13 operations, \d+ records \(", banner)
    assert re.findall(r"^  (\w+-token)", banner, re.MULTILINE) == [
        "demo-token",
        "other-token",
        "viewer-token",
        "expired-token",
    ]
    assert "\033" not in banner


def test_every_url_of_the_banner_responds(banner: str) -> None:
    urls = re.findall(r"^  (http\S+)", banner, re.MULTILINE)
    assert len(urls) == 4
    for url in urls:
        assert send(url)[0] == 200


def test_example_requests_of_the_banner_work(banner: str) -> None:
    valid_command, invalid_command = re.findall(r"^  (curl .*)", banner, re.MULTILINE)
    status, body = run_curl(valid_command)
    assert status == 200
    assert json.loads(body)["data"]
    status, body = run_curl(invalid_command)
    assert status == 422
    assert json.loads(body)["errors"]


def test_all_loopback_addresses_are_served(banner: str) -> None:
    port = re.findall(r":(\d+)/", banner)[0]
    assert send(f"http://127.0.0.1:{port}/__mock/health")[0] == 200
    assert send(f"http://localhost:{port}/__mock/health")[0] == 200
    if socket.has_ipv6:
        assert send(f"http://[::1]:{port}/__mock/health")[0] == 200


def test_responses_have_a_date_but_no_server_header(banner: str) -> None:
    url = re.findall(r"http://\S+health", banner)[0]
    with urllib.request.urlopen(url, timeout=10) as response:
        assert "server" not in response.headers
        assert "date" in response.headers


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
@pytest.mark.parametrize("stop_signal", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_signal_stops_the_server(environment: dict[str, str], stop_signal: signal.Signals) -> None:
    with run_library_mock(environment) as (mock, banner):
        port = re.findall(r":(\d+)/", banner)[0]
        with socket.create_connection(("127.0.0.1", int(port))):  # a browser keeps its connection
            mock.send_signal(stop_signal)
            _, errors = mock.communicate(timeout=10)
    assert (mock.returncode, without_notes(errors)) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
def test_interrupt_stops_the_server_that_a_script_starts_in_the_background(environment: dict[str, str]) -> None:
    with ExitStack() as stack:
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell without job control does; inherited
        try:
            mock, _ = stack.enter_context(run_library_mock(environment))
        finally:
            signal.signal(signal.SIGINT, previous)
        mock.send_signal(signal.SIGINT)
        _, errors = mock.communicate(timeout=10)
    assert (mock.returncode, without_notes(errors)) == (0, "")


def test_closed_stdout_does_not_stop_the_server(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = (*COMMAND, *SERVE[:-1], str(port))
    with subprocess.Popen(
        command, stdout=write_end, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as mock:
        os.close(write_end)
        try:
            assert wait_until_ready(f"http://127.0.0.1:{port}/openapi.yaml", mock)
        finally:
            mock.terminate()
        errors = mock.communicate(timeout=30)[1]
    assert (mock.returncode, "BrokenPipe" in errors) == (0, False), errors


def test_port_in_use_is_an_error(environment: dict[str, str], banner: str) -> None:
    port = re.findall(r":(\d+)/", banner)[0]
    command = (*COMMAND, *SERVE, "--port", port)
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=30, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(rf"athena-mock: Port {port} on 127\.0\.0\.1 is in use: [^\n]*\n", result.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--port", "x"),
            "Invalid value for '--port' (env var: 'ATHENA_MOCK_PORT'): 'x' is not an integer between 0 and 65535.",
        ),
        (("--dataset", "no-such"), "no-such"),
        (("--contract", "pyproject.toml"), "pyproject.toml, line 2, column 1: did not find expected <document start>"),
        (("--store", "sqlite:////no/such/folder/x.db"), "/no/such/folder"),
    ],
)
def test_invalid_setting_is_one_line_on_stderr(
    environment: dict[str, str], options: tuple[str, ...], message: str
) -> None:
    command = (*COMMAND, *SERVE, *options)
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=30, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("athena-mock: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
def test_reopened_store_warns_of_another_epoch(environment: dict[str, str], tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/mock.db", "--size", "0.3333333333333333")
    errors = []
    for epoch in ((), (), ("--epoch", "2026-04-01T00:00:00Z")):
        with run_library_mock(environment, *store, *epoch) as (mock, _):
            mock.send_signal(signal.SIGTERM)
            errors.append(without_notes(mock.communicate(timeout=20)[1]))
    assert errors[:2] == ["", ""]
    assert re.fullmatch(
        r"athena-mock: warning: --store \S+: its epoch is 2026-03-01T\S+; --epoch 2026-04-01T\S+ is ignored\n",
        errors[2],
    )


@pytest.mark.slow
def test_reopened_store_needs_no_dataset_options(environment: dict[str, str], tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/mock.db")
    counts = []
    for options in (("--seed", "7", "--size", "2"), ("--epoch", "today")):
        with run_library_mock(environment, *store, *options) as (mock, banner):
            mock.send_signal(signal.SIGTERM)
            assert without_notes(mock.communicate(timeout=20)[1]) == ""
            counts.append(banner.splitlines()[1])
    assert counts[0] == counts[1]
    result = subprocess.run(
        (*COMMAND, *SERVE, *store),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**environment, "ATHENA_MOCK_SEED": "8"},
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert "was created with another seed (7, now 8)" in result.stderr


@pytest.mark.parametrize(
    ("epoch", "warning"),
    [
        (
            "2026-01-15T09:00:00Z",
            "athena-mock: warning: the epoch 2026-01-15T09:00:00.000000Z is earlier than documented",
        ),
        pytest.param("2026-01-16T00:00:00Z", "", marks=pytest.mark.slow),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
def test_epoch_before_the_documented_records_is_a_warning(
    environment: dict[str, str], epoch: str, warning: str
) -> None:
    athena = ("--contract", str(ROOT / "spec" / "openapi.yaml"), "--dataset", "demo")
    with run_library_mock(environment, *athena, "--epoch", epoch) as (mock, _):
        mock.send_signal(signal.SIGTERM)
        errors = without_notes(mock.communicate(timeout=20)[1])
    assert errors.startswith(warning)
    assert errors.count("\n") == bool(warning)
    assert ("(up to 2026-01-15T10:00:00.000000Z)" in errors) == bool(warning)


@pytest.mark.slow
def test_slow_build_prints_a_progress_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mock_server.cli.dataset_image, "_PROGRESS_DELAY", 0.05)
    monkeypatch.setattr("mock_server.image_cache.find_cache_folder", lambda: tmp_path)
    settings = parse_settings(SERVE[:-2])
    for _ in range(2):
        _, sandbox = mock_server.cli.main._create_app_and_sandbox(settings)
        sandbox.store.close()
    assert capsys.readouterr().err == "athena-mock: building dataset plain, size 1 (cached for later starts) ...\n"


@pytest.mark.slow
def test_build_image_without_file_fills_the_cache_for_the_next_start(
    environment: dict[str, str], tmp_path: Path
) -> None:
    own_cache = environment | {"XDG_CACHE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    build = (*COMMAND, "build-image", *SERVE[:-2])
    result = subprocess.run(build, capture_output=True, text=True, cwd=ROOT, env=own_cache, timeout=60, check=True)
    image = Path(result.stdout.removesuffix("\n"))
    assert list(tmp_path.rglob("*.image")) == [image]
    built_at = image.stat().st_mtime_ns
    with run_library_mock(own_cache):
        assert [(path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.image")] == [(image, built_at)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
@pytest.mark.slow
def test_startup_logs_no_requests(environment: dict[str, str]) -> None:
    with run_library_mock(environment, "--log-level", "info") as (mock, banner):
        send(re.findall(r"http://\S+health", banner)[0])
        mock.send_signal(signal.SIGTERM)
        log = mock.communicate(timeout=20)[1]
    lines = [line for line in log.splitlines() if "[req " in line]
    assert lines == ["INFO mock_server: 200 GET /__mock/health [req 1]"]


@pytest.mark.slow
def test_import_emits_no_warning(environment: dict[str, str]) -> None:
    """Also without the command, as in the conformance suite."""
    code = "import mock_server.app"
    result = subprocess.run(
        (sys.executable, "-W", "default", "-c", code),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=True,
    )
    assert "httpx" not in result.stderr


def test_expensive_modules_are_imported_lazily(environment: dict[str, str]) -> None:
    """An invalid option is reported at once, and the server process never imports Faker."""
    code = "import sys, mock_server.cli.main; print(*sorted(m for m in sys.modules if '.' not in m))"
    result = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert not {"connexion", "starlette", "uvicorn", "yaml", "faker", "fixtures"} & set(result.stdout.split())
