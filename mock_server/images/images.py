"""Dataset images: a whole store as bytes, built once by a child process and kept between starts.

An image is keyed by everything that it is a function of: the contract, the dataset, seed, epoch, size, and the code and
texts that made it. So a stale one is never served, and the serving process never imports Faker.
"""

import hashlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from mock_server.sandbox.clock import Clock, format_timestamp
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store, StoreError
from mock_server.store.bulk_load import bulk_load
from mock_server.store.connection import connect, copy_image
from spec.loader import Contract
from spec.record import Record
from spec.validators import SchemaValidators

MAX_CACHED_IMAGES = 8
SQLITE_URL_PREFIX = "sqlite:///"
CLOCK_OFFSET_KEY = "clock_ahead"  # by how many microseconds a store's clock is ahead of the system's
# What of a recipe a store is known again by: with another epoch it is another present, not another world.
IDENTITY_FIELDS = ("dataset", "seed", "size")
NEWEST_RECORD_KEY = "newest"  # when the last of the dataset's records was created
# A file that is built is whole or thrown away, so nothing needs to be undone or safe; and its indexes are written here
# and there, so that SQLite's 2 MiB of them in memory are too few.
BUILD_PRAGMAS = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536")
MICROSECOND = timedelta(microseconds=1)


class ImageError(StoreError):
    """A dataset that could not be built."""


@dataclass(frozen=True, slots=True)
class DatasetParameters:
    """What a world's data are a function of. `epoch`: UTC."""

    dataset: str
    seed: int
    epoch: datetime
    size: float


def build_image(
    contract: Contract, parameters: DatasetParameters, records: Iterable[Record], phrases: Mapping[str, Any]
) -> bytes:
    """The image of a store that holds `records`, and the `phrases` that named actions answer with."""
    with closing(Store.create(contract)) as store:
        _populate(store, parameters, records, phrases)
        return store.serialize()


def build_image_file(
    path: Path, contract: Contract, parameters: DatasetParameters, records: Iterable[Record], phrases: Mapping[str, Any]
) -> None:
    """The same as a file, which may be larger than what fits into memory. Half a file is left where that fails."""
    with closing(Store.create(contract, str(path))) as store:
        for pragma in BUILD_PRAGMAS:
            store.connection.execute(f"PRAGMA {pragma}")
        _populate(store, parameters, records, phrases)


def _populate(
    store: Store, parameters: DatasetParameters, records: Iterable[Record], phrases: Mapping[str, Any]
) -> None:
    created_attributes = {
        name: resource.attributes_with_stamp("created") for name, resource in store.contract.resources.items()
    }
    newest = ""

    def track_newest() -> Iterator[Record]:
        nonlocal newest
        for record in records:
            newest = max(
                (newest, *(record.attributes.get(attribute) or "" for attribute in created_attributes[record.resource]))
            )
            yield record

    with store.transaction():
        bulk_load(store, track_newest())
        meta = _build_metadata(store.contract, parameters)
        store.write_metadata({**meta, "phrases": orjson.dumps(dict(phrases)).decode(), NEWEST_RECORD_KEY: newest})
    store.connection.execute("ANALYZE")
    for index in store.search_indexes.values():
        index.index_all()


def _build_metadata(contract: Contract, parameters: DatasetParameters) -> dict[str, str]:
    return {
        "contract": contract.document.digest,
        "dataset": parameters.dataset,
        "seed": str(parameters.seed),
        "size": repr(parameters.size).removesuffix(".0"),
        "epoch": format_timestamp(parameters.epoch),
    }


def compute_image_key(contract: Contract, parameters: DatasetParameters, source_files: Iterable[Path]) -> str:
    """The name of an image: a digest of all that it is made from. `source_files`: files whose content decides too."""
    digest = hashlib.sha256(repr(sorted(_build_metadata(contract, parameters).items())).encode())
    for path in sorted(source_files):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    digest.update(f"{sqlite3.sqlite_version} {metadata.version('faker')}".encode())
    return digest.hexdigest()[:32]


def find_cache_folder() -> Path:
    """Where images are kept: the user's cache folder, else the system's folder for temporary files."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    folder = Path(base) if base else Path.home() / ".cache"
    for candidate in (
        folder / "athena-mock",
        Path(tempfile.gettempdir()) / f"athena-mock-{os.getuid() if hasattr(os, 'getuid') else 0}",
    ):
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(candidate, os.W_OK) and _is_private(candidate):
                return candidate
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="athena-mock-"))


def _is_private(folder: Path) -> bool:
    """Whether nobody else can put an image there: where all may write, another user may have made it before us."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def get_or_build_image(folder: Path, key: str, build: Callable[[Path], None]) -> Path:
    """The file of the image `key` in `folder`; where it is missing `build` is told the path to write it to."""
    path = folder / f"{key}.image"
    if not path.exists():
        temporary_path = folder / f"{key}.{os.getpid()}.new"
        try:
            build(temporary_path)
            temporary_path.replace(path)  # whole or not at all, also beside another process that does the same
        finally:
            temporary_path.unlink(missing_ok=True)
        for outdated in sorted(folder.glob("*.image"), key=_get_mtime, reverse=True)[MAX_CACHED_IMAGES:]:
            outdated.unlink(missing_ok=True)
    return path


