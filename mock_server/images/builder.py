"""Builds the image of a dataset and describes it in the store's metadata."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from mock_server.sandbox.clock import format_timestamp
from mock_server.store import Store, StoreError
from mock_server.store.bulk_load import bulk_load
from spec.model import Contract
from spec.record import Record

NEWEST_RECORD_KEY = "newest"  # metadata: when the last of the dataset's records was created
# An incomplete file is deleted, so nothing needs a rollback; SQLite's default cache of 2 MiB is too small for indexes.
BUILD_PRAGMAS = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536")


class ImageError(StoreError):
    """A dataset image cannot be built or read."""


@dataclass(frozen=True, slots=True)
class DatasetParameters:
    """The parameters that determine the data of a sandbox. `epoch`: UTC."""

    dataset: str
    seed: int
    epoch: datetime
    size: float


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
    created_names = {name: r.attributes_with_stamp("created") for name, r in store.contract.resources.items()}
    newest = ""

    def track_newest() -> Iterator[Record]:
        nonlocal newest
        for record in records:
            newest = max((newest, *(record.attributes.get(name) or "" for name in created_names[record.resource])))
            yield record

    with store.transaction():
        bulk_load(store, track_newest())
        metadata = build_metadata(store.contract, parameters)
        store.write_metadata({**metadata, "phrases": orjson.dumps(dict(phrases)).decode(), NEWEST_RECORD_KEY: newest})
    store.connection.execute("ANALYZE")
    for index in store.search_indexes.values():
        index.index_all()


def build_metadata(contract: Contract, parameters: DatasetParameters) -> dict[str, str]:
    """Return the metadata that describe an image."""
    return {
        "contract": contract.document.digest,
        "dataset": parameters.dataset,
        "seed": str(parameters.seed),
        "size": repr(parameters.size).removesuffix(".0"),
        "epoch": format_timestamp(parameters.epoch),
    }
