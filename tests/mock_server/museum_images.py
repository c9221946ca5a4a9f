"""Records of the museum, images of them, and scripts in other processes."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from mock_server.images import DatasetParameters, build_image
from spec.record import Record
from tests.mock_server.museum_contract import museum

EPOCH = datetime(2024, 5, 1, 12, tzinfo=UTC)
PARAMETERS = DatasetParameters("demo", 7, EPOCH, 1.0)
ROOT = Path(__file__).parents[2]


def room(key: str = "r1") -> Record:
    return Record("Room", key, {"uuid": key, "name": "a", "floor": 0, "open": True}, {})


def build(*records: Record, parameters: DatasetParameters = PARAMETERS) -> bytes:
    return build_image(museum(), parameters, records, {"greeting": "hello"})


def run_script(code: str) -> str:
    """Return the output of a script in another process."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()
