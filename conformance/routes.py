"""Which operation of a contract a recorded address is about, and where in a recording the API stands."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from spec.contract import Contract, Operation

DEEPEST = 12  # parts of an address that are looked at


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the contract that an address fits. `operations`: by method. `values`: of the path's parameters."""

    template: str
    operations: Mapping[str, Operation]
    values: Mapping[str, str]


def route(contract: Contract, path: str) -> Route | None:
    """The path of the contract that an address below its base fits, the one with the fewest parameters first."""
    asked = path.split("/")
    found: dict[str, dict[str, str]] = {}
    for template in {o.path for o in contract.operations.values()}:
        values = _values(template.split("/"), asked)
        if values is not None:
            found[template] = values
    if not found:
        return None
    template = min(found, key=lambda t: (len(found[t]), t))
    operations = {o.method: o for o in contract.operations.values() if o.path == template}
    return Route(template, operations, found[template])


def _values(template: list[str], asked: list[str]) -> dict[str, str] | None:
    if len(template) != len(asked):
        return None
    values: dict[str, str] = {}
    for due, part in zip(template, asked, strict=True):
        if due[:1] == "{":
            if not part:
                return None
            values[due[1:-1]] = unquote(part)
        elif due != part:
            return None
    return values


def base_of(contract: Contract, urls: Iterable[tuple[str, str]]) -> str | None:
    """The address below which most of the URLs fit the contract; None when none does. `urls`: (origin, URL)."""
    found: Counter[str] = Counter()
    for origin, url in urls:
        parts = urlsplit(url).path.rstrip("/").split("/")[: DEEPEST + 1]
        for cut in range(1, len(parts)):
            # The longest end of an address that fits; a path of parameters alone fits anything.
            fits = route(contract, "/" + "/".join(parts[cut:]))
            if fits is not None and fits.template.split("/")[1][:1] != "{":
                found[origin + "/".join(parts[:cut])] += 1
                break
    if not found:
        return None
    usual = contract.base_path
    return min(found, key=lambda base: (-found[base], not base.endswith(usual), base))
