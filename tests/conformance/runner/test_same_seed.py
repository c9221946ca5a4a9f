"""Equal seeds send equal requests in the same order in any process; another seed sends others."""

import os
import subprocess
import sys

import pytest

from tests.mock_process import ROOT

pytestmark = pytest.mark.slow  # each test runs the suite in new processes

SAMPLE_OPERATIONS = ("listAgents", "createAgent", "updateAgent", "deleteThread", "createMessage")


def record_run(run_id: str, hashes: str, seed: int, operations: tuple[str, ...], *, engine: bool = False) -> list[str]:
    """The requests of a run in a new process with its own hash seed."""
    command = (
        sys.executable,
        "-m",
        "tests.conformance.support.recorded",
        *(["--engine"] if engine else []),
        run_id,
        str(seed),
        *operations,
    )
    environment = os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
    completed = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, env=environment, check=True
    )
    return completed.stdout.splitlines()


@pytest.mark.parametrize(
    ("operations", "engine"),
    [
        pytest.param(SAMPLE_OPERATIONS, False, id="some"),
        pytest.param((), True, marks=pytest.mark.slow, id="all-with-the-engine"),
    ],
)
def test_equal_seeds_send_equal_requests(operations: tuple[str, ...], engine: bool) -> None:
    both = (("aaaa1111", "1"), ("bbbb2222", "2"))
    first, second = (record_run(run_id, hashes, 5, operations, engine=engine) for run_id, hashes in both)
    assert len(first) > 100
    for number, (line, expected) in enumerate(zip(first, second, strict=False)):
        assert line == expected, f"request {number} differs, after {first[number - 1]}"
    assert len(first) == len(second)


def test_other_seed_sends_other_requests() -> None:
    assert record_run("aaaa1111", "1", 5, SAMPLE_OPERATIONS) != record_run("aaaa1111", "1", 6, SAMPLE_OPERATIONS)
