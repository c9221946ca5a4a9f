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

from mock_server.settings import Settings, SettingsError, from_arguments
from mock_server.sockets import ListenError, listen
from spec.release import get_version

if TYPE_CHECKING:
    import socket

    from mock_server import app as application
    from mock_server.image import Recipe
    from mock_server.world import World
    from spec.contract import Contract

BUILD = "build-image"  # a word for the child process, not for people
_PATIENCE = 1.0  # seconds for which a dataset is built without a word


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit status. 1: it cannot be served here; 2: a setting or the contract is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == [BUILD]:
            return _build(Path(given[1]), from_arguments(given[2:], {}, get_version()))
        settings = from_arguments(given, os.environ, get_version())
        sockets, port = listen(settings.host, settings.port)
    except SettingsError as error:
        return _told(error, 2)
    except ListenError as error:
        return _told(error, 1)
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _interrupt)  # as long as nothing is served, stopping needs no grace
    try:
        return _serve(settings, sockets, port)
    except KeyboardInterrupt:
        return 0


def _serve(settings: Settings, sockets: "list[socket.socket]", port: int) -> int:
    from mock_server.imports import import_connexion, uncollected

    with uncollected():
        import_connexion()
        from fixtures.errors import FixtureError
        from mock_server.greeting import build_banner
        from mock_server.server import serve
        from mock_server.store import StoreError
        from spec.errors import ContractError

        try:
            app, world = _opened(settings)
        except (ContractError, FixtureError, StoreError) as error:
            return _told(error, 2)
        host = {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _greet(build_banner(app, world, url, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    serve(app, settings.log_level, sockets)
    world.store.close()
    return 0


def _greet(said: str) -> None:
    """Say it, or serve without a word where nobody reads it any more (``| head``)."""
    try:
        sys.stdout.write(said)
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # what is left in its buffer is written when the process ends
        os.close(nowhere)


def _opened(settings: Settings) -> "tuple[application.Edge, World]":
    """The application and its world."""
    from mock_server import image
    from mock_server.app import create_app
    from mock_server.clock import format_timestamp, get_system_time
    from mock_server.console import RequestLog
    from spec.contract import load_contract
    from spec.schemas import SchemaValidators

    loaded = load_contract(_contract(settings))
    recipe = _recipe(settings)
    made = partial(_image, loaded, recipe, settings)
    store = image.open_store(loaded, recipe, settings.store, made, settings.given)
    if settings.epoch is not None and image.epoch_of(store) != recipe.epoch:
        own, now = format_timestamp(image.epoch_of(store)), format_timestamp(recipe.epoch)
        sys.stderr.write(f"athena-mock: --store {settings.store}: its data lead up to {own}, not to --epoch {now}\n")
    beyond = image.beyond(store)
    if beyond is not None:
        own, last = format_timestamp(image.epoch_of(store)), format_timestamp(beyond)
        sys.stderr.write(
            f"athena-mock: the epoch {own} lies before documented records, which keep their dates (up to {last}): what "
            "belongs to them is as old as the epoch; choose a later one\n"
        )
    schemas = SchemaValidators.from_document(loaded.document)
    world = image.world(loaded, schemas, store, get_system_time, from_epoch=settings.epoch is not None)
    console = RequestLog(loaded.document, sys.stderr, quiet=settings.quiet)
    manners = replace(settings, allowed_hosts=(*settings.allowed_hosts, settings.host))
    return create_app(loaded, world, manners, console=console), world


def _contract(settings: Settings) -> Path:
    return settings.contract or Path(str(resources.files("spec") / "openapi.yaml"))


def _recipe(settings: Settings) -> "Recipe":
    from mock_server.clock import get_system_time
    from mock_server.image import Recipe

    return Recipe(settings.dataset, settings.seed, settings.epoch_at(get_system_time()), settings.size)


def _image(loaded: "Contract", recipe: "Recipe", settings: Settings) -> Path:
    """The file of the dataset's image; a child process builds one that is missing: this one never imports Faker."""
    from mock_server import image

    def make(path: Path) -> None:
        command = [sys.executable, "-m", "mock_server", BUILD, str(path), "--contract", str(_contract(settings))]
        command += ["--dataset", recipe.dataset, "--seed", str(recipe.seed)]
        command += ["--epoch", recipe.epoch.isoformat(), "--size", repr(recipe.size)]
        status, errors = _watched(command, f"building {recipe.dataset}, size {recipe.size:g} (once; it is kept) ...")
        if status != 0:
            said = errors.strip().splitlines() or [f"the dataset's builder ended with {status}"]
            raise image.ImageError(said[-1].removeprefix("athena-mock: "))

    return image.kept(image.cache_folder(), image.image_key(loaded, recipe, sources(recipe)), make)


def _watched(command: Sequence[str], news: str) -> tuple[int, str]:
    """(status, stderr) of a child process; one that takes its time has `news` told of it."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as child:
        try:
            try:
                _, errors = child.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                sys.stderr.write(f"athena-mock: {news}\n")
                _, errors = child.communicate()
        except BaseException:  # who is told to stop leaves no builder behind
            child.kill()
            raise
    return child.returncode, errors


def sources(recipe: "Recipe") -> "list[Path]":
    """The files that decide what a dataset's image holds, beside the contract."""
    from fixtures import dataset
    from mock_server import image

    mock_server = Path(str(resources.files("mock_server")))
    rooms = (Path(str(resources.files(room))) for room in ("spec", "fixtures"))
    files = [*image.ingredients(*rooms, mock_server / "store"), *dataset.list_sources(recipe.dataset)]
    return [*files, mock_server / "image.py", mock_server / "__main__.py"]


def _build(path: Path, settings: Settings) -> int:
    """Build a dataset's image: what the child process does."""
    import sqlite3

    from fixtures import dataset, graph
    from fixtures.errors import FixtureError
    from fixtures.texts import PersonaLibrary
    from mock_server import image
    from spec.contract import load_contract
    from spec.errors import ContractError

    recipe, texts = _recipe(settings), PersonaLibrary()
    try:
        loaded = load_contract(_contract(settings))
        said = dataset.load(recipe.dataset)
        records = graph.generate_records(
            loaded, said, seed=recipe.seed, epoch=recipe.epoch, size=recipe.size, persona_library=texts
        )
        image.build_file(path, loaded, recipe, records, texts.phrases())
    except (OSError, sqlite3.Error) as error:
        return _told(image.ImageError(f"{path.parent}: {error}; another XDG_CACHE_HOME moves it"), 2)
    except (ContractError, FixtureError) as error:
        return _told(error, 2)
    return 0


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _told(error: Exception, status: int) -> int:
    sys.stderr.write(f"athena-mock: {error}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
