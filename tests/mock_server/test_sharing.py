"""What the processes that share a file keep is never stale, and what they did not touch is kept."""

import asyncio
import io
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from mock_server import image
from mock_server.app import Open, create_app
from mock_server.batch import MOST as MOST_TOGETHER
from mock_server.batch import Batch, Work
from mock_server.call import Answer
from mock_server.console import Console
from mock_server.store import Busy, Store, StoreError, Tag
from mock_server.store.queue import ENDING, Queue
from mock_server.store.sharing import MOST, MOST_TAGS, Sharing, Written
from mock_server.store.store import MAX_MOVED, connect
from spec.record import Record, Reference
from tests.mock_server.athena import EPOCH, Api, Watch, athena_contract, athena_schemas, image_of
from tests.mock_server.museum import museum
from tests.mock_server.second_opinion import SecondOpinion
from tests.mock_server.test_pages import ABOUT, OPERATIONS, Twins
from tests.mock_server.test_store import Life
from tests.running import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is shared where there is no fork")


# Byte for byte what one mock alone answers ----------------------------------------------------------------------------


@cache
def template() -> Path:
    """A file with the demo dataset, to be copied."""
    contract = athena_contract()
    content, recipe = image_of(contract, "demo")
    path = Path(tempfile.mkdtemp()) / "store.db"
    store = image.open_store(contract, recipe, f"sqlite:///{path}", lambda: content, alone=False)
    image.clock(store, lambda: EPOCH, from_epoch=True)
    store.close()
    return path


def worker(path: Path, watch: Watch) -> Api:
    """A mock as a worker is: with a store of its own on a file that others write to."""
    contract = athena_contract()
    store = Store.opened(contract, connect(str(path)))
    store.close()
    store.share(connect(str(path)))
    world = image.world(contract, athena_schemas(), store, watch)
    app = create_app(contract, world, Open(), console=Console(contract.document, io.StringIO(), quiet=True))
    return Api(contract, athena_schemas(), SecondOpinion(contract), app, world, watch, b"")


class Workers(Twins):
    """Two workers get the requests in turns, a third now and then, and one that forgets all before each gets all."""

    @initialize(about=st.sampled_from(ABOUT), random=st.randoms(use_true_random=False))
    def begin(self, about: str, random: Random) -> None:
        super().begin(about)
        self.random = random
        self.folder = ExitStack()
        path = Path(self.folder.enter_context(tempfile.TemporaryDirectory())) / "store.db"
        path.write_bytes(template().read_bytes())
        watch = Watch()
        self.workers = [worker(path, watch) for _ in range(3)]
        for one in self.workers:
            for index in one.world.store.trigrams.values():
                index.unindexed = 0
        self.keeping = self.workers[0]

    def asked_of(self, operation: str) -> Sequence[Api]:
        """A write is one worker's; of reads some get to see what others have not heard of for a while."""
        weights = (4, 4, 1)
        if OPERATIONS[operation].method != "get":
            return self.random.choices(self.workers, weights)
        return list({id(one): one for one in self.random.choices(self.workers, weights, k=2)}.values())

    def teardown(self) -> None:
        for one in getattr(self, "workers", ()):
            one.world.store.close()
        if hasattr(self, "folder"):
            self.folder.close()


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=25, stateful_step_count=8, deadline=None)


# What is taken in ---------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a museum in it, which nobody has open."""
    path = tmp_path / "museum.db"
    store = Store.empty(museum(), str(path))
    with store.transaction():
        for record in (exhibit("Museum", "m1"), exhibit("Room", "r1"), exhibit("Room", "r2")):
            store.add(record)
    store.close()
    return path


def exhibit(resource: str, key: Any, name: str = "") -> Record:
    """A record of the museum; rooms are of its one house."""
    own = {museum().resources[resource].key: key, "name": name or str(key)}
    references = {"museum": Reference("Museum", "m1")} if resource == "Room" else {}
    return Record(resource, key, own, references)


@pytest.fixture
def opened(file: Path) -> Iterator[Callable[[], Store]]:
    """Makes a store on the file that shares it."""
    with ExitStack() as stack:

        def made() -> Store:
            store = stack.enter_context(closing(Store.opened(museum(), connect(str(file)))))
            store.share(store.connection)
            return store

        yield made


def name(store: Store, resource: str, key: Any) -> str:
    """A record's name, as the next request would read it."""
    store.refresh()
    found: str = store.existing(Reference(resource, key)).own["name"]
    return found


def renamed(store: Store, resource: str, key: Any, name: str) -> None:
    with store.transaction():
        store.change(resource, key, {**store.existing(Reference(resource, key)).own, "name": name})


