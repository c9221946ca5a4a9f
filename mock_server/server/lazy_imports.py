"""Faster startup: imports only the middlewares of Connexion and disables the garbage collector.

`import connexion` takes three times as long as its middlewares alone: it imports two kinds of application, a test
client and two HTTP clients that the mock does not use.
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
MIDDLEWARE_MODULE = "connexion.middleware"
UNUSED_PACKAGES = ("httpx", "requests")
OPTIONAL_PACKAGE = "flask"


class _LazyModule(ModuleType):
    """A module that is imported on the first access to an attribute."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_connexion() -> None:
    """Import Connexion's middlewares. The omitted packages can still be imported afterwards."""
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
    """Defer the package's ``__init__.py`` to the first access to one of its names."""
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
    """Disable garbage collection: startup creates hardly any garbage, and looking for it takes a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
