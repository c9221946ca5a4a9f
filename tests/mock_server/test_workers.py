"""Several processes serve one store: what one writes the others see, and what ends is begun anew."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from mock_server import image
from mock_server.app import Open, create_app
from mock_server.console import Console
from mock_server.store import Busy, Store
from mock_server.store.store import connect
from mock_server.workers import PATIENCE as workers_patience
from mock_server.world import World
from tests.asgi import Client
from tests.mock_server.athena import EPOCH, Watch, athena_contract, athena_schemas, image_of
from tests.running import MODULE, ROOT, environment
from tests.workers.crowd import Caller, crowd
from tests.workers.kills import children, killed, mock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PATIENCE = 10  # seconds


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of every process here."""
    return environment(tmp_path_factory.mktemp("cache"))


# Two stores on one file ----------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the demo dataset, which nobody has open."""
    contract = athena_contract()
    content, recipe = image_of(contract, "empty")
    path = tmp_path / "store.db"
    store = image.open_store(contract, recipe, f"sqlite:///{path}", lambda: content, alone=False)
    image.clock(store, lambda: EPOCH, from_epoch=True)
    store.close()
    return path


@contextmanager
def worker(file: Path, watch: Watch | None = None) -> Iterator[tuple[World, Client]]:
    """(a world on the file as a worker has it, a caller of its application)."""
    contract = athena_contract()
    store = Store.opened(contract, connect(str(file)))
    store.close()
    store.share(connect(str(file)))
    world = image.world(contract, athena_schemas(), store, watch or Watch())
    app = create_app(contract, world, Open(), console=Console(contract.document, io.StringIO(), quiet=True))
    with closing(store):
        yield world, Client(app, {"authorization": "Bearer demo-token"})


def threads(client: Client) -> int:
    total: int = client.request("GET", "/api/v1/threads?per_page=1").json["meta"]["total"]
    return total


def made(client: Client, name: str) -> str:
    key: str = client.request("POST", "/api/v1/threads", data={"name": name}).json["data"]["uuid"]
    return key


def test_each_sees_what_the_other_wrote_on_its_next_request(file: Path) -> None:
    with worker(file) as (_, one), worker(file) as (_, other):
        before = threads(other)
        key = made(one, "first")
        assert threads(other) == before + 1
        assert other.request("GET", f"/api/v1/threads/{key}").json["data"]["name"] == "first"
        other.request("PUT", f"/api/v1/threads/{key}", data={"name": "second"})
        assert one.request("GET", f"/api/v1/threads/{key}").json["data"]["name"] == "second"
        one.request("DELETE", f"/api/v1/threads/{key}")
        assert other.request("GET", f"/api/v1/threads/{key}").status == 404
        assert threads(other) == before


def test_no_key_is_given_twice(file: Path) -> None:
    with worker(file) as (_, one), worker(file) as (_, other):
        keys = [made(client, "a") for client in (one, other, other, one, one, other)]
    assert len(set(keys)) == len(keys)


def test_a_token_of_one_is_known_to_the_other_until_it_is_ended(file: Path) -> None:
    with worker(file) as (_, one), worker(file) as (_, other):
        secret = {"email": "john.doe@example.com", "password": "password"}
        token = one.request("POST", "/api/v1/auth/sign-in", data=secret).json["data"]["token"]
        bearer = {"authorization": f"Bearer {token}"}
        assert other.request("GET", "/api/v1/user", headers=bearer).status == 200
        assert other.request("POST", "/api/v1/auth/logout", headers=bearer).status < 300
        assert one.request("GET", "/api/v1/user", headers=bearer).status == 401


def test_what_one_has_started_moves_at_the_other(file: Path) -> None:
    watch = Watch()
    with worker(file, watch) as (_, one), worker(file, watch) as (_, other):
        workflow = one.request("POST", "/api/v1/workflows", data={"name": "w"}).json["data"]["uuid"]
        one.request("PUT", f"/api/v1/workflows/{workflow}", data={"is_active": True})
        started = one.request("POST", "/api/v1/workflow-executions", data={"workflow_uuid": workflow}).json["data"]
        path = f"/api/v1/workflow-executions/{started['uuid']}"
        assert other.request("GET", path).json["data"]["status"] == "pending"
        watch.wait(seconds=60)
        assert other.request("GET", path).json["data"]["is_finished"] is True
        assert one.request("GET", path).json["data"]["is_finished"] is True


