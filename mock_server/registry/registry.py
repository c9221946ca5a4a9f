"""Creates, finds, resets and deletes the sandboxes of a mock, within a limit of memory."""

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from mock_server.errors import ApiError, ErrorKind, deleted_sandbox_error
from mock_server.images import CLOCK_OFFSET_KEY, MICROSECOND, DatasetParameters
from mock_server.registry.dataset_stores import DatasetStores, GetImage, TooManyDatasets
from mock_server.registry.entries import PendingCreation, SandboxEntry, SandboxParameters, Snapshot
from mock_server.sandbox.clock import Clock, ClockState
from mock_server.sandbox.journal import DEFAULT_JOURNAL_BYTES, RequestJournal
from mock_server.sandbox.rules import RuleSet
from mock_server.sandbox.sandbox import DEFAULT_NAME, Sandbox, StoreReaders
from mock_server.store import Store

# A label of a host name in lower case, since a sandbox can be selected by host. Also the names of snapshots.
NAME_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
DEFAULT_MAX_BYTES = 1024 * 1024 * 1024
DEFAULT_IDLE_SECONDS = 3600.0
# Estimated memory in addition to the content: of each sandbox, and of the caches of each private store.
ALIAS_BYTES, PRIVATE_OVERHEAD_BYTES = 16 * 1024, 1024 * 1024
MAX_CACHED_RESPONSE_BYTES = 1024 * 1024  # of each private store
WRITES_PER_MEASUREMENT = 50  # of the size of a private store
MAX_LOADING_SECONDS = 30.0  # until a request to a sandbox whose dataset is being loaded gets a 503
_MIB = 1024 * 1024


