"""Two hundred tests at the same time in one mock process, each in its own sandbox."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mock_process import MODULE, ROOT, build_environment, run_mock

SANDBOX_COUNT, THREAD_COUNT = 200, 16


def run_one_test(address: str, number: int) -> tuple[Any, ...]:
    """Create agents in a new sandbox; return what must be equal in all sandboxes."""
    with httpx.Client(base_url=address, timeout=60) as client:
        sandbox = client.put(f"/__mock/api/sandboxes/test-{number}").json()
        headers = {"Authorization": f"Bearer {sandbox['tokens']['demo']}"}
        path = f"{sandbox['base_url']}/agents"
        before = client.get(path, headers=headers).json()["meta"]["total"]
        keys = []
        for index in range(3):
            body = {"name": f"Agent {number}.{index}", "instruction": "Answer."}
            keys.append(client.post(path, headers=headers, json=body).json()["data"]["uuid"])
        found = client.get(path, headers=headers, params={"search": f"Agent {number}."}).json()["data"]
        assert {row["name"] for row in found} == {f"Agent {number}.{index}" for index in range(3)}
        after = client.get(path, headers=headers).json()["meta"]["total"]
        changes = client.get(f"/__mock/api/sandboxes/test-{number}/changes").json()
        assert sorted(item["key"] for item in changes["created"]) == sorted(keys)
        return (before, after, *keys)


@pytest.mark.slow
def test_parallel_tests_do_not_affect_each_other(tmp_path: Path) -> None:
    command = (*MODULE, "--port", "0", "--epoch", "2026-03-01T00:00:00Z")
    env = build_environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
    with run_mock(command, env) as (_, banner):
        address = next(word for word in banner.split() if word.startswith("http://")).removesuffix("/api/v1")
        with ThreadPoolExecutor(THREAD_COUNT) as threads:
            results = list(threads.map(lambda number: run_one_test(address, number), range(SANDBOX_COUNT)))
    assert len(set(results)) == 1
    before, after, *_ = results[0]
    assert after == before + 3
