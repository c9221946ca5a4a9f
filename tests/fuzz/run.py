"""Run Schemathesis with all checks but one against the mock, and require a 2xx response of each operation.

    python -m tests.fuzz.run [SEED] [-- further options of `schemathesis run`]

Starts a mock on a free loopback port, runs Schemathesis with the built-in token, and counts the recorded responses.
Prints the seed. Exits with 1 on a failure or on an operation without a 2xx response.

The check `ignored_auth` is off: it sends an invalid cookie or X-Multiplai-Authorization with the valid token and
expects 401, but the published order of authentication falls back to the token. Own tests cover each credential alone.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spec.loader import load_contract

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "spec" / "openapi.yaml"
EPOCH = "2026-03-01T00:00:00Z"


@contextmanager
def run_mock(folder: Path) -> Iterator[str]:
    """Start the mock; yield its base URL."""
    # Bodies that the contract permits, or that exceed one of its limits, may have more than the default 1 MiB.
    limits = ("--max-body", "10MiB")
    command = [sys.executable, "-m", "mock_server", "--port", "0", "--quiet", "--epoch", EPOCH, *limits]
    log = folder / "mock.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            yield _address(server, log)
        finally:
            server.terminate()
            server.wait(20)


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    for _ in range(600):
        match = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if match:
            return match.group()
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"the mock did not start:\n{log.read_text()}")


def call_excluded_operations(base: str) -> Iterator[tuple[str, int]]:
    """Call the operations that cannot succeed with the token of the run, each once with another token."""
    contract = load_contract(CONTRACT)
    url = base + contract.base_path
    account = {"email": "john.doe@example.com", "password": "password"}
    _, content = _send("POST", url + contract.operations["signIn"].path, {}, account)
    token = json.loads(content)["data"]["token"]
    scheme = contract.security_schemes["multiplai"]["name"]
    path = contract.operations["getAuthenticatedUserByAppToken"].path
    yield "getAuthenticatedUserByAppToken", _send("GET", url + path, {scheme: token})[0]
    yield "logout", _send("POST", url + contract.operations["logout"].path, {"Authorization": f"Bearer {token}"})[0]


def _send(method: str, url: str, headers: dict[str, str], body: object = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status, response.read()


def main(arguments: list[str]) -> int:
    """Run Schemathesis and return the exit code."""
    seed = arguments[0] if arguments and arguments[0] != "--" else "1"
    options = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    with tempfile.TemporaryDirectory() as name, run_mock(Path(name)) as base:
        traffic = Path(name) / "traffic"
        contract = load_contract(CONTRACT)
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(CONTRACT)]
        command += ["--url", base + contract.base_path, "--header", "Authorization: Bearer demo-token"]
        command += ["--workers", "1", "--seed", seed, "--exclude-checks", "ignored_auth", *options]
        environment = {**os.environ, "ATHENA_FUZZ_TRAFFIC": str(traffic), "SCHEMATHESIS_HOOKS": "tests.fuzz.traffic"}
        print("seed", seed, flush=True)
        code = subprocess.run(command, env={**environment, "PYTHONPATH": str(ROOT)}, cwd=name).returncode
        responses = Counter(tuple(line.split()) for line in traffic.read_text().splitlines())
        successful = {operation for operation, status in responses if status.startswith("2")}
        successful |= {operation for operation, status in call_excluded_operations(base) if 200 <= status < 300}
    missing = sorted(set(contract.operations) - successful)
    print(
        f"{sum(responses.values())} requests, {len(successful)} of {len(contract.operations)} operations returned 2xx"
    )
    statuses = Counter(status for _, status in responses.elements())
    print("statuses:", ", ".join(f"{status} {count}" for status, count in sorted(statuses.items())))
    if missing:
        print("no 2xx from:", ", ".join(missing))
    return 1 if code or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
