"""Which operation of a contract a recorded address is about, and where in a recording the API stands."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from spec.loader import Contract, Operation

MAX_PATH_PARTS = 12  # parts of an address that are looked at


@dataclass(frozen=True, slots=True)
class RecordedRoute:
    """A path of the contract that an address fits. `operations`: by method. `values`: of the path's parameters."""

    template: str
    operations: Mapping[str, Operation]
    values: Mapping[str, str]


def find_route(contract: Contract, path: str) -> RecordedRoute | None:
    """The path of the contract that an address below its base fits, the one with the fewest parameters first."""
    parts = path.split("/")
    matches: dict[str, dict[str, str]] = {}
    for template in {o.path for o in contract.operations.values()}:
        values = _match(template.split("/"), parts)
        if values is not None:
            matches[template] = values
    if not matches:
        return None
    template = min(matches, key=lambda t: (len(matches[t]), t))
    operations = {o.method: o for o in contract.operations.values() if o.path == template}
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
    """The address below which most of the URLs fit the contract; None when none does. `urls`: (origin, URL)."""
    counts: Counter[str] = Counter()
    for origin, url in urls:
        parts = urlsplit(url).path.rstrip("/").split("/")[: MAX_PATH_PARTS + 1]
        for cut in range(1, len(parts)):
            # The longest end of an address that fits; a path of parameters alone fits anything.
            match = find_route(contract, "/" + "/".join(parts[cut:]))
            if match is not None and match.template.split("/")[1][:1] != "{":
                counts[origin + "/".join(parts[:cut])] += 1
                break
    if not counts:
        return None
    default_path = contract.base_path
    return min(counts, key=lambda base: (-counts[base], not base.endswith(default_path), base))
