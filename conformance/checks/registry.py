"""All checks: those that the modules of this package and the model declare with `check`."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

from conformance import checks
from conformance.checks.support.check import Check
from conformance.checks.validation.responses import RESPONSE_CHECKS
from conformance.model import checks as model


def find_checks(*modules: ModuleType) -> list[Check]:
    """Return the checks that modules declare."""
    return [value for module in modules for value in vars(module).values() if isinstance(value, Check)]


def _iter_modules() -> Iterator[ModuleType]:
    for _, name, _ in walk_packages(checks.__path__, f"{checks.__name__}."):
        if name != __name__:
            yield import_module(name)
    yield model


# In a fixed order, so that equal seeds send equal requests.
CHECKS = tuple(sorted([*find_checks(*_iter_modules()), *RESPONSE_CHECKS], key=lambda check: (check.stage, check.id)))
