"""Memory of the mock under a mixed load whose creates are deleted again, so that the number of records stays the same.

    python -m bench.memory [--minutes 10]

Of twenty requests, twelve are reads (one of them a search for a new term), three creates, three deletes, one is an
update and one is rejected (422). The resident memory is sampled every ten seconds. The first fifth is the warm-up:
caches fill, and the first batches of creates are written. Exits 1 if memory grows by more than the limit after it.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.load import CREATE, LIST, PAGE, REJECTED_CREATE, header_lines
from bench.servers import MESSAGE, BenchmarkServer, run_mock

CONNECTIONS = 16
SAMPLE_SECONDS = 10
WARM_UP_SHARE = 5  # the first fifth of the samples
MAX_GROWTH_MIB = 5.0

_SCRIPT = """
{headers}
local keys, n, main = {{}}, 0
failures = 0
setup = function(thread) main = thread end
request = function()
  n = n + 1
  local turn = n % 20
  if turn == 3 or turn == 9 or turn == 15 then
    return wrk.format("POST", "{root}/messages", nil, '{create}')
  elseif turn == 5 or turn == 11 or turn == 17 or #keys > 100 then
    local key = table.remove(keys)
    if key then return wrk.format("DELETE", "{root}/messages/" .. key) end
  elseif turn == 7 then
    return wrk.format("PUT", "{root}/messages/{message}", nil, '{{"content":"Changed ' .. n .. '"}}')
  elseif turn == 13 then
    return wrk.format("POST", "{root}/messages", nil, '{rejected}')
  elseif turn == 1 then
    return wrk.format("GET", "{root}/messages?per_page=5&search=term" .. n)
  elseif turn == 19 then
    return wrk.format("GET", "{root}{page}")
  elseif turn % 4 == 0 then
    return wrk.format("GET", "{root}{listing}")
  end
  return wrk.format("GET", "{root}/messages/{message}")
end
response = function(status, headers, body)
  if status == 201 then
    table.insert(keys, body:match('"uuid":"([0-9a-f-]+)"'))
  elseif status >= 400 and status ~= 422 then
    failures = failures + 1
  end
end
done = function(summary) io.write(string.format("failures: %d\\n", main:get("failures"))) end
"""


@dataclass(frozen=True, slots=True)
class MemoryResult:
    """Resident memory in MiB, one sample every SAMPLE_SECONDS, and the number of requests."""

    samples: Sequence[float]
    request_count: int

    @property
    def growth(self) -> float:
        """Growth from the first to the last quarter after the warm-up, in MiB."""
        samples = self.samples[len(self.samples) // WARM_UP_SHARE :]
        quarter = max(1, len(samples) // 4)
        return median(samples[-quarter:]) - median(samples[:quarter])


def write_script(server: BenchmarkServer, file: Path) -> None:
    """Write the wrk script of the load."""
    root = "/" + server.base_url.partition("://")[2].partition("/")[2]
    create, rejected = json.dumps(CREATE.body), json.dumps(REJECTED_CREATE.body)
    values = {"root": root, "message": MESSAGE, "listing": LIST.target, "page": PAGE.target}
    file.write_text(_SCRIPT.format(headers=header_lines(), create=create, rejected=rejected, **values))


def measure(server: BenchmarkServer, seconds: int, script: Path) -> MemoryResult:
    """Put a server under load and sample its memory. Raises SystemExit if a request failed."""
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--timeout", "30s", "-s", str(script)]
    samples = [server.rss_mib()]
    with subprocess.Popen([*command, server.base_url], stdout=subprocess.PIPE, text=True) as wrk:
        next_sample_at = time.monotonic()
        while wrk.poll() is None:
            next_sample_at += SAMPLE_SECONDS
            try:
                wrk.wait(max(0.0, next_sample_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                samples.append(server.rss_mib())
        output = wrk.stdout.read() if wrk.stdout else ""
    request_count = re.search(r"([0-9]+) requests in", output)
    if request_count is None or "failures: 0" not in output or "Socket errors" in output:
        raise SystemExit(f"requests failed:\n{output}")
    return MemoryResult(samples, int(request_count[1]))


def build_table(result: MemoryResult) -> Iterator[str]:
    """The samples as the lines of a Markdown table with at most eleven rows."""
    yield "| s | MiB |"
    yield "|--:|--:|"
    for index in range(0, len(result.samples), max(1, -(-(len(result.samples) - 1) // 10))):
        yield f"| {index * SAMPLE_SECONDS} | {result.samples[index]:.1f} |"


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory")
    parser.add_argument("--minutes", type=float, default=10, help="duration of the load (default 10)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, run_mock() as server:
        script = Path(folder) / "memory.lua"
        write_script(server, script)
        result = measure(server, round(options.minutes * 60), script)
    for line in build_table(result):
        print(line)
    print(f"\n{result.request_count:,} requests; growth after the warm-up: {result.growth:.1f} MiB", end=" ")
    print(f"(limit {MAX_GROWTH_MIB:g} MiB)")
    return int(result.growth > MAX_GROWTH_MIB)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
