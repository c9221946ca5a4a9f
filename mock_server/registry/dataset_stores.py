"""The read-only stores of dataset images, which sandboxes share until they write.

A thread loads them, since the image of a dataset that was not used before is built by a child process, in seconds.
"""

import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from mock_server.images import DatasetParameters
from mock_server.sandbox.sandbox import StoreReaders
from mock_server.store import Store
from spec.model import Contract

MAX_PENDING_DATASETS = 100

# Returns the image of a dataset, which it builds if necessary. Raises an exception with a message for the user.
GetImage = Callable[[DatasetParameters], bytes | Path]


class DatasetError(Exception):
    """A dataset cannot be loaded: the message says why."""


class TooManyDatasets(Exception):
    """MAX_PENDING_DATASETS datasets are being built."""


@dataclass(slots=True)
class DatasetStores:
    """Loads the images of datasets. `futures`: of the requested datasets; a failed one can be requested again."""

    contract: Contract
    get_image: GetImage
    futures: dict[DatasetParameters, Future[StoreReaders]] = field(default_factory=dict)
    _queue: SimpleQueue[tuple[DatasetParameters, Future[StoreReaders]]] = field(default_factory=SimpleQueue)
    _thread: Thread | None = None

    def request(self, parameters: DatasetParameters) -> Future[StoreReaders]:
        """Return the future of a dataset, whose exception is a DatasetError. Raises TooManyDatasets."""
        future = self.futures.get(parameters)
        if future is not None and not (future.done() and future.exception()):
            return future
        if sum(not pending.done() for pending in self.futures.values()) >= MAX_PENDING_DATASETS:
            raise TooManyDatasets(f"{MAX_PENDING_DATASETS} datasets are being built")
        future = self.futures[parameters] = Future()
        self._queue.put((parameters, future))
        if self._thread is None:  # a daemon: the process may exit while it builds
            self._thread = Thread(target=self._load_requested, name="datasets", daemon=True)
            self._thread.start()
        return future

    def release(self, used: Iterable[DatasetParameters]) -> None:
        """Forget the loaded datasets that are not in `used`."""
        kept = set(used)
        for parameters in [p for p, future in self.futures.items() if future.done() and p not in kept]:
            del self.futures[parameters]

    def count_bytes(self) -> int:
        """Return the size of all loaded datasets."""
        futures = self.futures.values()
        loaded = [future for future in futures if future.done() and future.exception() is None]
        return sum(future.result().store.count_bytes() for future in loaded)

    def _load_requested(self) -> None:
        while True:
            parameters, future = self._queue.get()
            try:
                future.set_result(load_dataset_store(self.contract, self.get_image(parameters)))
            except Exception as error:
                future.set_exception(DatasetError(str(error)))


def load_dataset_store(contract: Contract, image: bytes | Path) -> StoreReaders:
    """Load an image as a read-only store. Raises DatasetError."""
    content = image if isinstance(image, bytes) else image.read_bytes()
    try:
        store = Store.from_bytes(contract, content)
        store.make_read_only()
        return StoreReaders.from_store(contract, store)
    except sqlite3.Error as error:
        raise DatasetError(f"the dataset's image cannot be read ({error})") from error
