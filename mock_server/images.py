"""Dataset images: a complete store as a file, built once and cached between starts.

The key of a cached image covers everything that determines it: contract, dataset, seed, epoch, size, and the source
files of the code and texts. So an outdated image is never used, and the serving process never imports Faker.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from mock_server.store.pools import POOL_SIZE, write_pools
from spec.model import Contract
from spec.record import Record
from spec.validators import SchemaValidators

# An incomplete file is deleted, so nothing needs a rollback; SQLite's default cache of 2 MiB is too small for indexes.
BUILD_PRAGMAS = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536")
# Names of metadata: when the newest record of the dataset was created, and the microseconds by which the store's clock
# is ahead of the system's.
NEWEST_RECORD_KEY, CLOCK_OFFSET_KEY = "newest", "clock_ahead"
MICROSECOND = timedelta(microseconds=1)


_REQUIRED_METADATA = ("dataset", "seed", "size", "epoch")
_METADATA_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "seed": int,
    "size": float,
    "epoch": datetime.fromisoformat,
    NEWEST_RECORD_KEY: datetime.fromisoformat,
    CLOCK_OFFSET_KEY: int,
    "phrases": orjson.loads,
}


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

    @classmethod
    def from_metadata(cls, values: Mapping[str, str]) -> "DatasetParameters":
        """Return the parameters of the dataset that a store was created from."""
        epoch = datetime.fromisoformat(values["epoch"])
        has_documented_urls = values.get("documented_urls") == _describe_flag(True)
        return cls(values["dataset"], int(values["seed"]), epoch, float(values["size"]), has_documented_urls)


def _describe_flag(value: bool) -> str:
    return "yes" if value else "no"


def build_image(
    contract: Contract,
    parameters: DatasetParameters,
    records: Iterable[Record],
    phrases: Mapping[str, Any],
    pool_records: Iterable[Record] = (),
) -> bytes:
    """Build the image of a store with `records` and the `phrases` of generated texts.

    `pool_records`: records whose attributes are values of records that a test creates.
    """
    with closing(Store.create(contract)) as store:
        _populate(store, parameters, records, phrases, pool_records)
        return store.serialize()


def build_image_file(
    path: Path,
    contract: Contract,
    parameters: DatasetParameters,
    records: Iterable[Record],
    phrases: Mapping[str, Any],
    pool_records: Iterable[Record] = (),
) -> None:
    """Build an image as a file, which may exceed the memory. An error leaves an incomplete file."""
    with closing(Store.create(contract, str(path))) as store:
        for pragma in BUILD_PRAGMAS:
            store.connection.execute(f"PRAGMA {pragma}")
        _populate(store, parameters, records, phrases, pool_records)


def _populate(
    store: Store,
    parameters: DatasetParameters,
    records: Iterable[Record],
    phrases: Mapping[str, Any],
    pool_records: Iterable[Record],
) -> None:
    with store.transaction():
        bulk_load(store, records)
        if pools := _collect_pools(store.contract, pool_records):
            write_pools(store.connection, pools)
        values = {"phrases": orjson.dumps(dict(phrases)).decode(), NEWEST_RECORD_KEY: _find_newest(store)}
        store.write_metadata(build_metadata(store.contract, parameters) | values)
    store.connection.execute("ANALYZE")
    for index in store.search_indexes.values():
        index.index_all()


def _collect_pools(contract: Contract, records: Iterable[Record]) -> dict[str, list[dict[str, Any]]]:
    """Return the first attributes of each resource, without key and attributes that the server sets."""
    pools: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        resource, pool = contract.resources[record.resource], pools.setdefault(record.resource, [])
        if len(pool) < POOL_SIZE:
            known = {n: a for n, a in resource.attributes.items() if a.stamp is None and n != resource.key_attribute}
            pool.append({name: value for name, value in record.attributes.items() if name in known})
    return pools


def _find_newest(store: Store) -> str:
    """Return when the newest record was created; empty without records."""
    resources = store.contract.resources.values()
    attributes = ((resource.name, name) for resource in resources for name in resource.attributes_with_stamp("created"))
    maxima = (store.aggregate(r, f"MAX({store.build_expression(r, name).sql})") for r, name in attributes)
    return max((instant or "" for instant in maxima), default="")


def build_metadata(contract: Contract, parameters: DatasetParameters) -> dict[str, str]:
    """Return what a store must match. The contract counts by its meaning: a new description changes no record."""
    return {"contract": contract.document.semantic_digest, **_describe_parameters(parameters)}


def _describe_parameters(parameters: DatasetParameters) -> dict[str, str]:
    return {
        "dataset": parameters.dataset,
        "seed": str(parameters.seed),
        "size": repr(parameters.size).removesuffix(".0"),
        "epoch": format_timestamp(parameters.epoch),
        "documented_urls": _describe_flag(parameters.documented_urls),
    }


def compute_image_key(contract: Contract, parameters: DatasetParameters, source_files: Iterable[Path]) -> str:
    """Compute the key of an image, a digest. `source_files`: files whose content determines the image."""
    parts = {"contract": contract.document.digest, **_describe_parameters(parameters)}  # examples become records
    digest = hashlib.sha256(repr(sorted(parts.items())).encode())
    for path in sorted(source_files):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    digest.update(f"{sqlite3.sqlite_version} {metadata.version('faker')}".encode())
    return digest.hexdigest()[:32]


def list_source_files(*folders: Path) -> Iterator[Path]:
    """Yield the code and data files of `folders`."""
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.suffix in (".py", ".yaml") and path.is_file())


def find_invalid_metadata(values: Mapping[str, str]) -> Iterator[str]:
    """Describe the metadata of a store that are missing or cannot be parsed."""
    for name in ("dataset", *_METADATA_PARSERS):
        value = values.get(name)
        if value is None and name in _REQUIRED_METADATA:
            yield f"the metadata have no {name}"
        elif value and name in _METADATA_PARSERS:
            try:
                _METADATA_PARSERS[name](value)
            except ValueError:
                yield f"the metadata have an invalid {name}: {value[:60]!r}"


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
