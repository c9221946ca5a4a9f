"""The backend as a process of its own, on a free port of loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOKENS = ("demo-token", "other-token")


@contextmanager
def serving(bug: str = "") -> Iterator[str]:
    """The base URL of a fresh backend, with a bug or without; it is ended afterwards."""
    around = os.environ | {"BACKEND_BUG": bug, "BACKEND_TOKENS": " ".join(TOKENS)}
    command = [sys.executable, "-m", "tests.reference_backend", "--port", "0"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=nowhere, text=True, cwd=ROOT, env=around) as backend:
        try:
            assert backend.stdout is not None
            base = backend.stdout.readline().strip()
            if not base:
                raise RuntimeError(f"the backend ended with {backend.wait()} before it served")
            yield base
        finally:
            backend.terminate()
