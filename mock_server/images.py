"""Dataset images: a complete store as a file, built once and cached between starts, and the stores opened from it.

The key of a cached image covers everything that determines it: contract, dataset, seed, epoch, size, and the source
files of the code and texts. So an outdated image is never used, and the serving process never imports Faker.
"""

import hashlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from mock_server.sandbox.clock import Clock, format_timestamp
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store, StoreError
from mock_server.store.bulk_load import bulk_load
from mock_server.store.connection import connect, copy_image
from spec.model import Contract
from spec.record import Record
from spec.validators import SchemaValidators

APP_NAME = "athena-mock"
MAX_CACHED_IMAGES = 8
# An incomplete file is deleted, so nothing needs a rollback; SQLite's default cache of 2 MiB is too small for indexes.
BUILD_PRAGMAS = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536")
# Names of metadata: when the newest record of the dataset was created, and the microseconds by which the store's clock
# is ahead of the system's.
NEWEST_RECORD_KEY, CLOCK_OFFSET_KEY = "newest", "clock_ahead"
# A file must match these parameters, by default. The epoch is not one of them: it only shifts the data in time.
IDENTITY_FIELDS = ("dataset", "seed", "size", "documented_urls")
MICROSECOND = timedelta(microseconds=1)


class ImageError(StoreError):
    """A dataset image cannot be built or read."""


@dataclass(frozen=True, slots=True)
class DatasetParameters:
    """The parameters that determine the data of a sandbox. `epoch`: UTC.

    `documented_urls`: keep the file URLs at example.com that the documentation shows.
    """

    dataset: str
    seed: int
    epoch: datetime
    size: float
    documented_urls: bool = False


def build_image(
    contract: Contract, parameters: DatasetParameters, records: Iterable[Record], phrases: Mapping[str, Any]
) -> bytes:
    """Build the image of a store with `records` and the `phrases` of generated texts."""
    with closing(Store.create(contract)) as store:
        _populate(store, parameters, records, phrases)
        return store.serialize()


def build_image_file(
    path: Path, contract: Contract, parameters: DatasetParameters, records: Iterable[Record], phrases: Mapping[str, Any]
) -> None:
    """Build an image as a file, which may exceed the memory. An error leaves an incomplete file."""
    with closing(Store.create(contract, str(path))) as store:
        for pragma in BUILD_PRAGMAS:
            store.connection.execute(f"PRAGMA {pragma}")
        _populate(store, parameters, records, phrases)


def _populate(
    store: Store, parameters: DatasetParameters, records: Iterable[Record], phrases: Mapping[str, Any]
) -> None:
    with store.transaction():
        bulk_load(store, records)
        values = {"phrases": orjson.dumps(dict(phrases)).decode(), NEWEST_RECORD_KEY: _find_newest(store)}
        store.write_metadata(build_metadata(store.contract, parameters) | values)
    store.connection.execute("ANALYZE")
    for index in store.search_indexes.values():
        index.index_all()


def _find_newest(store: Store) -> str:
    """Return when the newest record was created; empty without records."""
    resources = store.contract.resources.values()
    attributes = ((resource.name, name) for resource in resources for name in resource.attributes_with_stamp("created"))
    maxima = (store.aggregate(r, f"MAX({store.build_expression(r, name).sql})") for r, name in attributes)
    return max((instant or "" for instant in maxima), default="")


def build_metadata(contract: Contract, parameters: DatasetParameters) -> dict[str, str]:
    return {
        "contract": contract.document.digest,
        "dataset": parameters.dataset,
        "seed": str(parameters.seed),
        "size": repr(parameters.size).removesuffix(".0"),
        "epoch": format_timestamp(parameters.epoch),
        "documented_urls": "yes" if parameters.documented_urls else "no",
    }


def compute_image_key(contract: Contract, parameters: DatasetParameters, source_files: Iterable[Path]) -> str:
    """Compute the key of an image, a digest. `source_files`: files whose content determines the image."""
    digest = hashlib.sha256(repr(sorted(build_metadata(contract, parameters).items())).encode())
    for path in sorted(source_files):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    digest.update(f"{sqlite3.sqlite_version} {metadata.version('faker')}".encode())
    return digest.hexdigest()[:32]


