"""Opens the store of a mock: in memory from a dataset image, or in a file that outlives the process."""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from mock_server.images import DatasetParameters, ImageError, build_metadata, find_invalid_metadata
from mock_server.store import Store, StoreError
from mock_server.store.connection import DEFAULT_DURABILITY, Durability, connect, copy_image
from mock_server.store.errors import StoreDamaged
from mock_server.store.exporter import find_unreadable_changes
from mock_server.store.file_format import (
    MAX_CHECKED_BYTES,
    MAX_REPORTED_ERRORS,
    check_integrity,
    check_tables,
    check_writable,
    describe_file_errors,
    follow_link,
    open_for_reading,
    read_metadata,
)
from mock_server.store.importer import ImportProblem, import_lines
from mock_server.store.temporary_files import (
    build_temporary_path,
    delete_abandoned,
    delete_companions,
    delete_temporary,
)
from spec.model import Contract
from spec.validators import SchemaValidators

# A file must match these parameters, by default. The epoch is not one of them: it only shifts the data in time.
IDENTITY_FIELDS = ("dataset", "seed", "size", "documented_urls")
_MOVE_HINT = "start with that contract, move the data to a new file with `athena-mock store export` and `store import`"
_EXISTS_MESSAGE = "{path} exists: use another file"
# The file is deleted after an error; the journal in memory is for single statements that fail.
_IMPORT_PRAGMAS = ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -65536")


class ImportRejected(StoreError):
    """An import found problems and created no file. `problem_count`: their number."""

    def __init__(self, problem_count: int) -> None:
        super().__init__(f"{problem_count} problems")
        self.problem_count = problem_count


def open_store(
    contract: Contract,
    parameters: DatasetParameters,
    path: Path | None,
    get_image: Callable[[], bytes | Path],
    required_fields: Collection[str] = IDENTITY_FIELDS,
    durability: Durability = DEFAULT_DURABILITY,
) -> Store:
    """Open the store in the file `path`, None: in memory; a new one is filled from `get_image()`.

    `required_fields`: parameters that an existing file must match. Raises StoreError if it has another contract or
    another value of these, if it is damaged, or if it cannot be written.
    """
    if path is None:
        return _open_in_memory(contract, get_image)
    with describe_file_errors(path):
        path = follow_link(path)
        delete_abandoned(path.parent, f"{path.name}.")
        if path.exists() and (path.stat().st_size or not path.is_file()):
            _check_file(contract, parameters, path, required_fields)
        else:
            _create_file(path, get_image)
        return Store.from_connection(contract, _lock_exclusively(connect(str(path), durability)))


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


def _create_file(path: Path, get_image: Callable[[], bytes | Path]) -> None:
    """Create a store file from an image. A killed process leaves a temporary file, never an incomplete store."""
    _check_folder(path)
    image = get_image()
    with _build_file(path) as temporary_path, closing(connect(str(temporary_path), is_temporary=True)) as connection:
        copy_image(image, connection)


def import_store(
    contract: Contract, path: Path, lines: Iterable[bytes], report: Callable[[ImportProblem], None], *, force: bool
) -> int:
    """Create a store file from the lines of an export; return the number of its records.

    `report` is called with each problem. `force`: import what fits. Otherwise ImportRejected is raised if there is a
    problem, and no file is created. Raises StoreError also for a file that is not an export, or if `path` has content.
    """
    problem_count = 0

    def count_problem(problem: ImportProblem) -> None:
        nonlocal problem_count
        problem_count += 1
        report(problem)

    with describe_file_errors(path):
        path = follow_link(path)
        if path.exists() and path.stat().st_size:
            raise StoreError(_EXISTS_MESSAGE.format(path=path))
        _check_folder(path)
        delete_abandoned(path.parent, f"{path.name}.")
        with _build_file(path) as temporary_path:
            with closing(Store.create(contract, str(temporary_path))) as store:
                for pragma in _IMPORT_PRAGMAS:
                    store.connection.execute(f"PRAGMA {pragma}")
                validators = SchemaValidators.from_document(contract.document)
                record_count = import_lines(store, validators, lines, count_problem)
                if invalid := next(find_invalid_metadata(store.read_metadata()), None):
                    raise StoreError(f"line 1: {invalid}")
                store.write_metadata({"contract": contract.document.semantic_digest})
            if problem_count and not force:
                raise ImportRejected(problem_count)
    return record_count


def _check_folder(path: Path) -> None:
    """Raise StoreError if the folder of a new file does not exist or is read-only."""
    if not path.parent.is_dir():
        raise StoreError(f"{path}: folder {path.parent} does not exist")
    check_writable(path)


@contextmanager
def _build_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path whose file is moved to `path` at the end, and deleted after an error."""
    temporary_path = build_temporary_path(path)
    try:
        yield temporary_path
        _publish_file(temporary_path, path)
    finally:
        delete_temporary(temporary_path)


def _publish_file(temporary_path: Path, path: Path) -> None:
    """Move a complete file to `path` and write it to the disk. Raises StoreError if a file with content is there."""
    with temporary_path.open("rb") as file:
        os.fsync(file.fileno())
    with suppress(FileNotFoundError):
        if path.stat().st_size == 0:
            path.unlink()
    if not path.exists():
        delete_companions(path)
    try:
        os.link(temporary_path, path)
    except FileExistsError:
        raise StoreError(_EXISTS_MESSAGE.format(path=path)) from None
    except OSError:  # a file system without links
        temporary_path.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Write the entries of a folder to the disk, where the operating system supports it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock_exclusively(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Lock a file against other connections: their writes would make the cached records outdated."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    return connection


def _check_file(
    contract: Contract, parameters: DatasetParameters, path: Path, required_fields: Collection[str]
) -> None:
    """Raise StoreError unless a file is an intact, writable store with this contract and these parameters."""
    with open_for_reading(path) as connection:
        if path.stat().st_size <= MAX_CHECKED_BYTES:
            check_integrity(path, connection)
        stored, expected = read_metadata(connection), build_metadata(contract, parameters)
        for name in ("contract", *(name for name in IDENTITY_FIELDS if name in required_fields)):
            if stored.get(name) != expected[name]:
                stored_value, label = stored.get(name, "none")[:16], name.replace("_", "-")
                way_out = _MOVE_HINT if name == "contract" else f"start with that {label}, use another file"
                raise StoreError(
                    f"{path} was created with another {label} ({stored_value}, now {expected[name][:16]}): "
                    f"{way_out}, or delete this one to start over"
                )
        check_tables(path, contract, connection)
        problems = [*find_invalid_metadata(stored), *(row.message for row in find_unreadable_changes(connection))]
        if problems:
            raise StoreDamaged.from_problems(path, problems[:MAX_REPORTED_ERRORS])
    check_writable(path)
