"""Properties that a contract states by more than an inference: variants that differ from the contract keep them."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from conformance.mutation.conforming_variants.responses import VariantFactory
from conformance.mutation.faults import MakeFault, change_response
from spec.document import escape
from spec.model import Contract
from spec.provenance import INFERRED, get_provenance

SCHEMAS = "#/components/schemas"


def find_stated_properties(contract: Contract) -> frozenset[str]:
    """Return the names of all properties that a schema of the contract states as documented, published or confirmed."""
    schemas = contract.document.root.get("components", {}).get("schemas", {})
    properties = _iter_properties(schemas, SCHEMAS)
    return frozenset(name for name, at in properties if get_provenance(contract.document, at) != INFERRED)


def _iter_properties(node: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield (name, pointer) of the properties below a node."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        child_pointer = f"{pointer}/{escape(str(key))}"
        if key == "properties" and isinstance(child, dict):
            yield from ((name, f"{child_pointer}/{escape(name)}") for name in child)
        yield from _iter_properties(child, child_pointer)


def keep_stated(build_fault: Callable[[Collection[str]], MakeFault]) -> VariantFactory:
    """Make a variant of a fault that changes no stated property; `build_fault` gets their names."""
    return lambda contract, clock: build_fault(find_stated_properties(contract))()


def change_unstated_values(function: Callable[[Any], Any]) -> VariantFactory:
    """Change the values of every response, except those of stated properties."""
    return keep_stated(
        lambda kept: change_response(
            lambda _, response: (
                response if response.json is None else response.with_json(map_members(response.json, function, kept))
            )
        )
    )


def map_members(value: Any, function: Callable[[Any], Any], kept: Collection[str]) -> Any:
    """Apply a function to all values without members, except those of the properties in `kept`."""
    if isinstance(value, dict):
        return {
            name: item if name in kept and not isinstance(item, (dict, list)) else map_members(item, function, kept)
            for name, item in value.items()
        }
    return [map_members(item, function, kept) for item in value] if isinstance(value, list) else function(value)
