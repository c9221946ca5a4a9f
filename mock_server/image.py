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

from mock_server.clock import Clock, format_timestamp
from mock_server.store import Store, StoreError
from mock_server.store.filling import fill
from mock_server.store.store import connect, copy_image
from mock_server.world import World
from spec.contract import Contract
from spec.record import Record
from spec.schemas import SchemaValidators

KEPT_IMAGES = 8
SCHEME = "sqlite:///"
AHEAD = "clock_ahead"  # by how many microseconds a store's clock is ahead of the system's
# What of a recipe a store is known again by: with another epoch it is another present, not another world.
RECIPE = ("dataset", "seed", "size")
NEWEST = "newest"  # when the last of the dataset's records was created
# A file that is built is whole or thrown away, so nothing needs to be undone or safe; and its indexes are written here
# and there, so that SQLite's 2 MiB of them in memory are too few.
BUILDING = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536")
MICROSECOND = timedelta(microseconds=1)


class ImageError(StoreError):
    """A dataset that could not be built."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a world's data are a function of. `epoch`: UTC."""

    dataset: str
    seed: int
    epoch: datetime
    size: float


def build(contract: Contract, recipe: Recipe, records: Iterable[Record], phrases: Mapping[str, Any]) -> bytes:
    """The image of a store that holds `records`, and the `phrases` that named actions answer with."""
    with closing(Store.empty(contract)) as store:
        _fill(store, recipe, records, phrases)
        return store.image()


def build_file(
    path: Path, contract: Contract, recipe: Recipe, records: Iterable[Record], phrases: Mapping[str, Any]
) -> None:
    """The same as a file, which may be larger than what fits into memory. Half a file is left where that fails."""
    with closing(Store.empty(contract, str(path))) as store:
        for pragma in BUILDING:
            store.connection.execute(f"PRAGMA {pragma}")
        _fill(store, recipe, records, phrases)


def _fill(store: Store, recipe: Recipe, records: Iterable[Record], phrases: Mapping[str, Any]) -> None:
    made = {name: resource.attributes_with_stamp("created") for name, resource in store.contract.resources.items()}
    newest = ""

    def noted() -> Iterator[Record]:
        nonlocal newest
        for record in records:
            newest = max((newest, *(record.attributes.get(stamp) or "" for stamp in made[record.resource])))
            yield record

    with store.transaction():
        fill(store, noted())
        meta = _meta(store.contract, recipe)
        store.set_meta({**meta, "phrases": orjson.dumps(dict(phrases)).decode(), NEWEST: newest})
    store.connection.execute("ANALYZE")
    for trigrams in store.trigrams.values():
        trigrams.fill()


def _meta(contract: Contract, recipe: Recipe) -> dict[str, str]:
    return {
        "contract": contract.document.digest,
        "dataset": recipe.dataset,
        "seed": str(recipe.seed),
        "size": repr(recipe.size).removesuffix(".0"),
        "epoch": format_timestamp(recipe.epoch),
    }


def image_key(contract: Contract, recipe: Recipe, ingredients: Iterable[Path]) -> str:
    """The name of an image: a digest of all that it is made from. `ingredients`: files whose content decides too."""
    digest = hashlib.sha256(repr(sorted(_meta(contract, recipe).items())).encode())
    for path in sorted(ingredients):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    digest.update(f"{sqlite3.sqlite_version} {metadata.version('faker')}".encode())
    return digest.hexdigest()[:32]