def test_a_file_that_stays_busy_is_503_and_no_failure(file: Path) -> None:
    with worker(file) as (world, client), closing(connect(str(file))) as hog:
        world.store.connection.execute("PRAGMA busy_timeout = 20")
        hog.execute("BEGIN IMMEDIATE")
        reply = client.request("POST", "/api/v1/threads", data={"name": "late"})
        assert (reply.status, reply.headers["x-mock-reason"], reply.headers["retry-after"]) == (503, "overload", "1")
        assert client.request("GET", "/api/v1/threads").status == 200
        hog.execute("ROLLBACK")
        assert client.request("POST", "/api/v1/threads", data={"name": "in time"}).status == 201


def test_what_is_read_of_one_instant_stays_as_it_was(file: Path) -> None:
    with worker(file) as (world, _), worker(file) as (_, other):
        with world.store.instant():
            before = world.store.counts()["Thread"]
            made(other, "meanwhile")
            assert world.store.counts()["Thread"] == before
        with world.store.instant():
            assert world.store.counts()["Thread"] == before + 1


def test_a_transaction_inside_another_is_undone_alone(file: Path) -> None:
    with worker(file) as (world, client):
        store, key = world.store, made(client, "kept")
        with store.transaction():
            store.set_meta({"outer": "1"})
            with suppress(Busy), store.transaction():
                store.remove("Thread", key)
                raise Busy
            assert store.get("Thread", key) is not None
        assert store.meta()["outer"] == "1"
        assert client.request("GET", f"/api/v1/threads/{key}").status == 200


# Processes -----------------------------------------------------------------------------------------------------------


def until(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in time."""
    last = time.monotonic() + PATIENCE
    while time.monotonic() < last:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip().startswith("Z") or not said.stdout.strip()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_within_two_seconds(around: dict[str, str], tmp_path: Path, sent: signal.Signals) -> None:
    with mock(tmp_path / "a.db", 2, around) as (process, port):
        call = Caller(port)
        call("GET", "/user")
        workers = children(process.pid)
        assert len(workers) == 2
        began = time.monotonic()
        process.send_signal(sent)
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - began < PATIENCE / 2  # 1.5 s and the interpreter's end, on a busy machine
        assert workers_patience < 2
        assert all(gone(pid) for pid in workers)
        call.close()


def test_workers_end_with_the_process_that_began_them(around: dict[str, str], tmp_path: Path) -> None:
    with mock(tmp_path / "a.db", 2, around) as (process, _):
        workers = children(process.pid)
        process.kill()
        process.wait(PATIENCE)
        assert until(lambda: all(gone(pid) for pid in workers))


def test_a_worker_that_dies_is_begun_anew_and_said(around: dict[str, str]) -> None:
    with mock(None, 2, around) as (process, port):
        first = children(process.pid)
        os.kill(first[0], signal.SIGKILL)
        assert until(lambda: len(set(children(process.pid)) | set(first)) == 3)
        call = Caller(port)
        assert call("GET", "/user")["data"]["id"] == 123
        call.close()
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    said = r"athena-mock: worker \d \(process \d+\) ended by SIGKILL after .* another takes its place\n"
    assert "Traceback" not in errors
    assert re.fullmatch(said, errors.splitlines(keepends=True)[-1])  # it was told before that a dataset took its time


def test_without_a_store_the_file_goes_with_the_process(around: dict[str, str], tmp_path: Path) -> None:
    with mock(None, 2, around | {"TMPDIR": str(tmp_path)}) as (process, _):
        assert [path.name for path in tmp_path.glob("athena-mock-*/*.db")] == ["store.db"]
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert list(tmp_path.glob("athena-mock-*")) == []


def test_a_mock_that_wants_the_file_for_itself_is_refused(around: dict[str, str], tmp_path: Path) -> None:
    with mock(tmp_path / "a.db", 2, around) as (_, port):
        call = Caller(port)
        call("GET", "/user")
        call.close()
        alone = (*MODULE, "--port", "0", "--store", f"sqlite:///{tmp_path}/a.db")
        done = subprocess.run(alone, capture_output=True, text=True, cwd=ROOT, env=around, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is in use by another mock" in done.stderr


def test_workers_that_cannot_begin_are_given_up() -> None:
    program = (
        "import sys\n"
        "from mock_server.workers import Crew\n"
        "def work(number: int) -> None: raise SystemExit(3)\n"
        "sys.exit(Crew(work, 2, sys.stderr).run())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("no more are begun")
    assert "Traceback" not in done.stderr


# Load ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_is_lost_stale_or_double_when_many_write_at_once(around: dict[str, str], tmp_path: Path) -> None:
    with mock(tmp_path / "a.db", 2, around) as (_, port):
        wrong, workers = crowd(port, 4, 2000)
    assert wrong == []
    assert workers == {"1", "2"}


@pytest.mark.slow
def test_what_was_acknowledged_outlives_kill_9(around: dict[str, str], tmp_path: Path) -> None:
    assert killed(tmp_path / "a.db", around, 5) == []
