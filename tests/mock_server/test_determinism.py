"""Two processes with one seed and epoch serve the same records in any order of requests; another seed does not."""

import json
import os
import random
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spec.model import Contract
from tests.mock_server.athena import CONTRACT, athena_contract

pytestmark = pytest.mark.slow

SAMPLE_SIZE = 1000


@contextmanager
def start_mock(cache: Path, seed: int, hash_seed: int) -> Iterator[str]:
    """Run a mock in a separate process with an empty image cache."""
    command = [sys.executable, "-m", "mock_server", "--port", "0", "--quiet", "--size", "4"]
    command += ["--epoch", "2026-03-01T00:00:00Z", "--seed", str(seed), "--contract", str(CONTRACT)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONHASHSEED": str(hash_seed)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=CONTRACT.parents[1]) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0].decode()
        finally:
            process.terminate()


def fetch(base: str, target: str) -> bytes:
    request = urllib.request.Request(base + target, headers={"Authorization": "Bearer demo-token"})
    with urllib.request.urlopen(request, timeout=10) as response:
        content: bytes = response.read()
        return content.replace(base.rpartition("/api/")[0].encode(), b"")


def iter_record_paths(contract: Contract, base: str) -> Iterator[str]:
    """Yield the path of each record that a list contains and an operation retrieves."""
    retrievable = {o.resource: o for o in contract.operations.values() if o.action == "retrieve"}
    for operation in contract.operations.values():
        if operation.action != "list" or operation.resource is None or operation.resource not in retrievable:
            continue
        key = contract.resources[operation.resource].key_attribute
        page = 1
        while rows := json.loads(fetch(base, f"{operation.path}?per_page=100&page={page}"))["data"]:
            yield from (f"{operation.path}/{row[key]}" for row in rows)
            page += 1


def test_same_seed_same_bytes_in_any_order_and_another_seed_differs(tmp_path: Path) -> None:
    contract = athena_contract()
    with start_mock(tmp_path / "a", 5, 1) as first, start_mock(tmp_path / "b", 5, 2) as second:
        sampled_paths = list(iter_record_paths(contract, first))[:SAMPLE_SIZE]
        assert len(sampled_paths) == SAMPLE_SIZE
        first_bodies = {path: fetch(first, path) for path in sampled_paths}
        random.Random(1).shuffle(sampled_paths)
        second_bodies = {path: fetch(second, path) for path in sampled_paths}
    assert first_bodies == second_bodies
    with start_mock(tmp_path / "c", 6, 1) as third:
        assert not set(iter_record_paths(contract, third)) >= set(sampled_paths)
