"""Builds the contract of a backend: the OpenAPI document that it serves, with our overlay."""

from typing import Any

import yaml

from tests.backends.definitions import Backend
from tests.backends.overlay import apply_overlay


def build_contract(backend: Backend, document: dict[str, Any]) -> dict[str, Any]:
    """Keep only the paths below the base path, and apply the overlay. Changes `document`. Raises OverlayError."""
    if backend.base_path:
        document["servers"] = [{"url": backend.base_path}]
    paths = ((_fill_path(backend, path), item) for path, item in document["paths"].items())
    document["paths"] = {
        path.removeprefix(backend.base_path) or "/": _remove_fixed_parameters(backend, item)
        for path, item in paths
        if path.startswith(f"{backend.base_path}/")
    }
    apply_overlay(document, yaml.safe_load(backend.overlay.read_text(encoding="utf-8")))
    return document


def _fill_path(backend: Backend, path: str) -> str:
    """Replace the parameters of a path that have a fixed value."""
    for name, value in backend.path_values.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def _remove_fixed_parameters(backend: Backend, item: dict[str, Any]) -> dict[str, Any]:
    """Remove the parameters that have a fixed value from the operations of a path."""
    for operation in item.values():
        if isinstance(operation, dict) and "parameters" in operation:
            operation["parameters"] = [p for p in operation["parameters"] if p.get("name") not in backend.path_values]
    return item
