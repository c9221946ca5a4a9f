"""Finds the operation of a recorded URL, and the base URL of the API in a recording."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from spec.model import Contract, Operation

MAX_PATH_PARTS = 12


@dataclass(frozen=True, slots=True)
class RecordedRoute:
    """A path of the contract that matches a URL. `operations`: by method. `values`: of the path parameters."""

    template: str
    operations: Mapping[str, Operation]
    values: Mapping[str, str]


def find_route(contract: Contract, path: str) -> RecordedRoute | None:
    """The path of the contract that matches a path below the base URL; the one with the fewest parameters."""
    parts = path.split("/")
    matches: dict[str, dict[str, str]] = {}
    for template in {op.path for op in contract.operations.values()}:
        values = _match(template.split("/"), parts)
        if values is not None:
            matches[template] = values
    if not matches:
        return None
    template = min(matches, key=lambda name: (len(matches[name]), name))
    operations = {op.method: op for op in contract.operations.values() if op.path == template}
    return RecordedRoute(template, operations, matches[template])


def _match(template: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(template) != len(parts):
        return None
    values: dict[str, str] = {}
    for expected, part in zip(template, parts, strict=True):
        if expected[:1] == "{":
            if not part:
                return None
            values[expected[1:-1]] = unquote(part)
        elif expected != part:
            return None
    return values


def find_base_url(contract: Contract, urls: Iterable[tuple[str, str]]) -> str | None:
    """The base URL with the most matches of the contract; None without a match. `urls`: (origin, URL)."""
    counts: Counter[str] = Counter()
    for origin, url in urls:
        parts = urlsplit(url).path.rstrip("/").split("/")[: MAX_PATH_PARTS + 1]
        for cut in range(1, len(parts)):
            # The longest matching end of the path; a path that starts with a parameter would match any.
            match = find_route(contract, "/" + "/".join(parts[cut:]))
            if match is not None and match.template.split("/")[1][:1] != "{":
                counts[origin + "/".join(parts[:cut])] += 1
                break
    if not counts:
        return None
    default_path = contract.base_path
    return min(counts, key=lambda base: (-counts[base], not base.endswith(default_path), base))
