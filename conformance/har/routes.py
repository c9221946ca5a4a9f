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
    matches: dict[str, dict[str, str]] = {}
    for template in {op.path for op in contract.operations.values()}:
        values = _match(template.split("/"), path.split("/"))
        if values is not None:
            matches[template] = values
    if not matches:
        return None
    template = min(matches, key=lambda name: (len(matches[name]), name))
    operations = {op.method: op for op in contract.operations.values() if op.path == template}
    return RecordedRoute(template, operations, matches[template])


def _match(template: list[str], parts: list[str]) -> dict[str, str] | None:
    """The values of the path parameters; None if the path does not match."""
    if len(template) != len(parts):
        return None
    values = {name[1:-1]: unquote(part) for name, part in zip(template, parts, strict=True) if name[:1] == "{"}
    literals = ((name, part) for name, part in zip(template, parts, strict=True) if name[:1] != "{")
    return values if all(values.values()) and all(name == part for name, part in literals) else None


def find_base_url(contract: Contract, urls: Iterable[str]) -> str | None:
    """The base URL with the most matches of the contract; None without a match."""
    counts: Counter[str] = Counter()
    for url in filter(url_origin, urls):
        parts = urlsplit(url).path.rstrip("/").split("/")[: MAX_PATH_PARTS + 1]
        for cut in range(1, len(parts)):
            # The longest matching end of the path; a path that starts with a parameter would match any.
            match = find_route(contract, "/" + "/".join(parts[cut:]))
            if match is not None and match.template.split("/")[1][:1] != "{":
                counts[url_origin(url) + "/".join(parts[:cut])] += 1
                break
    return min(counts, key=lambda base: (-counts[base], not base.endswith(contract.base_path), base), default=None)


def url_origin(url: str) -> str:
    """``https://host:port`` of a URL, lower case; "" if it is not an HTTP URL."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme in ("http", "https") and parts.hostname else ""
