"""What a contract's size costs: its resources repeated until it has a thousand operations, beside the contract itself.

    python -m bench.contract_size [--operations 1000] [--to bench/results]

A copy has every resource but the tenant's and the account's, with all its operations that are no named action, under
names with a number behind them; the copies' relations lead to each other, and to the one tenant and account. Both are
served with the demo dataset, which has no records of the copies.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench.growth import CONTRACT, Served, demo_image, served
from bench.servers import MESSAGE, THREAD, cold_start
from mock_server.routing import Routes
from spec.contract import Contract, load_contract
from spec.document import METHODS, read_document

_TIMES = 200
_COLD_STARTS = 3
_UNITS = {"cold start": "s", "cold start, processor time": "s", "memory at first": "MiB"}


@dataclass(frozen=True, slots=True)
class Repeater:
    """Copies parts of a contract under other names.

    `renamed`: pointers of the components, and `operations` names of the operations, that each copy has its own of.
    """

    root: Mapping[str, Any]
    renamed: frozenset[str]
    operations: frozenset[str]

    @classmethod
    def of(cls, contract: Contract) -> "Repeater":
        """What is to be copied of a contract: its resources, and whatever leads to one of them."""
        root = contract.document.root
        kept = {f"#/components/schemas/{r.name}" for r in (contract.tenant_resource, contract.account_resource) if r}
        plain = {
            o.id for o in contract.operations.values() if o.resource and _is_plain(root, o.pointer, kept, contract)
        }
        renamed = {f"#/components/schemas/{name}" for name in contract.resources} - kept
        while more := {
            pointer
            for pointer, node in _components(root)
            if pointer not in renamed | kept and renamed & set(_references(node))
        }:
            renamed |= more
        return cls(root, frozenset(renamed), frozenset(plain))

    def repeated(self, times: int) -> dict[str, Any]:
        """The contract with so many copies."""
        root: dict[str, Any] = json.loads(json.dumps(self.root))
        for number in range(2, times + 2):
            for pointer, node in _components(self.root):
                if pointer in self.renamed:
                    _, _, kind, name = pointer.split("/")
                    root["components"][kind][f"{name}{number}"] = self.copied(node, number)
            for path, item in self.root["paths"].items():
                parts = path.split("/")
                found = {k: v for k, v in item.items() if k not in METHODS or v["operationId"] in self.operations}
                if set(found) & set(METHODS):
                    root["paths"]["/".join(["", f"{parts[1]}{number}", *parts[2:]])] = self.copied(found, number)
        return root

    def copied(self, node: Any, number: int) -> Any:
        """A part of the contract as it stands in a copy."""
        if isinstance(node, list):
            return [self.copied(item, number) for item in node]
        if not isinstance(node, dict):
            return node
        return {name: self.renaming(name, value, number) for name, value in node.items()}

    def renaming(self, name: str, value: Any, number: int) -> Any:
        """The value of a keyword, with the number behind each name that a copy has its own of."""
        if name == "$ref":
            return f"{value}{number}" if value in self.renamed else value
        if name == "operationId":
            return f"{value}{number}" if value in self.operations else value
        if name == "collection" and isinstance(value, str):
            return f"{value}{number}"
        if name == "x-relation" and "to" in value:
            to = value["to"]
            named = [self.named(one, number) for one in (to if isinstance(to, list) else [to])]
            return {**value, "to": named if isinstance(to, list) else named[0]}
        return self.copied(value, number)

    def named(self, resource: str, number: int) -> str:
        """A resource's name in a copy."""
        return f"{resource}{number}" if f"#/components/schemas/{resource}" in self.renamed else resource


def _is_plain(root: Mapping[str, Any], pointer: str, kept: set[str], contract: Contract) -> bool:
    """Whether an operation is no named action, and of a resource that is copied."""
    operation = next(o for o in contract.operations.values() if o.pointer == pointer)
    node = root["paths"][operation.path][operation.method]
    return "x-action" not in node and f"#/components/schemas/{operation.resource}" not in kept


