"""Imports Connexion without what it brings along for others, and starts without looking for garbage.

`import connexion` takes three times as long as its middlewares alone: its front imports two kinds of application and a
client for tests; and there are two HTTP clients that only other ways to check tokens, or to read a contract, would use.
"""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

FRAMEWORK_PACKAGE = "connexion"
MIDDLEWARE_MODULE = "connexion.middleware"  # what is built upon
UNUSED_PACKAGES = ("httpx", "requests")
OPTIONAL_PACKAGE = "flask"  # it serves without


class _LazyModule(ModuleType):
    """A module that is imported when something of it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_connexion() -> None:
    """Import Connexion's middlewares. What it is without is there for whoever imports it by name afterwards."""
    if FRAMEWORK_PACKAGE in sys.modules:
        return
    missing = [name for name in (*UNUSED_PACKAGES, OPTIONAL_PACKAGE) if name not in sys.modules]
    sys.modules.update({name: _LazyModule(name) for name in missing if name != OPTIONAL_PACKAGE})
    if OPTIONAL_PACKAGE in missing:
        sys.modules[OPTIONAL_PACKAGE] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        _defer_package_init()
        importlib.import_module(MIDDLEWARE_MODULE)
    finally:
        for name in missing:
            if sys.modules.get(name) is None or isinstance(sys.modules[name], _LazyModule):
                sys.modules.pop(name, None)


def _defer_package_init() -> None:
    """Let parts of the package be imported without its ``__init__.py``, which is run when a name of it is asked for."""
    spec = find_spec(FRAMEWORK_PACKAGE)
    if spec is None or spec.loader is None:
        return
    loader, package = spec.loader, module_from_spec(spec)

    def get_attribute(name: str) -> Any:
        if name.startswith("__") or find_spec(f"{FRAMEWORK_PACKAGE}.{name}") is not None:
            raise AttributeError(f"module {FRAMEWORK_PACKAGE!r} has no attribute {name!r}")
        vars(package).pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, name)

    vars(package)["__getattr__"] = get_attribute
    sys.modules[FRAMEWORK_PACKAGE] = package


@contextmanager
def gc_disabled() -> Iterator[None]:
    """No search for garbage: all that a start makes is kept, and to look through it again and again takes a fifth."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
