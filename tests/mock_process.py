"""Starts the `athena-mock` command as a subprocess, as a user does."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALLED = Path(sys.executable).with_name("athena-mock")
MODULE = (sys.executable, "-m", "mock_server")


def build_environment(cache: Path) -> dict[str, str]:
    """The environment of this process without settings of the mock, and with `cache` as its cache folder."""
    variables = {name: text for name, text in os.environ.items() if not name.startswith("ATHENA_MOCK_")}
    return variables | {"XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)}


@contextmanager
def run_mock(
    command: tuple[str, ...], env: Mapping[str, str], folder: Path = ROOT
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run a mock in `folder` until the block ends; yields the process and its startup banner."""
    pipe = subprocess.PIPE
    mock = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=folder, env=dict(env))
    try:
        assert mock.stdout is not None
        banner = ""
        while "# 422" not in banner:
            line = mock.stdout.readline()
            if not line:
                raise AssertionError(banner + mock.communicate()[1])
            banner += line
        yield mock, banner
    finally:
        mock.kill()
        mock.communicate()
