"""Installs a backend in a separate folder, and runs it on a free port of the loopback interface."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.backends.definitions import Backend, Registry

START_SECONDS = 60  # timeout


class BackendError(Exception):
    """A backend that cannot be installed or started."""


def install(backend: Backend, folder: Path) -> Path:
    """Install the packages unless already installed; return the folder of the programs. Raises BackendError."""
    home, requirements = folder / backend.name, "\n".join(backend.packages)
    programs = home / ("bin" if backend.registry is Registry.PYPI else "node_modules/.bin")
    ready = home / ".ready"
    if ready.exists() and ready.read_text(encoding="utf-8") == requirements:
        return programs
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    if backend.registry is Registry.PYPI:
        _run_command([sys.executable, "-m", "venv", str(home)])
        _run_command(
            [str(programs / "python"), "-m", "pip", "install", "-q", "--only-binary", ":all:", *backend.packages]
        )
    else:
        _run_command(
            ["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts", *backend.packages]
        )
    ready.write_text(requirements, encoding="utf-8")
    return programs


def _run_command(command: list[str]) -> None:
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise BackendError(
            f"{' '.join(command)}: got exit code {completed.returncode}, expected 0\n{completed.stderr[-2000:]}"
        )


@contextmanager
def run_backend(backend: Backend, programs: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a backend with an empty database; yield its URL and its OpenAPI document. Raises BackendError."""
    port = _find_free_port()
    with TemporaryDirectory(prefix="backend-") as data:
        placeholders = {"bin": str(programs), "folder": data, "port": str(port)}
        environment = os.environ | {name: value.format(**placeholders) for name, value in backend.environment.items()}
        command = [part.format(**placeholders) for part in backend.command]
        for name, content in backend.files.items():
            (Path(data) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(data) / name).write_text(content, encoding="utf-8")
        with (Path(data) / "output.txt").open("w+b") as output:
            process = subprocess.Popen(command, cwd=data, env=environment, stdout=output, stderr=output)
            try:
                address = f"http://127.0.0.1:{port}"
                yield address, _fetch_document(process, address + backend.contract_path, Path(output.name))
            finally:
                process.terminate()
                process.wait(30)


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fetch_document(process: subprocess.Popen[bytes], url: str, output: Path) -> dict[str, Any]:
    """Wait until the backend serves its document, and return it. Raises BackendError."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5) as response:
                document: dict[str, Any] = json.load(response)
                return document
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise BackendError(f"{url}: no response within {START_SECONDS} s\n{output.read_text(errors='replace')[-2000:]}")