def _components(root: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind, named in root["components"].items():
        if isinstance(named, dict) and kind != "securitySchemes":
            yield from ((f"#/components/{kind}/{name}", node) for name, node in named.items() if name[:2] != "x-")


def _references(node: Any) -> Iterator[str]:
    """The targets of all references below a node."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def enough(operations: int) -> dict[str, Any]:
    """The contract with so many copies that it has about as many operations."""
    contract = load_contract(CONTRACT)
    repeater = Repeater.of(contract)
    return repeater.repeated(max(0, round((operations - len(contract.operations)) / len(repeater.operations))))


def measured(path: Path, dataset: Path) -> dict[str, float]:
    """What the contract in a file costs: seconds and MiB for a start, microseconds for requests."""
    contract = load_contract(path)
    started = [cold_start("--contract", str(path), "--dataset", str(dataset)) for _ in range(_COLD_STARTS + 1)][
        1:
    ]  # the first builds the image
    found: dict[str, float] = {"operations": len(contract.operations)}
    found |= {name: median(start[name] for start in started) for name in _UNITS}
    routes, base = Routes.of(contract), contract.base_path.encode()
    last = [route.path for route in routes.all if route.names][-1].replace("{uuid}", MESSAGE).encode()
    sought = {
        "routing: a literal path": base + b"/messages",
        "routing: a template": base + b"/messages/" + MESSAGE.encode(),
        "routing: the contract's last template": base + last,
        "routing: no path": base + b"/nothing/" + MESSAGE.encode(),
    }
    for name, sent in sought.items():
        found[name] = _microseconds(lambda sent=sent: routes.find(sent))  # type: ignore[misc]
    return found | _requests(served(demo_image(contract, str(dataset)), 0, contract))


def _requests(app: Served) -> dict[str, float]:
    """Microseconds of requests, none of them answered from what is kept of whole answers."""
    body = {"thread_uuid": THREAD, "content": "Said", "role": "user"}
    asked: dict[str, tuple[Any, ...]] = {
        "retrieve": ("GET", f"/messages/{MESSAGE}"),
        "page of a thread": ("GET", f"/messages?thread_uuid={THREAD}&per_page=5"),
        "create": ("POST", "/messages", body),
        "refused create": ("POST", "/messages", {"content": ""}),
        "no such path": ("GET", "/mesages"),
    }
    due = {"refused create": 422, "no such path": 404}
    found = {}
    for name, request in asked.items():
        app.answered(*request, status=due.get(name, 0))
        found[name] = 1e6 * median(app.answered(*request, status=due.get(name, 0)) for _ in range(_TIMES))
    app.world.store.close()
    return found


def _microseconds(act: Callable[[], object]) -> float:
    """What doing something takes, the median of many rounds of a hundred."""
    took = []
    for _ in range(_TIMES):
        began = time.process_time()
        for _ in range(100):
            act()
        took.append((time.process_time() - began) * 1e4)
    return median(took)


def main(arguments: list[str]) -> int:
    """Measure, print and write; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.contract_size")
    parser.add_argument("--operations", type=int, default=1_000, help="of the largest contract (default 1000)")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results", help="folder for what is found")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "plain.yaml", Path(folder) / "repeated.yaml"]
        for file, root in zip(files, (read_document(CONTRACT).root, enough(given.operations)), strict=True):
            file.write_text(yaml.dump(root, Dumper=yaml.CSafeDumper, sort_keys=False))
        dataset = Path(folder) / "demo_alone.yaml"
        dataset.write_text(yaml.dump({"extends": "demo", "only": list(load_contract(CONTRACT).resources)}))
        plain, large = (measured(file, dataset) for file in files)
    lines = ["| | plain | repeated | times |", "|---|--:|--:|--:|"]
    for name, cost in plain.items():
        unit = "" if name == "operations" else _UNITS.get(name, "µs")
        shown = f"{cost:,.2f} | {large[name]:,.2f}" if unit == "s" or cost < 10 else f"{cost:,.0f} | {large[name]:,.0f}"
        lines.append(f"| {name}{f', {unit}' if unit else ''} | {shown} | {large[name] / cost:.1f} |")
    said = "\n".join(lines) + "\n"
    given.to.mkdir(parents=True, exist_ok=True)
    (given.to / "contract_size.md").write_text(said)
    (given.to / "contract_size.json").write_text(json.dumps({"plain": plain, "repeated": large}, indent=1))
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