def cache_folder() -> Path:
    """Where images are kept: the user's cache folder, else the system's folder for temporary files."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    folder = Path(base) if base else Path.home() / ".cache"
    for candidate in (
        folder / "athena-mock",
        Path(tempfile.gettempdir()) / f"athena-mock-{os.getuid() if hasattr(os, 'getuid') else 0}",
    ):
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(candidate, os.W_OK) and _is_own(candidate):
                return candidate
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="athena-mock-"))


def _is_own(folder: Path) -> bool:
    """Whether nobody else can put an image there: where all may write, another user may have made it before us."""
    if not hasattr(os, "getuid"):
        return True
    said = folder.lstat()
    return stat.S_ISDIR(said.st_mode) and said.st_uid == os.getuid() and not said.st_mode & 0o022


def kept(folder: Path, key: str, make: Callable[[Path], None]) -> Path:
    """The file of the image `key` in `folder`; where it is missing `make` is told the path to write it to."""
    path = folder / f"{key}.image"
    if not path.exists():
        fresh = folder / f"{key}.{os.getpid()}.new"
        try:
            make(fresh)
            fresh.replace(path)  # whole or not at all, also beside another process that does the same
        finally:
            fresh.unlink(missing_ok=True)
        for old in sorted(folder.glob("*.image"), key=_made_at, reverse=True)[KEPT_IMAGES:]:
            old.unlink(missing_ok=True)
    return path


def _made_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just removed it
        return 0.0


def open_store(
    contract: Contract,
    recipe: Recipe,
    target: str,
    image: Callable[[], bytes | Path],
    due: Collection[str] = RECIPE,
) -> Store:
    """The store at `target` (``memory`` or ``sqlite:///file.db``), filled from `image()` when it is new.

    `due`: what of the recipe a file must have been made under; the rest is the file's own. Raises
    StoreError for one made under another contract, or another of these.
    """
    if target == "memory":
        return _in_memory(contract, image)
    path = file_of(target)
    if path.exists() and path.stat().st_size:
        return _reopened(contract, recipe, path, due)
    if not path.parent.is_dir():
        raise StoreError(f"--store {target}: there is no folder {path.parent}")
    try:
        made = image()
        connection = connect(str(path))
        copy_image(made, connection)
        connection.close()  # what was copied brought its own journal mode
        return Store.opened(contract, _held(connect(str(path))))
    except sqlite3.Error as error:
        raise StoreError(f"--store {target}: {error}") from None


def _in_memory(contract: Contract, image: Callable[[], bytes | Path]) -> Store:
    """A store in memory; an image that is broken is made anew, once."""
    made = image()
    try:
        return Store.from_image(contract, made)
    except sqlite3.Error:
        if isinstance(made, Path):
            with suppress(OSError):
                made.unlink()
    made = image()
    try:
        return Store.from_image(contract, made)
    except sqlite3.Error as error:
        raise ImageError(f"the dataset's image {_named(made)}cannot be read ({error}): remove it") from None


def _named(image: bytes | Path) -> str:
    return f"{image} " if isinstance(image, Path) else ""


def _held(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A file's connection that lets no other one in while it is open: what is cached in memory would be stale."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    return connection


def file_of(target: str) -> Path:
    """The file that a store's address names. Raises StoreError when it names none."""
    if not target.startswith(SCHEME) or len(target) == len(SCHEME):
        raise StoreError(f"--store {target!r}: allowed are 'memory' and '{SCHEME}FILE'")
    return Path(unquote(target[len(SCHEME) :]))


def _reopened(contract: Contract, recipe: Recipe, path: Path, due: Collection[str]) -> Store:
    try:
        said, now = _said_of(path), _meta(contract, recipe)
        for name in ("contract", *(name for name in RECIPE if name in due)):
            if said.get(name) != now[name]:
                raise StoreError(
                    f"{path} was made under another {name} ({said.get(name, 'none')[:16]}, now {now[name][:16]}): "
                    f"start with that {name}, name another file, or delete this one to begin anew"
                )
        return Store.opened(contract, _held(connect(str(path))))
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise StoreError(f"{path} is in use by another mock: end that one, or name another file") from None
        raise StoreError(f"{path} is no store of this mock ({error}): name another file") from None


def _said_of(path: Path) -> dict[str, str]:
    """What a store's file says of itself. Only read: `connect` changes a file, and this one may be anybody's."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.5)) as connection:
        return {str(name): str(text) for name, text in connection.execute("SELECT name, value FROM _meta")}


def epoch_of(store: Store) -> datetime:
    """The epoch that a store's data were made for."""
    return datetime.fromisoformat(store.meta()["epoch"].replace("Z", "+00:00"))


def beyond(store: Store) -> datetime | None:
    """When the last of a store's seeded records was created, if that is after its epoch, as documented ones may be."""
    newest = store.meta().get(NEWEST)
    at = datetime.fromisoformat(newest) if newest else None
    return at if at is not None and at > epoch_of(store) else None


def world(
    contract: Contract,
    schemas: SchemaValidators,
    store: Store,
    source: Callable[[], datetime],
    *,
    from_epoch: bool = True,
) -> World:
    """A world on a store. `from_epoch`: its clock starts at the store's epoch; else it is the system's (`source`)."""
    return World(contract, schemas, store, clock(store, source, from_epoch=from_epoch), int(store.meta()["seed"]))


def clock(store: Store, source: Callable[[], datetime], *, from_epoch: bool) -> Clock:
    """A store's clock, decided when the store is first opened. It runs on while no mock is up, as the system's does:
    so after a restart no record lies ahead of it that did not before.
    """
    said = store.meta().get(AHEAD)
    if said is not None:
        return Clock(source, int(said) * MICROSECOND)
    made = Clock.starting_at(epoch_of(store), source) if from_epoch else Clock(source)
    store.set_meta({AHEAD: str(made.offset // MICROSECOND)})
    return made


def ingredients(*folders: Path) -> Iterator[Path]:
    """The code and data files of `folders`."""
    for folder in folders:
        yield from (p for p in folder.rglob("*") if p.suffix in (".py", ".yaml") and p.is_file())
