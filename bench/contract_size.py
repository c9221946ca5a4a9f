"""Measure the cost of a larger contract: resources are repeated until it has 1,000 operations, next to the original.

    python -m bench.contract_size [--operations 1000] [--to bench/results]

A copy contains every resource except tenant and account, with all operations except named actions, under names with a
number appended. Relations of a copy lead to the same copy, and to the shared tenant and account. Both contracts are
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

from bench.growth import CONTRACT, InProcessApp, build_demo_image, create_app_with_messages
from bench.servers import MESSAGE, THREAD, measure_cold_start
from mock_server.web.routing import Routes
from spec.document import METHODS
from spec.loader import load_contract
from spec.model import Contract
from spec.reading.files import read_document

_REPETITIONS = 200
_COLD_STARTS = 3
_UNITS = {"cold start": "s", "cold start, processor time": "s", "memory at first": "MiB"}


@dataclass(frozen=True, slots=True)
class ContractMultiplier:
    """Copies parts of a contract under new names.

    `renamed_pointers`: components that are renamed in each copy; `operation_ids`: the operations.
    """

    root: Mapping[str, Any]
    renamed_pointers: frozenset[str]
    operation_ids: frozenset[str]

    @classmethod
    def from_contract(cls, contract: Contract) -> "ContractMultiplier":
        """Select what to copy of a contract: its resources and everything that refers to one of them."""
        root = contract.document.root
        shared_pointers = {
            f"#/components/schemas/{r.name}" for r in (contract.tenant_resource, contract.account_resource) if r
        }
        operation_ids = {
            o.id
            for o in contract.operations.values()
            if o.resource and _is_copied(root, o.pointer, shared_pointers, contract)
        }
        renamed_pointers = {f"#/components/schemas/{name}" for name in contract.resources} - shared_pointers
        while newly_renamed := {
            pointer
            for pointer, node in _iter_components(root)
            if pointer not in renamed_pointers | shared_pointers and renamed_pointers & set(_iter_references(node))
        }:
            renamed_pointers |= newly_renamed
        return cls(root, frozenset(renamed_pointers), frozenset(operation_ids))

    def multiply(self, copies: int) -> dict[str, Any]:
        """The contract with that number of copies."""
        root: dict[str, Any] = json.loads(json.dumps(self.root))
        for number in range(2, copies + 2):
            for pointer, node in _iter_components(self.root):
                if pointer in self.renamed_pointers:
                    _, _, kind, name = pointer.split("/")
                    root["components"][kind][f"{name}{number}"] = self.copy_node(node, number)
            for path, path_item in self.root["paths"].items():
                parts = path.split("/")
                copied_item = {
                    k: v for k, v in path_item.items() if k not in METHODS or v["operationId"] in self.operation_ids
                }
                if set(copied_item) & set(METHODS):
                    root["paths"]["/".join(["", f"{parts[1]}{number}", *parts[2:]])] = self.copy_node(
                        copied_item, number
                    )
        return root

    def copy_node(self, node: Any, number: int) -> Any:
        """A part of the contract with the names of a copy."""
        if isinstance(node, list):
            return [self.copy_node(item, number) for item in node]
        if not isinstance(node, dict):
            return node
        return {name: self.rename_value(name, value, number) for name, value in node.items()}

    def rename_value(self, name: str, value: Any, number: int) -> Any:
        """The value of a keyword, with the number appended to each renamed name."""
        if name == "$ref":
            return f"{value}{number}" if value in self.renamed_pointers else value
        if name == "operationId":
            return f"{value}{number}" if value in self.operation_ids else value
        if name == "collection" and isinstance(value, str):
            return f"{value}{number}"
        if name == "x-relation" and "to" in value:
            targets = value["to"]
            new_targets = [
                self.rename_resource(target, number) for target in (targets if isinstance(targets, list) else [targets])
            ]
            return {**value, "to": new_targets if isinstance(targets, list) else new_targets[0]}
        return self.copy_node(value, number)

    def rename_resource(self, resource: str, number: int) -> str:
        """Name of a resource in a copy."""
        return f"{resource}{number}" if f"#/components/schemas/{resource}" in self.renamed_pointers else resource


def _is_copied(root: Mapping[str, Any], pointer: str, shared_pointers: set[str], contract: Contract) -> bool:
    """Whether an operation is generic (no named action) and belongs to a copied resource."""
    operation = next(o for o in contract.operations.values() if o.pointer == pointer)
    node = root["paths"][operation.path][operation.method]
    return "x-action" not in node and f"#/components/schemas/{operation.resource}" not in shared_pointers


def _iter_components(root: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind, components in root["components"].items():
        if isinstance(components, dict) and kind != "securitySchemes":
            yield from ((f"#/components/{kind}/{name}", node) for name, node in components.items() if name[:2] != "x-")


def _iter_references(node: Any) -> Iterator[str]:
    """The targets of all references below a node."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from _iter_references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _iter_references(item)


