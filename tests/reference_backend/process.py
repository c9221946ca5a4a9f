"""Runs the backend as a process on a free loopback port."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOKENS = ("demo-token", "other-token", "viewer-token")


@contextmanager
def run_backend(bug: str = "") -> Iterator[str]:
    """Start a new backend, optionally with a bug; yield its base URL and stop it afterwards."""
    environment = os.environ | {"BACKEND_BUG": bug, "BACKEND_TOKENS": " ".join(TOKENS)}
    command = [sys.executable, "-m", "tests.reference_backend", "--port", "0"]
    pipe, devnull = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=devnull, text=True, cwd=ROOT, env=environment) as backend:
        try:
            assert backend.stdout is not None
            base = backend.stdout.readline().strip()
            if not base:
                raise RuntimeError(f"the backend exited with {backend.wait()} before it served")
            yield base
        finally:
            backend.terminate()
