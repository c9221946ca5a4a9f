"""Starts the installed command `athena-mock`."""

import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND = "athena-mock"
MAX_START_SECONDS = 60.0  # the first start with a dataset builds it
_URL = re.compile(r"(\S+)/__mock/health")


class MockStartError(Exception):
    """The command cannot be started, or exits before the mock is ready."""


@dataclass(frozen=True, slots=True)
class MockProcess:
    """The process of a mock. `url` has no path."""

    url: str
    process: "subprocess.Popen[str]"

    @classmethod
    def start(cls, command: Sequence[str]) -> "MockProcess":
        """Start a mock on a free port and wait until it is ready. Raises MockStartError."""
        with tempfile.TemporaryFile("w+") as errors:
            arguments = [*(command or find_command()), "--port", "0", "--quiet"]
            try:
                process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, text=True)
            except OSError as error:
                raise MockStartError(f"{arguments[0]}: cannot be started ({error}).") from None
            url = _read_url(process)
            if url is not None:
                return cls(url, process)
            errors.seek(0)
            message = errors.read().strip() or f"not ready after {MAX_START_SECONDS:.0f} seconds"
            raise MockStartError(f"{' '.join(arguments)}: exit code {process.wait()}: {message}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def find_command() -> Sequence[str]:
    """Find the command of this environment, else in PATH. Raises MockStartError."""
    installed = Path(sys.executable).with_name(COMMAND)
    command = str(installed) if installed.exists() else shutil.which(COMMAND)
    if command is None:
        raise MockStartError(
            f"{COMMAND} is not installed in this environment and not in PATH. Install it, set athena_mock_command in "
            "the configuration of pytest, or pass --athena-mock-url."
        )
    return [command]


def _read_url(process: "subprocess.Popen[str]") -> str | None:
    """Read the URL that the mock prints as soon as it is ready; None if it exits. Kills it after MAX_START_SECONDS."""
    timer = threading.Timer(MAX_START_SECONDS, process.kill)
    timer.start()
    try:
        matches = (_URL.search(line) for line in process.stdout or ())
        return next((match[1] for match in matches if match), None)
    finally:
        timer.cancel()