def heard(store: Store) -> list[set[Tag] | None]:
    """What a store tells its listeners from now on."""
    told: list[set[Tag] | None] = []
    store.listeners.append(lambda touched: told.append(None if touched is None else set(touched)))
    return told


def test_what_another_did_not_touch_is_kept(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    kept = [other.existing(Reference("Room", key)) for key in ("r1", "r2")]
    told = heard(other)
    renamed(one, "Room", "r1", "red")
    other.refresh()
    assert told[0] is not None
    assert ("Room", "r1") in told[0]
    assert ("Room", "r2") not in told[0]
    assert other.existing(Reference("Room", "r1")) is not kept[0]
    assert other.existing(Reference("Room", "r2")) is kept[1]


def test_what_another_added_is_counted_without_counting_anew(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == 2
    with one.transaction():
        one.add(exhibit("Room", "r3"))
    asked: list[str] = []
    other.connection.set_trace_callback(asked.append)
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == 3
    assert not [sql for sql in asked if "COUNT" in sql]


@pytest.mark.parametrize("by_name", ['"s_name" = ?', "json_extract(own, '$.name') = ?"])
@pytest.mark.parametrize("write", ["change", "remove"])
def test_what_another_changed_is_counted_anew_by_what_is_not_told(
    opened: Callable[[], Store], write: str, by_name: str
) -> None:
    one, other = opened(), opened()
    with other.instant():
        assert other.count("Room", by_name, ("r1",)) == 1
    if write == "change":
        renamed(one, "Room", "r1", "red")
    else:
        with one.transaction():
            one.remove("Room", "r1")
    with other.instant():
        assert other.count("Room", by_name, ("r1",)) == 0


class Counting(Life):
    """Another store counts what this one writes, now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.store.close()
        self.folder = ExitStack()
        path = str(Path(self.folder.enter_context(tempfile.TemporaryDirectory())) / "museum.db")
        Store.empty(museum(), path).close()
        self.store, self.other = (Store.opened(museum(), connect(path)) for _ in range(2))
        for store in (self.store, self.other):
            store.share(store.connection)
        self.listen()

    def reopen(self) -> None:
        """Not here."""

    @rule()
    def count(self) -> None:
        self.other.refresh()
        with self.other.instant():
            for resource, table in self.other.tables.items():
                for column in ("tenant", *table.references, *table.properties):
                    sql = f"SELECT {column}, COUNT(*) FROM {table.name} WHERE {column} IS NOT NULL GROUP BY 1"
                    for value, number in self.other.connection.execute(sql).fetchall():
                        assert self.other.count(resource, f"{column} = ?", (value,)) == number
                    assert self.other.count(resource, f"{column} IS NULL") == self.other.scalar(
                        f"SELECT COUNT(*) FROM {table.name} WHERE {column} IS NULL"
                    )

    def teardown(self) -> None:
        for store in (self.store, self.other):
            store.close()
        self.folder.close()


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_what_another_moved_from_one_count_to_another_is_not_counted_anew(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    inside, among = '"r_parent" = ?', '"r_museum" = ?'
    with other.instant():
        assert [other.count("Room", inside, ("r1",)), other.count("Room", among, ("m1",))] == [0, 2]
    with one.transaction():
        one.change("Room", "r2", one.existing(Reference("Room", "r2")).own, {"parent": Reference("Room", "r1")})
    asked: list[str] = []
    other.connection.set_trace_callback(asked.append)
    with other.instant():
        assert [other.count("Room", inside, ("r1",)), other.count("Room", among, ("m1",))] == [1, 2]
    with one.transaction():
        one.remove("Room", "r2")
    with other.instant():
        assert [other.count("Room", inside, ("r1",)), other.count("Room", among, ("m1",))] == [0, 1]
    assert not [sql for sql in asked if "COUNT" in sql]


def test_what_many_writes_moved_is_counted_anew(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == 2
    for number in range(MAX_MOVED + 1):
        with one.transaction():
            one.add(exhibit("Room", f"new {number}"))
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == MAX_MOVED + 3


def test_what_is_added_and_removed_before_anybody_looks_was_never_counted(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == 2
    with one.transaction():
        one.add(exhibit("Room", "r3"))
    with one.transaction():
        one.remove("Room", "r3")
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == 2
    assert other.next_number("Room") == 4


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_removed_and_added_again_is_counted_once(opened: Callable[[], Store], at_once: bool) -> None:
    one, other = opened(), opened()
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == 2
    with one.transaction() if at_once else nullcontext():
        with one.transaction():
            one.remove("Room", "r1")
        with one.transaction():
            one.add(exhibit("Room", "r1", "again"))
    with other.instant():
        assert other.count("Room", "tenant = ?", ("m1",)) == 2
    assert name(other, "Room", "r1") == "again"


def test_a_number_that_was_undone_is_not_told_of(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    with one.transaction():
        renamed(one, "Room", "r1", "red")
        with suppress(ZeroDivisionError), one.transaction():
            one.add(exhibit("Room", "r3"))
            raise ZeroDivisionError
    assert name(other, "Room", "r1") == "red"
    assert (one.next_number("Room"), other.next_number("Room")) == (3, 3)


def test_what_was_undone_is_told_to_nobody(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    told = heard(other)
    with suppress(ZeroDivisionError), one.transaction():
        one.add(exhibit("Room", "r3"))
        raise ZeroDivisionError
    other.refresh()
    with one.transaction():  # nor is a transaction that wrote nothing
        assert one.get("Room", "r3") is None
    other.refresh()
    assert told == []


def test_another_program_s_write_is_seen_between_those_that_are_told(opened: Callable[[], Store], file: Path) -> None:
    one, other = opened(), opened()
    assert name(other, "Room", "r1") == "r1"
    renamed(one, "Room", "r2", "blue")
    with closing(sqlite3.connect(file)) as program, program:
        program.execute("UPDATE \"Room\" SET own = json_set(own, '$.name', 'by hand') WHERE key = 'r1'")
    renamed(one, "Room", "r2", "green")
    assert [name(other, "Room", key) for key in ("r1", "r2")] == ["by hand", "green"]
    assert [name(one, "Room", key) for key in ("r1", "r2")] == ["by hand", "green"]
    told = heard(other)
    renamed(one, "Room", "r2", "red")
    other.refresh()
    assert None not in told, "they did not find together again"


def test_who_has_not_looked_for_long_forgets_all_and_goes_on_from_there(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    for number in range(MOST + 2):
        renamed(one, "Room", "r1", f"name {number}")
    told = heard(other)
    assert name(other, "Room", "r1") == f"name {MOST + 1}"
    assert told == [None]
    renamed(one, "Room", "r1", "red")
    assert name(other, "Room", "r1") == "red"
    assert None not in told[1:]
    assert one.scalar("SELECT COUNT(*) FROM _changes") < 2 * MOST


def test_what_one_has_indexed_the_others_keep_up(opened: Callable[[], Store]) -> None:
    one, other = opened(), opened()
    resource = next(iter(one.trigrams))
    for store in (one, other):
        store.trigrams[resource].unindexed = 0
    assert resource == "Room"
    with other.instant():
        assert other.holding("Room", "r1", 10) is None
    for store in (one, other):
        with store.instant():
            found = store.holding("Room", "r1", 10)
            assert found is not None
            assert found[1] == 2
    renamed(one, "Room", "r2", "red and blue")
    renamed(other, "Room", "r2", "green")
    for store, term, numbers in ((one, "green", [2]), (one, "red", []), (other, "green", [2]), (other, "blue", [])):
        with store.instant():
            assert store.holding("Room", term, 10) == (numbers, 2)


def test_a_write_of_too_much_may_have_touched_anything() -> None:
    few: set[Tag] = {("Room", number) for number in range(MOST_TAGS)}
    assert Written.heard([Written(few).told()]).touched == few
    assert Written.heard([Written(set()).told(), Written({*few, ("Room", -1)}).told()]).touched is None


def test_a_journal_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, pytest.raises(StoreError, match=r"'delete'.*'wal'"):
        Sharing.of(connection)


def test_a_queue_that_cannot_be_opened_is_refused(file: Path) -> None:
    Path(f"{file}{ENDING}").mkdir()
    with closing(connect(str(file))) as connection, pytest.raises(StoreError, match="a directory; allowed: a file"):
        Sharing.of(connection)


# The queue ----------------------------------------------------------------------------------------------------------


def test_who_waits_too_long_is_told_so_and_may_try_again(opened: Callable[[], Store], file: Path) -> None:
    store = opened()
    assert store.sharing is not None
    store.sharing.queue.patience = 0.01
    with closing(Queue(Path(f"{file}{ENDING}"))) as another:
        with another, pytest.raises(Busy), store.transaction():
            pass
        renamed(store, "Room", "r1", "red")
        with another:
            assert name(store, "Room", "r1") == "red"


def test_the_queue_goes_on_when_who_has_its_turn_is_killed(file: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from mock_server.store.queue import Queue\n"
        "with Queue(Path(sys.argv[1])):\n"
        "    print('mine', flush=True)\n"
        "    time.sleep(60)\n"
    )
    path = Path(f"{file}{ENDING}")
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process, closing(Queue(path)) as one:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        assert not one.take(0.01)
        process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        assert one.take(10)
        assert time.monotonic() - began < 5


# Writes that are done together --------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Api]:
    """A worker on a file with the demo dataset."""
    path = tmp_path / "store.db"
    path.write_bytes(template().read_bytes())
    made = worker(path, Watch())
    with closing(made.world.store):
        yield made


def done(batch: Batch, *works: Work) -> list[Answer | BaseException]:
    """What comes of writes that are asked for at once."""

    async def all_of_them() -> list[Answer | BaseException]:
        return await asyncio.gather(*map(batch.done, works), return_exceptions=True)

    return asyncio.run(all_of_them())


def said(api: Api, name: str, *, fails: bool = False) -> Work:
    """A write of a word that the store says of itself."""

    def work() -> Answer:
        api.world.store.set_meta({name: "1"})
        if fails:
            raise ZeroDivisionError(name)
        return Answer(name.encode())

    return work


def test_writes_that_wait_are_one_transaction(shared: Api) -> None:
    asked: list[str] = []
    shared.world.store.connection.set_trace_callback(asked.append)
    found = done(Batch(shared.world), said(shared, "a"), said(shared, "b"), said(shared, "c"))
    assert [one.body for one in found if isinstance(one, Answer)] == [b"a", b"b", b"c"]
    assert asked.count("COMMIT") == 1
    assert {"a", "b", "c"} <= set(shared.world.store.meta())


def test_of_writes_that_are_done_together_each_fails_alone(shared: Api) -> None:
    found = done(Batch(shared.world), said(shared, "a"), said(shared, "b", fails=True), said(shared, "c"))
    assert [type(one) for one in found] == [Answer, ZeroDivisionError, Answer]
    assert {"a", "b", "c"} & set(shared.world.store.meta()) == {"a", "c"}


def test_none_is_answered_where_they_cannot_be_committed(shared: Api) -> None:
    store = shared.world.store
    key = shared.data("listThreads")[0]["uuid"]
    before = name(store, "Thread", key)

    def bad() -> Answer:
        renamed(store, "Thread", key, "never")
        store.connection.execute("ROLLBACK")  # as SQLite itself does where the disk is full
        return Answer(None)

    found = done(Batch(shared.world), said(shared, "a"), bad, said(shared, "c"))
    assert all(isinstance(one, sqlite3.OperationalError) for one in found)
    assert not {"a", "c"} & set(store.meta())
    assert name(store, "Thread", key) == before
    assert [type(one) for one in done(Batch(shared.world), said(shared, "a"))] == [Answer]


def test_more_writes_than_one_transaction_has_room_for_are_several(shared: Api) -> None:
    asked: list[str] = []
    shared.world.store.connection.set_trace_callback(asked.append)
    number = 2 * MOST_TOGETHER + 1
    found = done(Batch(shared.world), *(said(shared, f"word {index}") for index in range(number)))
    assert all(isinstance(one, Answer) for one in found)
    assert asked.count("COMMIT") == 3


def test_while_it_is_another_s_turn_writes_wait_and_reads_do_not(shared: Api) -> None:
    store = shared.world.store
    path = Path(store.connection.execute("PRAGMA database_list").fetchone()[2] + ENDING)

    async def order() -> list[str]:
        ended: list[str] = []

        async def write() -> None:
            await Batch(shared.world).done(said(shared, "a"))
            ended.append("write")

        with closing(Queue(path)) as another:
            with another:
                writing = asyncio.create_task(write())
                for _ in range(20):
                    await asyncio.sleep(0)
                with store.instant():
                    ended.append("read")
            await writing
        return ended

    assert asyncio.run(order()) == ["read", "write"]


def test_a_write_that_waits_too_long_is_503(shared: Api) -> None:
    store = shared.world.store
    assert store.sharing is not None
    store.sharing.queue.patience = 0.02
    path = Path(store.connection.execute("PRAGMA database_list").fetchone()[2] + ENDING)
    with closing(Queue(path)) as another, another:
        late = shared.send("createThread", body={"name": "late"})
        assert (late.status, late.headers["x-mock-reason"], late.headers["retry-after"]) == (503, "overload", "1")
        assert shared.status("listThreads") == 200
    assert shared.status("createThread", body={"name": "in time"}) == 201
