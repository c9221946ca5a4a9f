"""The command `athena-mock`: reads its settings, opens a world, and serves it until it is told to stop.

What costs time to import is imported once the settings are known to be good.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mock_server.cli.settings import Settings, SettingsError, parse_settings
from mock_server.server.sockets import ListenError, listen
from spec.version import get_version

if TYPE_CHECKING:
    import socket

    from mock_server import app as application
    from mock_server.images.images import DatasetParameters
    from mock_server.sandbox.sandbox import Sandbox
    from spec.loader import Contract

BUILD_COMMAND = "build-image"  # a word for the child process, not for people
_PROGRESS_DELAY = 1.0  # seconds for which a dataset is built without a word


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit status. 1: it cannot be served here; 2: a setting or the contract is wrong."""
    command_line = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if command_line[:1] == [BUILD_COMMAND]:
            return _build_image(Path(command_line[1]), parse_settings(command_line[2:], {}, get_version()))
        settings = parse_settings(command_line, os.environ, get_version())
        sockets, port = listen(settings.host, settings.port)
    except SettingsError as error:
        return _report_error(error, 2)
    except ListenError as error:
        return _report_error(error, 1)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _raise_keyboard_interrupt)  # as long as nothing is served, stopping needs no grace
    try:
        return _serve(settings, sockets, port)
    except KeyboardInterrupt:
        return 0


