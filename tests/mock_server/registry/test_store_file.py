"""The default sandbox in a store file: reset, snapshots, changes and clock also apply to the file."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from mock_server import images, store_files
from mock_server.registry.registry import SandboxRegistry
from mock_server.sandbox.clock import ClockState
from mock_server.store import Store
from mock_server.store.comparison import iter_changes
from mock_server.store.exporter import export_lines
from mock_server.store.file_format import open_for_reading
from mock_server.store.importer import ImportProblem
from mock_server.store.pools import read_pool_rows
from spec.record import Reference
from tests.mock_server.athena import EPOCH, SettableClock, athena_contract, athena_schemas
from tests.mock_server.controlled_mock import DEMO, build_image_with_pools


def open_registry(path: Path) -> SandboxRegistry:
    """Open a mock with a store file."""
    store = store_files.open_store(athena_contract(), DEMO, path, lambda: build_image_with_pools(DEMO))
    clock = SettableClock()
    sandbox = images.create_sandbox(athena_contract(), athena_schemas(), store, clock)
    return SandboxRegistry.create(sandbox, build_image_with_pools, starts_at_epoch=True)


def rename_first_prompt(store: Store, name: str) -> Reference:
    record = store.select("Prompt", limit="LIMIT 1")[0]
    with store.transaction():
        store.update("Prompt", record.key, {**record.attributes, "name": name})
    return record.reference


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mock.db"


def test_reset_and_snapshots_are_written_to_the_file(path: Path) -> None:
    registry = open_registry(path)
    store, entry = registry.default.store, registry.entries["default"]
    reference = rename_first_prompt(store, "First")
    snapshot = registry.save_snapshot(entry, "one")
    rename_first_prompt(store, "Second")
    asyncio.run(registry.restore_snapshot(entry, snapshot))
    assert store.get_existing(reference).attributes["name"] == "First"
    store.close()
    reopened = open_registry(path)
    assert reopened.default.store.get_existing(reference).attributes["name"] == "First"
    asyncio.run(reopened.reset(reopened.entries["default"]))
    reopened.default.store.close()
    last = open_registry(path)
    baseline = asyncio.run(last.load_baseline(last.entries["default"], None))
    assert list(iter_changes(baseline, last.default.store)) == []
    last.default.store.close()


def test_changes_since_a_snapshot_of_the_file(path: Path) -> None:
    registry = open_registry(path)
    snapshot = registry.save_snapshot(registry.entries["default"], "one")
    reference = rename_first_prompt(registry.default.store, "Second")
    baseline = asyncio.run(registry.load_baseline(registry.entries["default"], snapshot))
    (change,) = iter_changes(baseline, registry.default.store)
    assert (change.resource, change.key) == reference
    assert change.after == {"name": "Second"}
    registry.default.store.close()


def test_time_that_was_set_continues_after_a_restart(path: Path) -> None:
    registry = open_registry(path)
    later = EPOCH + timedelta(days=30)
    registry.set_clock(registry.entries["default"], ClockState(later, False, 1))
    registry.default.store.close()
    reopened = open_registry(path)
    assert reopened.default.clock.now() == later
    reopened.default.store.close()


def test_pools_of_created_records_are_exported_and_imported(path: Path, tmp_path: Path) -> None:
    registry = open_registry(path)
    connection, target = registry.default.store.connection, tmp_path / "imported.db"
    pools = read_pool_rows(connection)
    assert set(pools) == set(athena_contract().resources)
    problems: list[ImportProblem] = []
    lines = list(export_lines(connection))
    store_files.import_store(athena_contract(), target, lines, problems.append, force=False)
    registry.default.store.close()
    with open_for_reading(target) as imported:
        assert read_pool_rows(imported) == pools
    assert problems == []
