"""The values of a discriminator that name a schema."""

from collections.abc import Mapping
from typing import Any

from spec.document import split_pointer


def list_discriminator_values(discriminator: Mapping[str, Any], reference: str) -> list[str]:
    """Return the values that name a schema: those of the mapping, then the name of the component."""
    component = split_pointer(reference)[-1]
    mapping = discriminator.get("mapping") or {}
    mapped = [value for value, target in mapping.items() if target in (reference, component)]
    return mapped if component in mapping else [*mapped, component]
