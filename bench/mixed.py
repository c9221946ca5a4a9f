"""The mixed load: 80 % list and retrieve, 15 % create and update, 5 % delete, in an order that is the same for all.

And its reads alone, half of them lists: what it is measured by.
"""

import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.load import CREATE, HEADERS, LIST, Load, header_lines, wrk
from bench.servers import MESSAGE, Server

NAME = "mixed 80/15/5"
READS = "reads of the mixed load"
OURS, JSON_SERVER = "athena-mock", "json-server"
# Records that may be deleted in a second: 5 % of as many requests as it can answer.
SPARE = {OURS: 600, JSON_SERVER: 40}

# Of twenty requests; a delete when nothing is left to delete is a retrieve.
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

_READS = """
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


def spare_of(server: Server, turn: int, seconds: int) -> list[str]:
    """Keys of records that may be deleted in so many seconds: made here, or in the peer's file, others each turn."""
    number = SPARE[server.name] * seconds
    if server.name == JSON_SERVER:
        return [f"spare-{index}" for index in range(turn * number, (turn + 1) * number)]
    found = []
    for _ in range(number):
        data = json.dumps(CREATE.body).encode()
        request = urllib.request.Request(server.base + "/messages", data, dict(HEADERS), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            found.append(json.load(answer)["data"]["uuid"])
    return found


def run(server: Server, spare: Sequence[str], seconds: int, folder: Path, connections: int) -> Load:
    """Put a server under the mixed load. Raises SystemExit when an answer was no success."""
    said = {
        "spare": "{" + ",".join(f"'{key}'" for key in spare) + "}",
        "body": json.dumps(CREATE.body),
        "update": "PATCH" if server.name == JSON_SERVER else "PUT",
    }
    return _run(NAME, _SCRIPT, said, server, seconds, folder, connections)


def run_reads(server: Server, seconds: int, folder: Path, connections: int) -> Load:
    """Put a server under the reads alone. Raises SystemExit when an answer was no success."""
    return _run(READS, _READS, {}, server, seconds, folder, connections)


def _run(
    name: str, script: str, said: Mapping[str, str], server: Server, seconds: int, folder: Path, connections: int
) -> Load:
    root = "/" + server.base.partition("://")[2].partition("/")[2]
    root = "" if root == "/" else root
    listing = root + (LIST.at(server) or "").removeprefix(server.base)
    file = folder / "mixed.lua"
    file.write_text(script.format(headers=header_lines(), root=root, listing=listing, message=MESSAGE, **said))
    return wrk(name, server, server.base, file, seconds, connections, refused=False)
