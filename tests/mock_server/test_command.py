"""The command: starts, greets, serves on both addresses, and ends cleanly. Each test runs it as a user does."""

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
from contextlib import contextmanager
from pathlib import Path

import pytest

import mock_server.cli.main
from mock_server.cli.settings import parse_settings
from tests.mock_server.library import API, LIBRARY

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "mock_server")
SERVE = ("--contract", str(LIBRARY), "--dataset", "plain", "--epoch", "2026-03-01T00:00:00Z", "--port", "0")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cache = tmp_path_factory.mktemp("cache")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_MOCK_")}
    return kept | {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)}


@contextmanager
def running(environment: dict[str, str], *options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A running mock and its greeting."""
    pipe = subprocess.PIPE
    mock = subprocess.Popen(
        (*COMMAND, *SERVE, *options), stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment
    )
    try:
        assert mock.stdout is not None
        greeting = ""
        while "# 422" not in greeting:
            line = mock.stdout.readline()
            if not line:
                raise AssertionError(greeting + mock.communicate()[1])
            greeting += line
        yield mock, greeting
    finally:
        mock.kill()
        mock.communicate()


def without_building(errors: str) -> str:
    """What a mock said on stderr, but for the news that its dataset takes a while."""
    return "".join(line for line in errors.splitlines(keepends=True) if ": building " not in line)


def ask(url: str, *, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, sent), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def comes_up(url: str, mock: "subprocess.Popen[str]") -> bool:
    """Whether a mock answers, within half a minute and before it ends."""
    until = time.monotonic() + 30
    while mock.poll() is None and time.monotonic() < until:
        try:
            return ask(url)[0] == 200
        except OSError:
            time.sleep(0.1)
    return False


def pasted(command: str) -> tuple[int, bytes]:
    """What a curl command of the greeting gets."""
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
    return ask(words[0], body=body, **headers)


@pytest.fixture(scope="module")
def served(environment: dict[str, str]) -> Iterator[str]:
    with running(environment) as (_, greeting):
        yield greeting


def test_the_greeting_says_where_what_and_who(served: str) -> None:
    assert re.match(rf"http://127\.0\.0\.1:\d+{API}  Library 1\.0\.0\n13 operations, \d+ records \(", served)
    assert re.findall(r"^  (\w+-token)", served, re.MULTILINE) == [
        "demo-token",
        "other-token",
        "viewer-token",
        "expired-token",
    ]
    assert "\033" not in served


def test_every_url_of_the_greeting_opens(served: str) -> None:
    urls = re.findall(r"^  (http\S+)", served, re.MULTILINE)
    assert len(urls) == 3
    for url in urls:
        assert ask(url)[0] == 200


def test_the_requests_of_the_greeting_can_be_pasted(served: str) -> None:
    good, bad = re.findall(r"^  (curl .*)", served, re.MULTILINE)
    status, body = pasted(good)
    assert status == 200
    assert json.loads(body)["data"]
    status, body = pasted(bad)
    assert status == 422
    assert json.loads(body)["errors"]


def test_both_spellings_of_localhost_are_served(served: str) -> None:
    port = re.findall(r":(\d+)/", served)[0]
    assert ask(f"http://127.0.0.1:{port}/__mock/health")[0] == 200
    assert ask(f"http://localhost:{port}/__mock/health")[0] == 200
    if socket.has_ipv6:
        assert ask(f"http://[::1]:{port}/__mock/health")[0] == 200


def test_the_server_does_not_name_itself_but_dates_its_answers(served: str) -> None:
    url = re.findall(r"http://\S+health", served)[0]
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert "server" not in answer.headers
        assert "date" in answer.headers


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(environment: dict[str, str], sent: signal.Signals) -> None:
    with running(environment) as (mock, greeting):
        port = re.findall(r":(\d+)/", greeting)[0]
        with socket.create_connection(("127.0.0.1", int(port))):  # a browser keeps its connection
            mock.send_signal(sent)
            _, errors = mock.communicate(timeout=10)
    assert (mock.returncode, without_building(errors)) == (0, "")


def test_it_serves_on_when_nobody_reads_its_greeting(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reading, writing = os.pipe()
    os.close(reading)
    command = (*COMMAND, *SERVE[:-1], str(port))
    with subprocess.Popen(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as mock:
        os.close(writing)
        try:
            assert comes_up(f"http://127.0.0.1:{port}/openapi.yaml", mock)
        finally:
            mock.terminate()
        errors = mock.communicate(timeout=30)[1]
    assert (mock.returncode, "BrokenPipe" in errors) == (0, False), errors


def test_a_port_in_use_is_one_sentence(environment: dict[str, str], served: str) -> None:
    port = re.findall(r":(\d+)/", served)[0]
    command = (*COMMAND, *SERVE, "--port", port)
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=30, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert re.fullmatch(rf"athena-mock: Port {port} on 127\.0\.0\.1 is in use: [^\n]*\n", told.stderr)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--port", "x"), "--port: found 'x'; allowed: "),
        (("--dataset", "no-such"), "no-such"),
        (("--contract", "pyproject.toml"), "allowed"),
        (("--store", "sqlite:////no/such/folder/x.db"), "/no/such/folder"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(environment: dict[str, str], options: tuple[str, ...], told: str) -> None:
    command = (*COMMAND, *SERVE, *options)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("athena-mock: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
def test_a_store_is_known_again_whatever_its_size_and_says_when_its_epoch_is_another(
    environment: dict[str, str], tmp_path: Path
) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/mock.db", "--size", "0.3333333333333333")
    said = []
    for epoch in ((), (), ("--epoch", "2026-04-01T00:00:00Z")):
        with running(environment, *store, *epoch) as (mock, _):
            mock.send_signal(signal.SIGTERM)
            said.append(without_building(mock.communicate(timeout=20)[1]))
    assert said[:2] == ["", ""]
    assert re.fullmatch(
        r"athena-mock: --store \S+: its data lead up to 2026-03-01T\S+, not to .* 2026-04-01T\S+\n", said[2]
    )


def test_a_store_that_is_opened_again_needs_no_word_of_what_it_was_made_under(
    environment: dict[str, str], tmp_path: Path
) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/mock.db")
    counts = []
    for options in (("--seed", "7", "--size", "2"), ("--epoch", "today")):
        with running(environment, *store, *options) as (mock, greeting):
            mock.send_signal(signal.SIGTERM)
            assert without_building(mock.communicate(timeout=20)[1]) == ""
            counts.append(greeting.splitlines()[1])
    assert counts[0] == counts[1]
    told = subprocess.run(
        (*COMMAND, *SERVE, *store),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**environment, "ATHENA_MOCK_SEED": "8"},
        timeout=30,
        check=False,
    )
    assert (told.returncode, told.stdout) == (2, "")
    assert "was made under another seed (7, now 8)" in told.stderr


@pytest.mark.parametrize(
    ("epoch", "said"),
    [
        ("2026-01-15T09:00:00Z", "athena-mock: the epoch 2026-01-15T09:00:00.000000Z lies before documented records"),
        ("2026-01-16T00:00:00Z", ""),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
def test_an_epoch_before_the_documented_records_is_told_of(environment: dict[str, str], epoch: str, said: str) -> None:
    athena = ("--contract", str(ROOT / "spec" / "openapi.yaml"), "--dataset", "demo")
    with running(environment, *athena, "--epoch", epoch) as (mock, _):
        mock.send_signal(signal.SIGTERM)
        told = without_building(mock.communicate(timeout=20)[1])
    assert told.startswith(said)
    assert told.count("\n") == bool(said)
    assert ("(up to 2026-01-15T10:00:00.000000Z)" in told) == bool(said)


def test_a_dataset_that_takes_its_time_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mock_server.cli.main, "_PROGRESS_DELAY", 0.05)
    monkeypatch.setattr("mock_server.images.images.find_cache_folder", lambda: tmp_path)
    settings = parse_settings(SERVE[:-2], {}, "")
    for _ in range(2):
        _, world = mock_server.cli.main._create_app_and_sandbox(settings)
        world.store.close()
    assert capsys.readouterr().err == "athena-mock: building plain, size 1 (once; it is kept) ...\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent between processes there")
def test_the_first_request_is_the_first_in_the_log(environment: dict[str, str]) -> None:
    with running(environment, "--log-level", "info") as (mock, greeting):
        ask(re.findall(r"http://\S+health", greeting)[0])
        mock.send_signal(signal.SIGTERM)
        logged = mock.communicate(timeout=20)[1]
    lines = [line for line in logged.splitlines() if "[req " in line]
    assert lines == ["INFO mock_server: 200 GET /__mock/health [req 1]"]


def test_the_mock_is_imported_without_a_warning(environment: dict[str, str]) -> None:
    """Also by who does not come through the command, as the suite does."""
    code = "import mock_server.app"
    done = subprocess.run(
        (sys.executable, "-W", "default", "-c", code),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=True,
    )
    assert "httpx" not in done.stderr


def test_nothing_costly_is_imported_before_it_is_needed(environment: dict[str, str]) -> None:
    """A wrong option is told at once; and Faker never comes into the serving process."""
    code = "import sys, mock_server.cli.main; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert not {"connexion", "starlette", "uvicorn", "yaml", "faker", "fixtures"} & set(done.stdout.split())
