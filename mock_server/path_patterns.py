"""Paths that differ only in the names of their parameters, which no request can distinguish."""

import re
from collections.abc import Iterable, Iterator

from spec.errors import ContractError
from spec.model import Contract, Operation

PATH_PARAMETER = re.compile(r"\{([^{}]+)\}")


def group_operations(contract: Contract) -> dict[str, dict[str, dict[str, Operation]]]:
    """Return the operations by base path, path and upper-case method.

    A fragment in a path (``/items#archived``) is no part of a request, so the first operation of several is used.
    """
    groups: dict[str, dict[str, dict[str, Operation]]] = {}
    for operation in contract.operations.values():
        for base_path in operation.base_paths or contract.base_paths:
            paths = groups.setdefault(base_path, {})
            path = operation.path.partition("#")[0]
            paths.setdefault(path, {}).setdefault(operation.method.upper(), operation)
    return groups


def iter_path_problems(contract: Contract) -> Iterator[ContractError]:
    """Yield the paths that cannot be distinguished from an earlier one with the same method."""
    for paths in group_operations(contract).values():
        for same_paths in group_paths(paths):
            first_paths: dict[str, str] = {}
            for path in same_paths:
                for method, operation in paths[path].items():
                    if method in first_paths:
                        yield same_pattern_error(operation, path, first_paths[method])
                    first_paths.setdefault(method, path)


def group_paths(paths: Iterable[str]) -> Iterable[list[str]]:
    """Return the paths in groups of those that differ only in the names of their parameters."""
    paths_by_pattern: dict[str, list[str]] = {}
    for path in sorted(paths, key=lambda path: path.endswith("/")):  # a slash may distinguish it from the one before
        paths_by_pattern.setdefault(PATH_PARAMETER.sub("{}", path), []).append(path)
    return paths_by_pattern.values()


def same_pattern_error(operation: Operation, path: str, other: str) -> ContractError:
    problem = f"{operation.method.upper()} {path} and {other}"
    return ContractError(operation.pointer, problem, "one path for each pattern of segments")