def _serve(settings: Settings, sockets: "list[socket.socket]", port: int) -> int:
    from mock_server.server.lazy_imports import gc_disabled, import_connexion

    with gc_disabled():
        import_connexion()
        from fixtures.errors import FixtureError
        from mock_server.cli.startup_banner import build_banner
        from mock_server.server.server import serve
        from mock_server.store import StoreError
        from spec.errors import ContractError

        try:
            app, sandbox = _create_app_and_sandbox(settings)
        except (ContractError, FixtureError, StoreError) as error:
            return _report_error(error, 2)
        host = {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _print_banner(build_banner(app, sandbox, url, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    serve(app, settings.log_level, sockets)
    sandbox.store.close()
    return 0


def _print_banner(banner: str) -> None:
    """Say it, or serve without a word where nobody reads it any more (``| head``)."""
    try:
        sys.stdout.write(banner)
        sys.stdout.flush()
    except BrokenPipeError:
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, sys.stdout.fileno())  # what is left in its buffer is written when the process ends
        os.close(null_device)


def _create_app_and_sandbox(settings: Settings) -> "tuple[application.MockApp, Sandbox]":
    """The application and its world."""
    from mock_server.app import create_app
    from mock_server.images import images
    from mock_server.sandbox.clock import format_timestamp, get_system_time
    from mock_server.web.request_log import RequestLog
    from spec.loader import load_contract
    from spec.validators import SchemaValidators

    contract = load_contract(_get_contract_path(settings))
    parameters = _create_dataset_parameters(settings)
    get_image = partial(_ensure_image, contract, parameters, settings)
    store = images.open_store(contract, parameters, settings.store, get_image, settings.explicit_fields)
    if settings.epoch is not None and images.get_epoch(store) != parameters.epoch:
        store_epoch, requested_epoch = format_timestamp(images.get_epoch(store)), format_timestamp(parameters.epoch)
        sys.stderr.write(
            f"athena-mock: --store {settings.store}: its data lead up to {store_epoch}, not to --epoch {requested_epoch}\n"
        )
    newest = images.find_newest_after_epoch(store)
    if newest is not None:
        store_epoch, newest_text = format_timestamp(images.get_epoch(store)), format_timestamp(newest)
        sys.stderr.write(
            f"athena-mock: the epoch {store_epoch} lies before documented records, which keep their dates (up to {newest_text}): what "
            "belongs to them is as old as the epoch; choose a later one\n"
        )
    validators = SchemaValidators.from_document(contract.document)
    sandbox = images.create_sandbox(contract, validators, store, get_system_time, from_epoch=settings.epoch is not None)
    request_log = RequestLog(contract.document, sys.stderr, quiet=settings.quiet)
    config = replace(settings, allowed_hosts=(*settings.allowed_hosts, settings.host))
    return create_app(contract, sandbox, config, request_log=request_log), sandbox


def _get_contract_path(settings: Settings) -> Path:
    return settings.contract or Path(str(resources.files("spec") / "openapi.yaml"))


def _create_dataset_parameters(settings: Settings) -> "DatasetParameters":
    from mock_server.images.images import DatasetParameters
    from mock_server.sandbox.clock import get_system_time

    return DatasetParameters(settings.dataset, settings.seed, settings.resolve_epoch(get_system_time()), settings.size)


def _ensure_image(contract: "Contract", parameters: "DatasetParameters", settings: Settings) -> Path:
    """The file of the dataset's image; a child process builds one that is missing: this one never imports Faker."""
    from mock_server.images import images

    def build_in_child(path: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "mock_server",
            BUILD_COMMAND,
            str(path),
            "--contract",
            str(_get_contract_path(settings)),
        ]
        command += ["--dataset", parameters.dataset, "--seed", str(parameters.seed)]
        command += ["--epoch", parameters.epoch.isoformat(), "--size", repr(parameters.size)]
        status, errors = _run_child(
            command, f"building {parameters.dataset}, size {parameters.size:g} (once; it is kept) ..."
        )
        if status != 0:
            error_lines = errors.strip().splitlines() or [f"the dataset's builder ended with {status}"]
            raise images.ImageError(error_lines[-1].removeprefix("athena-mock: "))

    return images.get_or_build_image(
        images.find_cache_folder(),
        images.compute_image_key(contract, parameters, list_image_sources(parameters)),
        build_in_child,
    )


def _run_child(command: Sequence[str], progress_message: str) -> tuple[int, str]:
    """(status, stderr) of a child process; one that takes its time has `progress_message` told of it."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as child:
        try:
            try:
                _, errors = child.communicate(timeout=_PROGRESS_DELAY)
            except subprocess.TimeoutExpired:
                sys.stderr.write(f"athena-mock: {progress_message}\n")
                _, errors = child.communicate()
        except BaseException:  # who is told to stop leaves no builder behind
            child.kill()
            raise
    return child.returncode, errors


def list_image_sources(parameters: "DatasetParameters") -> "list[Path]":
    """The files that decide what a dataset's image holds, beside the contract."""
    from fixtures import dataset
    from mock_server.images import images

    mock_server = Path(str(resources.files("mock_server")))
    package_folders = (Path(str(resources.files(package))) for package in ("spec", "fixtures"))
    files = [
        *images.list_source_files(*package_folders, mock_server / "store"),
        *dataset.list_sources(parameters.dataset),
    ]
    return [*files, mock_server / "images" / "images.py", mock_server / "cli" / "main.py"]


def _build_image(path: Path, settings: Settings) -> int:
    """Build a dataset's image: what the child process does."""
    import sqlite3

    from fixtures import dataset, generator
    from fixtures.errors import FixtureError
    from fixtures.personas import PersonaLibrary
    from mock_server.images import images
    from spec.errors import ContractError
    from spec.loader import load_contract

    parameters, persona_library = _create_dataset_parameters(settings), PersonaLibrary()
    try:
        contract = load_contract(_get_contract_path(settings))
        loaded_dataset = dataset.load(parameters.dataset)
        records = generator.generate_records(
            contract,
            loaded_dataset,
            seed=parameters.seed,
            epoch=parameters.epoch,
            size=parameters.size,
            persona_library=persona_library,
        )
        images.build_image_file(path, contract, parameters, records, persona_library.phrases())
    except (OSError, sqlite3.Error) as error:
        return _report_error(images.ImageError(f"{path.parent}: {error}; another XDG_CACHE_HOME moves it"), 2)
    except (ContractError, FixtureError) as error:
        return _report_error(error, 2)
    return 0


def _raise_keyboard_interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _report_error(error: Exception, status: int) -> int:
    sys.stderr.write(f"athena-mock: {error}\n")
    return status