def list_source_files(*folders: Path) -> Iterator[Path]:
    """Yield the code and data files of `folders`."""
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.suffix in (".py", ".yaml") and path.is_file())


def find_cache_folder() -> Path:
    """Return the folder for images: in the user's cache folder, else in a folder for temporary files."""
    from platformdirs import user_cache_path  # only imported when needed: it is not used with --store

    user_id = os.getuid() if hasattr(os, "getuid") else 0
    shared = Path(tempfile.gettempdir()) / f"{APP_NAME}-{user_id}"
    for candidate in (user_cache_path(APP_NAME, appauthor=False, opinion=False), shared):
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(candidate, os.W_OK) and _is_private(candidate):
                return candidate
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix=f"{APP_NAME}-"))


def _is_private(folder: Path) -> bool:
    """Return whether no other user can write to a folder, or created it before in a shared parent."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def get_or_build_image(folder: Path, key: str, build: Callable[[Path], None]) -> Path:
    """Return the file of the image `key` in `folder`. A missing one is built: `build` gets the path to write to."""
    path = folder / f"{key}.image"
    if not path.exists():
        temporary_path = folder / f"{key}.{os.getpid()}.new"
        try:
            build(temporary_path)
            temporary_path.replace(path)  # atomic, so another process may build the same image at the same time
        finally:
            temporary_path.unlink(missing_ok=True)
        for outdated in sorted(folder.glob("*.image"), key=_get_mtime, reverse=True)[MAX_CACHED_IMAGES:]:
            outdated.unlink(missing_ok=True)
    return path


def _get_mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has deleted it
        return 0.0


def open_store(
    contract: Contract,
    parameters: DatasetParameters,
    path: Path | None,
    get_image: Callable[[], bytes | Path],
    required_fields: Collection[str] = IDENTITY_FIELDS,
) -> Store:
    """Open the store in the file `path`, None: in memory; a new one is filled from `get_image()`.

    `required_fields`: parameters that an existing file must match. Raises StoreError if it has another contract or
    another value of these.
    """
    if path is None:
        return _open_in_memory(contract, get_image)
    if path.exists() and path.stat().st_size:
        return _reopen(contract, parameters, path, required_fields)
    if not path.parent.is_dir():
        raise StoreError(f"--store: folder {path.parent} does not exist")
    try:
        image = get_image()
        connection = connect(str(path))
        copy_image(image, connection)
        connection.close()  # the copy changed the journal mode
        return Store.from_connection(contract, _lock_exclusively(connect(str(path))))
    except sqlite3.Error as error:
        raise StoreError(f"--store {path}: {error}") from None


def _open_in_memory(contract: Contract, get_image: Callable[[], bytes | Path]) -> Store:
    """Open a store in memory. A corrupt image file is deleted and rebuilt once."""
    image = get_image()
    try:
        return Store.from_image(contract, image)
    except sqlite3.Error:
        if isinstance(image, Path):
            image.unlink(missing_ok=True)
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


def _reopen(contract: Contract, parameters: DatasetParameters, path: Path, required_fields: Collection[str]) -> Store:
    try:
        stored, expected = _read_metadata(path), build_metadata(contract, parameters)
        for name in ("contract", *(name for name in IDENTITY_FIELDS if name in required_fields)):
            if stored.get(name) != expected[name]:
                stored_value, label = stored.get(name, "none")[:16], name.replace("_", "-")
                raise StoreError(
                    f"{path} was created with another {label} ({stored_value}, now {expected[name][:16]}): "
                    f"start with that {label}, use another file, or delete this one to start over"
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
    clock = Clock(source, get_epoch(store) - source()) if from_epoch else Clock(source)
    store.write_metadata({CLOCK_OFFSET_KEY: str(clock.offset // MICROSECOND)})
    return clock