@dataclass(slots=True)
class SandboxRegistry:
    """The sandboxes by name, among them the default one.

    Args:
        default_parameters: Of sandboxes that are created without other parameters.
        requires_creation: Unknown names are not created by the first request that uses them.
        journal_bytes: Memory of the request journal of each sandbox; 0: requests are not recorded.
        building: Sandboxes whose datasets are being loaded or could not be loaded.
        create_rules: Creates the rules of a new sandbox.
        get_seconds: Seconds of a monotonic clock.
    """

    default: Sandbox
    default_parameters: SandboxParameters
    datasets: DatasetStores
    max_bytes: int = DEFAULT_MAX_BYTES
    idle_seconds: float = DEFAULT_IDLE_SECONDS
    requires_creation: bool = False
    journal_bytes: int = DEFAULT_JOURNAL_BYTES
    create_rules: Callable[[], RuleSet] = RuleSet
    get_seconds: Callable[[], float] = time.monotonic
    entries: dict[str, SandboxEntry] = field(default_factory=dict)
    building: dict[str, PendingCreation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entry = SandboxEntry(self.default, self.default_parameters, None, self.get_seconds(), self.get_seconds())
        if self.default.store.is_in_memory():  # a store file may contain the writes of an earlier run
            entry.initial_generation = self.default.store.generation
        self.entries[DEFAULT_NAME] = entry
        self.default.journal, self.default.rules = self.create_journal(), self.create_rules()
        self.default.execution_seconds = self.default_parameters.execution_seconds

    @classmethod
    def create(
        cls,
        default: Sandbox,
        get_image: GetImage,
        *,
        starts_at_epoch: bool,
        max_bytes: int = DEFAULT_MAX_BYTES,
        idle_seconds: float = DEFAULT_IDLE_SECONDS,
        requires_creation: bool = False,
        journal_bytes: int = DEFAULT_JOURNAL_BYTES,
        execution_seconds: float | None = None,
        create_rules: Callable[[], RuleSet] = RuleSet,
    ) -> "SandboxRegistry":
        """Create the registry of a mock. The dataset of the default sandbox is the one of new sandboxes too."""
        data = DatasetParameters.from_metadata(default.store.read_metadata())
        parameters = SandboxParameters(data, starts_at_epoch, execution_seconds)
        datasets = DatasetStores(default.contract, get_image)
        return cls(
            default,
            parameters,
            datasets,
            max_bytes=max_bytes,
            idle_seconds=idle_seconds,
            requires_creation=requires_creation,
            journal_bytes=journal_bytes,
            create_rules=create_rules,
        )

    # Names

    def find(self, name: str) -> SandboxEntry | None:
        """Return the entry of a sandbox that is ready, and mark it as used."""
        entry = self.entries.get(name)
        if entry is not None:
            entry.used_at = self.get_seconds()
        return entry

    async def use(self, name: str) -> Sandbox:
        """Return the sandbox that a request selects; create an unknown one. Raises ApiError (400, 404, 429, 503)."""
        entry = self.find(name)
        if entry is not None:
            return entry.sandbox
        if not NAME_PATTERN.fullmatch(name):
            message = f"The sandbox name {name[:100]!r} is invalid (expected {NAME_PATTERN.pattern})."
            raise ApiError(ErrorKind.SANDBOX_CONFLICT, message=message)
        if name not in self.building:
            if self.requires_creation:
                message = f"The sandbox {name} does not exist. Create it with PUT /__mock/api/sandboxes/{name}."
                raise ApiError(ErrorKind.SANDBOX_NOT_FOUND, message=message)
            self.start_creation(name, self.default_parameters)
        entry = await self.wait_until_ready(name, MAX_LOADING_SECONDS)
        if entry is None:
            message = f"The dataset of the sandbox {name} is being built."
            raise ApiError(ErrorKind.SANDBOX_NOT_READY, message=message, headers={"Retry-After": "1"})
        return entry.sandbox

    # Creation

    def start_creation(self, name: str, parameters: SandboxParameters) -> None:
        """Start to create a sandbox, instead of one with this name. Raises ApiError (429)."""
        self.expire_idle()
        self.reserve(ALIAS_BYTES)
        try:
            future = self.datasets.request(parameters.data)
        except TooManyDatasets as error:
            message = f"{str(error).capitalize()}; try again later."
            raise ApiError(ErrorKind.SANDBOX_MEMORY, message=message, headers={"Retry-After": "10"}) from None
        self.delete(name)
        self.building[name] = PendingCreation(parameters, future)

    def find_parameters(self, name: str) -> SandboxParameters | None:
        """Return the parameters of a sandbox that exists or is being created; None for an unknown name."""
        owner = self.building.get(name) or self.entries.get(name)
        return owner.parameters if owner else None

    async def wait_until_ready(self, name: str, timeout: float) -> SandboxEntry | None:
        """Return the entry of a sandbox; None if its dataset is not loaded within `timeout` seconds.

        If its creation is started again with other parameters, the new one is waited for. Raises ApiError (404)
        for an unknown name and (422) if the dataset cannot be loaded.
        """
        deadline = time.monotonic() + timeout
        while (creation := self.building.get(name)) is not None:
            await creation.wait(deadline - time.monotonic())
            if self.building.get(name) is creation:  # neither ended nor finished by another request
                if not creation.dataset.done():
                    return None
                self._finish_creation(name, creation.parameters, creation.dataset)
        entry = self.find(name)
        if entry is None:
            raise ApiError(ErrorKind.SANDBOX_NOT_FOUND, message=f"The sandbox {name} does not exist.")
        return entry

    def _finish_creation(self, name: str, parameters: SandboxParameters, future: Future[StoreReaders]) -> None:
        error = future.exception()
        del self.building[name]
        if error is not None:
            raise ApiError(ErrorKind.VALIDATION_FAILED, errors={"dataset": [str(error)]})
        readers = future.result()
        self.reserve(ALIAS_BYTES)
        clock = self.create_clock(parameters)
        sandbox = Sandbox(
            self.default.contract,
            self.default.validators,
            readers.store,
            clock,
            parameters.data.seed,
            name=name,
            owner=self,
            is_alias=True,
            shared_readers=readers,
            rules=self.create_rules(),
            journal=self.create_journal(),
            execution_seconds=parameters.execution_seconds,
        )
        seconds = self.get_seconds()
        self.entries[name] = SandboxEntry(sandbox, parameters, readers, seconds, seconds)

    def create_clock(self, parameters: SandboxParameters) -> Clock:
        source = self.default.clock.source
        return Clock(source, parameters.data.epoch - source()) if parameters.starts_at_epoch else Clock(source)

    def create_journal(self) -> RequestJournal | None:
        return RequestJournal(self.journal_bytes) if self.journal_bytes else None

    # Changes of sandboxes

    def delete(self, name: str) -> bool:
        """Delete a sandbox. Returns False if there was none."""
        creation = self.building.pop(name, None)
        if creation is not None:
            creation.end()
        entry = self.entries.pop(name, None)
        if entry is not None:
            entry.sandbox.is_deleted = True
            self.close_private_store(entry)
            if entry.sandbox.journal is not None:
                entry.sandbox.journal.close()
        used = [e.parameters.data for e in self.entries.values()]
        used += [creation.parameters.data for creation in self.building.values()]
        self.datasets.release([*used, self.default_parameters.data])
        return creation is not None or entry is not None

    def close_private_store(self, entry: SandboxEntry) -> None:
        if not entry.sandbox.is_alias and entry.sandbox is not self.default:
            entry.sandbox.store.close()
        entry.private_bytes = 0

    async def load_dataset(self, entry: SandboxEntry) -> StoreReaders:
        """Return the store of a sandbox's image. Raises ApiError (409) if it cannot be loaded yet."""
        if entry.dataset is None:
            future = self.datasets.request(entry.parameters.data)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.wait([asyncio.wrap_future(future)]), MAX_LOADING_SECONDS)
            if not future.done() or future.exception() is not None:
                problem = f"cannot be loaded: {future.exception()}" if future.done() else "is being built"
                message = f"The dataset of the sandbox {entry.sandbox.name} {problem}."
                raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message, headers={"Retry-After": "1"})
            entry.dataset = future.result()
        return entry.dataset

    async def reset(self, entry: SandboxEntry) -> None:
        """Restore the records of the dataset, the initial clock and the initial rules; delete tokens and journal."""
        dataset = await self.load_dataset(entry)
        self.set_content(entry, None, dataset)
        entry.sandbox.rules = self.create_rules()
        if entry.sandbox.journal is not None:
            entry.sandbox.journal.clear()
        self.set_clock(entry, self.create_clock(entry.parameters).get_state())
        if entry.sandbox is self.default:
            entry.initial_generation = entry.sandbox.store.generation

    def save_snapshot(self, entry: SandboxEntry, name: str) -> Snapshot:
        """Save the state of a sandbox; replaces a snapshot of this name. Raises ApiError (429)."""
        sandbox = entry.sandbox
        if not sandbox.is_alias:
            self.reserve(sandbox.store.count_bytes())
        content = None if sandbox.is_alias else sandbox.store.serialize()
        saved_at = sandbox.clock.source()
        snapshot = entry.snapshots[name] = Snapshot(name, saved_at, sandbox.clock.get_state(), content)
        return snapshot

    async def restore_snapshot(self, entry: SandboxEntry, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot, including the time of its clock."""
        dataset = await self.load_dataset(entry) if snapshot.content is None else None
        self.set_content(entry, snapshot.content, dataset)
        self.set_clock(entry, snapshot.clock)

    def set_content(self, entry: SandboxEntry, content: bytes | None, dataset: StoreReaders | None) -> None:
        """Replace the records of a sandbox. `content` None: those of `dataset`. Raises ApiError (429)."""
        sandbox = entry.sandbox
        if sandbox is self.default:
            sandbox.store.replace_content(content or (dataset.store.serialize() if dataset else b""))
            return
        readers = dataset
        if content is not None:
            self.reserve(len(content) + PRIVATE_OVERHEAD_BYTES - entry.private_bytes)
            tables = sandbox.store.tables
            readers = self.create_readers(Store.from_bytes(sandbox.contract, content, tables))
        assert readers is not None
        self.close_private_store(entry)
        sandbox.attach(readers, is_alias=content is None)
        if content is not None:
            self.measure(entry)

    def set_clock(self, entry: SandboxEntry, state: ClockState) -> None:
        """Set the clock of a sandbox. A store file of the default one keeps the offset. Raises ValueError."""
        sandbox = entry.sandbox
        sandbox.clock.set_state(state)
        if sandbox is self.default:
            sandbox.store.write_metadata({CLOCK_OFFSET_KEY: str(sandbox.clock.offset // MICROSECOND)})

    async def load_baseline(self, entry: SandboxEntry, snapshot: Snapshot | None) -> Store:
        """Return a store with the state of a snapshot; None: of the creation."""
        if snapshot is None or snapshot.content is None:
            return (await self.load_dataset(entry)).store
        return Store.from_bytes(entry.sandbox.contract, snapshot.content, entry.sandbox.store.tables)

    # Memory

    def create_readers(self, store: Store) -> StoreReaders:
        return StoreReaders.from_store(self.default.contract, store, MAX_CACHED_RESPONSE_BYTES)

    def prepare_write(self, sandbox: Sandbox) -> None:
        """Give a named sandbox its private store before the first write. Raises ApiError (429)."""
        if sandbox.is_deleted:
            raise deleted_sandbox_error(sandbox.name)
        entry = self.entries[sandbox.name]
        if sandbox.is_alias:
            self.reserve(sandbox.store.count_bytes() + PRIVATE_OVERHEAD_BYTES)
            sandbox.attach(self.create_readers(sandbox.store.copy()), is_alias=False)
            self.measure(entry)
        elif sandbox.store.generation - entry.measured_generation >= WRITES_PER_MEASUREMENT:
            self.measure(entry)
            self.reserve(0)

    def measure(self, entry: SandboxEntry) -> None:
        store = entry.sandbox.store
        entry.private_bytes = store.count_bytes() + PRIVATE_OVERHEAD_BYTES
        entry.measured_generation = store.generation

    def count_bytes(self) -> int:
        """Return the estimated memory of all sandboxes, without the default one's."""
        entries = self.entries.values()
        sandbox_bytes = sum(ALIAS_BYTES + e.count_bytes() for e in entries)
        return sandbox_bytes + len(self.building) * ALIAS_BYTES + self.datasets.count_bytes()

    def reserve(self, byte_count: int) -> None:
        """Raise ApiError (429) if there is no memory for more bytes, also after idle sandboxes were deleted."""
        if self.count_bytes() + byte_count > self.max_bytes:
            self.expire_idle()
        total = self.count_bytes() + byte_count
        if total > self.max_bytes:
            message = (
                f"The sandboxes would use {total / _MIB:.1f} MiB of memory (maximum {self.max_bytes / _MIB:.0f} MiB): "
                "delete some, or start the mock with a larger --sandbox-memory."
            )
            raise ApiError(ErrorKind.SANDBOX_MEMORY, message=message)

    def expire_idle(self) -> None:
        """Delete the sandboxes that were not used for `idle_seconds`."""
        now = self.get_seconds()
        for entry in self.entries.values():
            if entry.sandbox.is_in_use:
                entry.used_at = now
        oldest = now - self.idle_seconds
        for name in [n for n, entry in self.entries.items() if entry.used_at < oldest and n != DEFAULT_NAME]:
            self.delete(name)