def _get_mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just removed it
        return 0.0


def open_store(
    contract: Contract,
    parameters: DatasetParameters,
    target: str,
    get_image: Callable[[], bytes | Path],
    required_fields: Collection[str] = IDENTITY_FIELDS,
) -> Store:
    """The store at `target` (``memory`` or ``sqlite:///file.db``), filled from `image()` when it is new.

    `required_fields`: what of the recipe a file must have been made under; the rest is the file's own. Raises
    StoreError for one made under another contract, or another of these.
    """
    if target == "memory":
        return _open_in_memory(contract, get_image)
    path = parse_store_url(target)
    if path.exists() and path.stat().st_size:
        return _reopen(contract, parameters, path, required_fields)
    if not path.parent.is_dir():
        raise StoreError(f"--store {target}: there is no folder {path.parent}")
    try:
        image = get_image()
        connection = connect(str(path))
        copy_image(image, connection)
        connection.close()  # what was copied brought its own journal mode
        return Store.from_connection(contract, _lock_exclusively(connect(str(path))))
    except sqlite3.Error as error:
        raise StoreError(f"--store {target}: {error}") from None


def _open_in_memory(contract: Contract, get_image: Callable[[], bytes | Path]) -> Store:
    """A store in memory; an image that is broken is made anew, once."""
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
        raise ImageError(
            f"the dataset's image {_format_image_path(image)}cannot be read ({error}): remove it"
        ) from None


def _format_image_path(image: bytes | Path) -> str:
    return f"{image} " if isinstance(image, Path) else ""


def _lock_exclusively(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A file's connection that lets no other one in while it is open: what is cached in memory would be stale."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    return connection


def parse_store_url(target: str) -> Path:
    """The file that a store's address names. Raises StoreError when it names none."""
    if not target.startswith(SQLITE_URL_PREFIX) or len(target) == len(SQLITE_URL_PREFIX):
        raise StoreError(f"--store {target!r}: allowed are 'memory' and '{SQLITE_URL_PREFIX}FILE'")
    return Path(unquote(target[len(SQLITE_URL_PREFIX) :]))


def _reopen(contract: Contract, parameters: DatasetParameters, path: Path, required_fields: Collection[str]) -> Store:
    try:
        stored, expected = _read_metadata(path), _build_metadata(contract, parameters)
        for name in ("contract", *(name for name in IDENTITY_FIELDS if name in required_fields)):
            if stored.get(name) != expected[name]:
                raise StoreError(
                    f"{path} was made under another {name} ({stored.get(name, 'none')[:16]}, now {expected[name][:16]}): "
                    f"start with that {name}, name another file, or delete this one to begin anew"
                )
        return Store.from_connection(contract, _lock_exclusively(connect(str(path))))
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise StoreError(f"{path} is in use by another mock: end that one, or name another file") from None
        raise StoreError(f"{path} is no store of this mock ({error}): name another file") from None


def _read_metadata(path: Path) -> dict[str, str]:
    """What a store's file says of itself. Only read: `connect` changes a file, and this one may be anybody's."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.5)) as connection:
        return {str(name): str(text) for name, text in connection.execute("SELECT name, value FROM _meta")}


def get_epoch(store: Store) -> datetime:
    """The epoch that a store's data were made for."""
    return datetime.fromisoformat(store.read_metadata()["epoch"].replace("Z", "+00:00"))


def find_newest_after_epoch(store: Store) -> datetime | None:
    """When the last of a store's seeded records was created, if that is after its epoch, as documented ones may be."""
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
    """A world on a store. `from_epoch`: its clock starts at the store's epoch; else it is the system's (`source`)."""
    return Sandbox(
        contract, schemas, store, open_clock(store, source, from_epoch=from_epoch), int(store.read_metadata()["seed"])
    )


def open_clock(store: Store, source: Callable[[], datetime], *, from_epoch: bool) -> Clock:
    """A store's clock, decided when the store is first opened. It runs on while no mock is up, as the system's does:
    so after a restart no record lies ahead of it that did not before.
    """
    offset = store.read_metadata().get(CLOCK_OFFSET_KEY)
    if offset is not None:
        return Clock(source, int(offset) * MICROSECOND)
    created = Clock.starting_at(get_epoch(store), source) if from_epoch else Clock(source)
    store.write_metadata({CLOCK_OFFSET_KEY: str(created.offset // MICROSECOND)})
    return created


def list_source_files(*folders: Path) -> Iterator[Path]:
    """The code and data files of `folders`."""
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.suffix in (".py", ".yaml") and path.is_file())
