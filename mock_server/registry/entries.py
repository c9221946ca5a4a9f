"""What the registry stores about each sandbox."""

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mock_server.images import DatasetParameters
from mock_server.sandbox.clock import ClockState
from mock_server.sandbox.sandbox import Sandbox, StoreReaders


@dataclass(frozen=True, slots=True)
class SandboxParameters:
    """What determines a new sandbox. `starts_at_epoch`: its clock starts at the epoch, else at the system's time.

    `execution_seconds`: run time of an execution; None: 2 to 5 seconds.
    """

    data: DatasetParameters
    starts_at_epoch: bool
    execution_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PendingCreation:
    """A sandbox whose dataset is being loaded or could not be loaded."""

    parameters: SandboxParameters
    dataset: Future[StoreReaders]
    _is_ended: Future[bool] = field(default_factory=Future)

    def end(self) -> None:
        """Wake the waiting requests: the sandbox is deleted, or created with other parameters."""
        self._is_ended.set_result(True)

    async def wait(self, timeout: float) -> None:
        """Wait until the dataset is loaded or the creation ends, at most `timeout` seconds."""
        futures: list[asyncio.Future[Any]] = [asyncio.wrap_future(self.dataset), asyncio.wrap_future(self._is_ended)]
        await asyncio.wait(futures, timeout=max(timeout, 0), return_when=asyncio.FIRST_COMPLETED)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state. `content`: of the store; None: the one of the dataset's image."""

    name: str
    saved_at: datetime
    clock: ClockState
    content: bytes | None

    def count_bytes(self) -> int:
        return len(self.content) if self.content is not None else 0


@dataclass(slots=True)
class SandboxEntry:
    """A sandbox with its parameters.

    `dataset`: the store of its image; None until the default sandbox needs it. `private_bytes`: memory of its private
    store, as measured at `measured_generation`. `used_at`, `created_at`: seconds of a monotonic clock.
    `initial_generation`: the one at which the default sandbox has the records of its dataset; None if not known.
    """

    sandbox: Sandbox
    parameters: SandboxParameters
    dataset: StoreReaders | None
    used_at: float
    created_at: float
    private_bytes: int = 0
    measured_generation: int = 0
    initial_generation: int | None = None
    snapshots: dict[str, Snapshot] = field(default_factory=dict)

    @property
    def is_modified(self) -> bool:
        """Whether the sandbox was written since it had the records of its dataset."""
        return not self.sandbox.is_alias and self.sandbox.store.generation != self.initial_generation

    def count_bytes(self) -> int:
        """Return the memory of private store, snapshots, journal and rules."""
        journal = self.sandbox.journal
        journal_bytes = 0 if journal is None else journal.byte_count
        return self.private_bytes + self.count_snapshot_bytes() + journal_bytes + self.sandbox.rules.byte_count

    def count_snapshot_bytes(self) -> int:
        return sum(snapshot.count_bytes() for snapshot in self.snapshots.values())
