"""Opens the store of a sandbox, in memory or in a file, and checks that a file fits the contract and the parameters."""

import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from mock_server.images.builder import NEWEST_RECORD_KEY, DatasetParameters, ImageError, build_metadata
from mock_server.sandbox.clock import Clock
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store, StoreError
from mock_server.store.connection import connect, copy_image
from spec.model import Contract
from spec.validators import SchemaValidators

SQLITE_URL_PREFIX = "sqlite:///"
CLOCK_OFFSET_KEY = "clock_ahead"  # metadata: microseconds by which the store's clock is ahead of the system's
# A file must match these parameters, by default. The epoch is not one of them: it only shifts the data in time.
IDENTITY_FIELDS = ("dataset", "seed", "size")
MICROSECOND = timedelta(microseconds=1)


def open_store(
    contract: Contract,
    parameters: DatasetParameters,
    target: str,
    get_image: Callable[[], bytes | Path],
    required_fields: Collection[str] = IDENTITY_FIELDS,
) -> Store:
    """Open the store at `target` (``memory`` or ``sqlite:///file.db``); a new one is filled from `get_image()`.

    `required_fields`: parameters that an existing file must match. Raises StoreError if it has another contract or
    another value of these.
    """
    if target == "memory":
        return _open_in_memory(contract, get_image)
    path = parse_store_url(target)
    if path.exists() and path.stat().st_size:
        return _reopen(contract, parameters, path, required_fields)
    if not path.parent.is_dir():
        raise StoreError(f"--store {target}: folder {path.parent} does not exist")
    try:
        image = get_image()
        connection = connect(str(path))
        copy_image(image, connection)
        connection.close()  # the copy changed the journal mode
        return Store.from_connection(contract, _lock_exclusively(connect(str(path))))
    except sqlite3.Error as error:
        raise StoreError(f"--store {target}: {error}") from None


def _open_in_memory(contract: Contract, get_image: Callable[[], bytes | Path]) -> Store:
    """Open a store in memory. A corrupt image file is deleted and rebuilt once."""
    image = get_image()
    try:
        return Store.from_image(contract, image)
    except sqlite3.Error:
        if isinstance(image, Path):
            with suppress(OSError):
                image.unlink()
    image = get_image()
    try:
        return Store.from_image(contract, image)
    except sqlite3.Error as error:
        location = f"{image} " if isinstance(image, Path) else ""
        raise ImageError(f"the dataset's image {location}cannot be read ({error}): delete it") from None


def _lock_exclusively(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Lock a file against other connections: their writes would make the cached records outdated."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    return connection


def parse_store_url(target: str) -> Path:
    """Return the file of a store's URL. Raises StoreError for another URL."""
    if not target.startswith(SQLITE_URL_PREFIX) or len(target) == len(SQLITE_URL_PREFIX):
        raise StoreError(f"--store: invalid value {target!r} (expected 'memory' or '{SQLITE_URL_PREFIX}FILE')")
    return Path(unquote(target[len(SQLITE_URL_PREFIX) :]))


def _reopen(contract: Contract, parameters: DatasetParameters, path: Path, required_fields: Collection[str]) -> Store:
    try:
        stored, expected = _read_metadata(path), build_metadata(contract, parameters)
        for name in ("contract", *(name for name in IDENTITY_FIELDS if name in required_fields)):
            if stored.get(name) != expected[name]:
                stored_value = stored.get(name, "none")[:16]
                raise StoreError(
                    f"{path} was created with another {name} ({stored_value}, now {expected[name][:16]}): "
                    f"start with that {name}, use another file, or delete this one to start over"
                )
        return Store.from_connection(contract, _lock_exclusively(connect(str(path))))
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise StoreError(f"{path} is in use by another mock: stop that one, or use another file") from None
        raise StoreError(f"{path} is not a store of this mock ({error}): use another file") from None


def _read_metadata(path: Path) -> dict[str, str]:
    """Read a file's metadata without changing it, since it may not be a store; `connect` would change it."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.5)) as connection:
        return {str(name): str(text) for name, text in connection.execute("SELECT name, value FROM _meta")}


def get_epoch(store: Store) -> datetime:
    """Return the epoch of a store's data."""
    return datetime.fromisoformat(store.read_metadata()["epoch"].replace("Z", "+00:00"))


def find_newest_after_epoch(store: Store) -> datetime | None:
    """Return when a store's newest dataset record was created, if after the epoch, as documented records may be."""
    newest = store.read_metadata().get(NEWEST_RECORD_KEY)
    newest_at = datetime.fromisoformat(newest) if newest else None
    return newest_at if newest_at is not None and newest_at > get_epoch(store) else None


def create_sandbox(
    contract: Contract,
    schemas: SchemaValidators,
    store: Store,
    source: Callable[[], datetime],
    *,
    from_epoch: bool = True,
) -> Sandbox:
    """Create the sandbox of a store. `from_epoch`: its clock starts at the epoch, else at the time of `source`."""
    clock = open_clock(store, source, from_epoch=from_epoch)
    return Sandbox(contract, schemas, store, clock, int(store.read_metadata()["seed"]))


def open_clock(store: Store, source: Callable[[], datetime], *, from_epoch: bool) -> Clock:
    """Return a store's clock, which is set when the store is first opened.

    It continues while no mock runs, like the system's clock, so that records never move to the future by a restart.
    """
    offset = store.read_metadata().get(CLOCK_OFFSET_KEY)
    if offset is not None:
        return Clock(source, int(offset) * MICROSECOND)
    clock = Clock.starting_at(get_epoch(store), source) if from_epoch else Clock(source)
    store.write_metadata({CLOCK_OFFSET_KEY: str(clock.offset // MICROSECOND)})
    return clock
