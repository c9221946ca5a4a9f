"""Finds the operation of a request by its path."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from spec.model import Contract, Operation

_PARAMETER = re.compile("{([^{}]+)}")


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A path of the contract that matches. `operations`: by method. `values`: of the path parameters, decoded."""

    template: str
    operations: Mapping[str, Operation]
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Router:
    """Finds the path template that matches; the one with the fewest parameters, before the method is considered."""

    routes: tuple[tuple[re.Pattern[str], str, Mapping[str, Operation]], ...]

    @classmethod
    def from_contract(cls, contract: Contract) -> "Router":
        """Create the router of a contract."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in contract.operations.values():
            by_path.setdefault(operation.path, {})[operation.method] = operation
        templates = sorted(by_path, key=_rate_template)
        return cls(tuple((_compile_template(template), template, by_path[template]) for template in templates))

    def match(self, path: str) -> PathMatch | None:
        """Match a path below the base URL."""
        for pattern, template, operations in self.routes:
            if path_match := pattern.fullmatch(path):
                values = map(unquote, path_match.groups())
                return PathMatch(template, operations, dict(zip(_PARAMETER.findall(template), values, strict=True)))
        return None


def _rate_template(template: str) -> tuple[int, int, str]:
    """Return the sort key of a template: fewer segments with parameters first, then more text next to parameters."""
    segments = [segment for segment in template.split("/") if "{" in segment]
    return len(segments), -sum(len(_PARAMETER.sub("", segment)) for segment in segments), template


def _compile_template(template: str) -> re.Pattern[str]:
    literals = (re.escape(literal) for literal in _PARAMETER.split(template)[::2])
    return re.compile("([^/]+)".join(literals))