def multiply_contract(operations: int) -> dict[str, Any]:
    """The contract with as many copies as it takes to reach about that number of operations."""
    contract = load_contract(CONTRACT)
    multiplier = ContractMultiplier.from_contract(contract)
    return multiplier.multiply(max(0, round((operations - len(contract.operations)) / len(multiplier.operation_ids))))


def measure(path: Path, dataset: Path) -> dict[str, float]:
    """Costs of serving a contract file: seconds and MiB of a start, microseconds of requests."""
    contract = load_contract(path)
    starts = [measure_cold_start("--contract", str(path), "--dataset", str(dataset)) for _ in range(_COLD_STARTS + 1)][
        1:
    ]  # the first start builds the dataset image
    costs: dict[str, float] = {"operations": len(contract.operations)}
    costs |= {name: median(start[name] for start in starts) for name in _UNITS}
    routes, base = Routes.from_contract(contract), contract.base_path.encode()
    last_template = (
        [route.path for route in routes.routes if route.parameter_names][-1].replace("{uuid}", MESSAGE).encode()
    )
    paths = {
        "routing: a literal path": base + b"/messages",
        "routing: a template": base + b"/messages/" + MESSAGE.encode(),
        "routing: the contract's last template": base + last_template,
        "routing: no path": base + b"/nothing/" + MESSAGE.encode(),
    }
    for name, path_bytes in paths.items():
        costs[name] = _measure_microseconds(lambda path_bytes=path_bytes: routes.find(path_bytes))  # type: ignore[misc]
    return costs | _measure_requests(create_app_with_messages(build_demo_image(contract, str(dataset)), 0, contract))


def _measure_requests(app: InProcessApp) -> dict[str, float]:
    """Microseconds per request, without the response cache."""
    body = {"thread_uuid": THREAD, "content": "Said", "role": "user"}
    requests: dict[str, tuple[Any, ...]] = {
        "retrieve": ("GET", f"/messages/{MESSAGE}"),
        "page of a thread": ("GET", f"/messages?thread_uuid={THREAD}&per_page=5"),
        "create": ("POST", "/messages", body),
        "refused create": ("POST", "/messages", {"content": ""}),
        "no such path": ("GET", "/mesages"),
    }
    expected_statuses = {"refused create": 422, "no such path": 404}
    costs = {}
    for name, request in requests.items():
        app.measure_request(*request, status=expected_statuses.get(name, 0))
        costs[name] = 1e6 * median(
            app.measure_request(*request, status=expected_statuses.get(name, 0)) for _ in range(_REPETITIONS)
        )
    app.sandbox.store.close()
    return costs


def _measure_microseconds(function: Callable[[], object]) -> float:
    """Microseconds of one call: the median over rounds of 100 calls."""
    durations = []
    for _ in range(_REPETITIONS):
        started_at = time.process_time()
        for _ in range(100):
            function()
        durations.append((time.process_time() - started_at) * 1e4)
    return median(durations)


def main(arguments: list[str]) -> int:
    """Measure, print and write the results; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.contract_size")
    parser.add_argument(
        "--operations", type=int, default=1_000, help="operations of the larger contract (default 1000)"
    )
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results", help="output folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "plain.yaml", Path(folder) / "repeated.yaml"]
        for file, root in zip(
            files, (read_document(CONTRACT).root, multiply_contract(options.operations)), strict=True
        ):
            file.write_text(yaml.dump(root, Dumper=yaml.CSafeDumper, sort_keys=False))
        dataset = Path(folder) / "demo_alone.yaml"
        dataset.write_text(yaml.dump({"extends": "demo", "only": list(load_contract(CONTRACT).resources)}))
        plain, large = (measure(file, dataset) for file in files)
    lines = ["| | plain | repeated | times |", "|---|--:|--:|--:|"]
    for name, cost in plain.items():
        unit = "" if name == "operations" else _UNITS.get(name, "µs")
        cells = f"{cost:,.2f} | {large[name]:,.2f}" if unit == "s" or cost < 10 else f"{cost:,.0f} | {large[name]:,.0f}"
        lines.append(f"| {name}{f', {unit}' if unit else ''} | {cells} | {large[name] / cost:.1f} |")
    markdown = "\n".join(lines) + "\n"
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "contract_size.md").write_text(markdown)
    (options.to / "contract_size.json").write_text(json.dumps({"plain": plain, "repeated": large}, indent=1))
    print(markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
