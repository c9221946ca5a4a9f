"""The mixed load: 80 % list and retrieve, 15 % create and update, 5 % delete, in the same order for every server.

The reads alone, half of them lists, are measured separately for comparison.
"""

import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.load import CREATE, HEADERS, LIST, LoadResult, header_lines, run_wrk
from bench.servers import MESSAGE, BenchmarkServer

NAME = "mixed 80/15/5"
READS_NAME = "reads of the mixed load"
OURS, JSON_SERVER = "athena-mock", "json-server"
# Deletable records per second: 5 % of the highest request rate.
DELETES_PER_SECOND = {OURS: 600, JSON_SERVER: 40}

# A cycle of twenty requests. Without a deletable record, a delete becomes a retrieve.
_SCRIPT = """
{headers}
local spare = {spare}
local at, n = 0, 0
local body = '{body}'
request = function()
  n = n + 1
  local turn = n % 20
  if turn == 0 and at < #spare then
    at = at + 1
    return wrk.format("DELETE", "{root}/messages/" .. spare[at])
  elseif turn == 5 or turn == 15 then
    return wrk.format("POST", "{root}/messages", nil, body)
  elseif turn == 10 then
    return wrk.format("{update}", "{root}/messages/{message}", nil, '{{"content":"Changed ' .. n .. '"}}')
  elseif turn % 2 == 1 then
    return wrk.format("GET", "{listing}")
  end
  return wrk.format("GET", "{root}/messages/{message}")
end
"""

_READS_SCRIPT = """
{headers}
local n = 0
request = function()
  n = n + 1
  if n % 2 == 1 then
    return wrk.format("GET", "{listing}")
  end
  return wrk.format("GET", "{root}/messages/{message}")
end
"""


def create_deletable_keys(server: BenchmarkServer, turn: int, seconds: int) -> list[str]:
    """Keys of records to delete in one turn: created here, or taken from the peer's file."""
    key_count = DELETES_PER_SECOND[server.name] * seconds
    if server.name == JSON_SERVER:
        return [f"spare-{index}" for index in range(turn * key_count, (turn + 1) * key_count)]
    keys = []
    for _ in range(key_count):
        data = json.dumps(CREATE.body).encode()
        request = urllib.request.Request(server.base_url + "/messages", data, dict(HEADERS), method="POST")
        with urllib.request.urlopen(request, timeout=10) as response:
            keys.append(json.load(response)["data"]["uuid"])
    return keys


def run(
    server: BenchmarkServer, deletable_keys: Sequence[str], seconds: int, folder: Path, connections: int
) -> LoadResult:
    """Put a server under the mixed load. Raises SystemExit if a request did not succeed."""
    substitutions = {
        "spare": "{" + ",".join(f"'{key}'" for key in deletable_keys) + "}",
        "body": json.dumps(CREATE.body),
        "update": "PATCH" if server.name == JSON_SERVER else "PUT",
    }
    return _run_script(NAME, _SCRIPT, substitutions, server, seconds, folder, connections)


def run_reads(server: BenchmarkServer, seconds: int, folder: Path, connections: int) -> LoadResult:
    """Put a server under the reads alone. Raises SystemExit if a request did not succeed."""
    return _run_script(READS_NAME, _READS_SCRIPT, {}, server, seconds, folder, connections)


def _run_script(
    name: str,
    script: str,
    substitutions: Mapping[str, str],
    server: BenchmarkServer,
    seconds: int,
    folder: Path,
    connections: int,
) -> LoadResult:
    root = "/" + server.base_url.partition("://")[2].partition("/")[2]
    root = "" if root == "/" else root
    listing = root + (LIST.url_for(server) or "").removeprefix(server.base_url)
    file = folder / "mixed.lua"
    file.write_text(script.format(headers=header_lines(), root=root, listing=listing, message=MESSAGE, **substitutions))
    return run_wrk(name, server, server.base_url, file, seconds, connections, is_rejected=False)
