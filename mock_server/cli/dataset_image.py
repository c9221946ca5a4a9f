"""Images of datasets, built by a child process if missing from the cache, since the server must not import Faker."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mock_server import image_cache, images
from mock_server.images import DatasetParameters, ImageError
from mock_server.sandbox.clock import get_system_time
from spec.model import Contract

if TYPE_CHECKING:
    from mock_server.sandbox.sandbox import Sandbox
    from spec.record import Reference

BUILD_COMMAND = "build-image"
POOL_DATASET = "plain"  # has records of each resource of any contract
_PROGRESS_DELAY = 1.0  # seconds after which the progress message is printed


def get_contract_path(path: Path | None) -> Path:
    """Return the path of the contract; default: the packaged one."""
    return path or Path(str(resources.files("spec") / "openapi.yaml"))


def list_dataset_names() -> tuple[str, ...]:
    """Return the names of the packaged datasets."""
    from fixtures import dataset

    return dataset.list_names()


def choose_default_dataset(contract: Contract, name: str) -> str:
    """Return the dataset `name` if the contract has its resources, else the one for any contract."""
    from fixtures import dataset

    definition = dataset.load(name)
    has_resources = contract.resources.keys() >= {*definition.configs, *(definition.only or ())}
    return name if has_resources else POOL_DATASET


def create_dataset_parameters(
    dataset: str, seed: int, epoch: datetime | None, size: float, documented_urls: bool
) -> DatasetParameters:
    """Return the parameters that identify the dataset. `epoch` None: today, 00:00 UTC."""
    today = get_system_time().replace(hour=0, minute=0, second=0, microsecond=0)
    return DatasetParameters(dataset, seed, epoch or today, size, documented_urls)


def ensure_image(contract: Contract, parameters: DatasetParameters, contract_path: Path) -> Path:
    """Return the image of the dataset; a missing one is built by a child process. Raises ImageError."""

    def build_in_child(path: Path) -> None:
        # -P: a folder `spec` or `fixtures` in the working directory must not hide the packages
        command = [sys.executable, "-P", "-m", "mock_server", BUILD_COMMAND, str(path)]
        command += ["--contract", str(contract_path), "--dataset", parameters.dataset]
        command += ["--seed", str(parameters.seed), "--epoch", parameters.epoch.isoformat()]
        command += ["--size", repr(parameters.size), *(["--documented-urls"] if parameters.documented_urls else [])]
        message = f"building dataset {parameters.dataset}, size {parameters.size:g} (cached for later starts) ..."
        status, errors = _run_child(command, message)
        if status != 0:
            _, _, message = errors.strip().rpartition("athena-mock: ")
            raise ImageError(message or f"{BUILD_COMMAND} failed with exit status {status}")

    key = images.compute_image_key(contract, parameters, list_image_sources(parameters))
    return image_cache.get_or_build_image(image_cache.find_cache_folder(), key, build_in_child)


def _run_child(command: Sequence[str], progress_message: str) -> tuple[int, str]:
    """Run a child process; return (status, stderr). `progress_message` is printed if it takes a while."""
    with subprocess.Popen(
        command, env=_child_environment(), stderr=subprocess.PIPE, text=True, errors="replace"
    ) as child:
        try:
            try:
                _, errors = child.communicate(timeout=_PROGRESS_DELAY)
            except subprocess.TimeoutExpired:
                sys.stderr.write(f"athena-mock: {progress_message}\n")
                _, errors = child.communicate()
        except BaseException:  # an interrupted start must not leave the child process behind
            child.kill()
            raise
    return child.returncode, errors


def _child_environment() -> dict[str, str]:
    """Return the environment of a child process, which imports the same packages as this process."""
    packages = str(Path(str(resources.files("mock_server"))).parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))}


def list_image_sources(parameters: DatasetParameters) -> list[Path]:
    """Return the files that affect the content of an image, except the contract."""
    from fixtures import dataset

    mock_server = Path(str(resources.files("mock_server")))
    folders = [Path(str(resources.files(package))) for package in ("spec", "fixtures")]
    files = images.list_source_files(*folders, mock_server / "store")
    names = ("images.py", "cli/dataset_image.py", "control/records.py", "control/document.py")
    modules = [mock_server / name for name in names]
    return [*files, *dataset.list_sources(parameters.dataset), *modules]


def build_image(
    path: Path, contract: Contract, parameters: DatasetParameters, *, has_explicit_records: bool = True
) -> None:
    """Build the image of a dataset in this process. Raises ContractError, FixtureError, ImageError.

    `has_explicit_records`: whether it contains the records of the section ``records``.
    """
    from fixtures import dataset, generator
    from fixtures.errors import FixtureError
    from fixtures.personas import PersonaLibrary
    from mock_server.cli.contract_loading import raise_value_problems

    personas, definition = PersonaLibrary(), dataset.load(parameters.dataset)
    generate = partial(
        generator.generate_records, contract, seed=parameters.seed, epoch=parameters.epoch, persona_library=personas
    )
    try:
        records = generate(definition, size=parameters.size, documented_urls=parameters.documented_urls)
        pool_records = generate(dataset.load(POOL_DATASET))
    except FixtureError:
        raise_value_problems(contract, personas)
        raise
    try:
        images.build_image_file(path, contract, parameters, records, personas.phrases(), pool_records)
        if definition.records and has_explicit_records:
            sandbox = open_image(path, contract, parameters)
            add_explicit_records(sandbox, definition.records, parameters.dataset)
            path.write_bytes(sandbox.store.serialize())
    except (OSError, sqlite3.Error) as error:
        raise ImageError(f"{path.parent}: {error} (XDG_CACHE_HOME selects another cache folder)") from error


def open_image(path: Path, contract: Contract, parameters: DatasetParameters) -> "Sandbox":
    """Return a sandbox in memory with the content of an image, at its epoch."""
    from mock_server.sandbox.clock import Clock
    from mock_server.sandbox.sandbox import Sandbox
    from mock_server.store import Store
    from spec.validators import SchemaValidators

    validators, clock = SchemaValidators.from_document(contract.document), Clock(lambda: parameters.epoch)
    return Sandbox(contract, validators, Store.from_image(contract, path), clock, parameters.seed)


def add_explicit_records(
    sandbox: "Sandbox", records: Mapping[str, Any], location: str
) -> "Mapping[tuple[str, int], Reference | None]":
    """Add the records of the section ``records`` of a dataset; return them by resource and position.

    Raises ImageError with all errors.
    """
    from mock_server.control.document import build_control_document
    from mock_server.control.records import add_records
    from mock_server.errors import ApiError
    from spec.validators import SchemaValidators

    validators = SchemaValidators.from_document(build_control_document(sandbox.contract, ()))
    try:
        added = add_records(sandbox, validators, records).added
    except ApiError as error:
        problems = [f"records.{name}: {message}" for name, messages in error.errors.items() for message in messages]
        raise ImageError(f"{location}: {'; '.join(problems) or error.message}") from None
    for index in sandbox.store.search_indexes.values():
        index.index_all()
    return added
