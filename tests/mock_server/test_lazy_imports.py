"""Startup imports only what serving needs and leaves other modules importable."""

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mock_server.server.lazy_imports import OPTIONAL_PACKAGE, UNUSED_PACKAGES, gc_disabled

ROOT = Path(__file__).parents[2]


def run_script(script: str) -> Any:
    """Return the JSON that a script prints in a separate process."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LEAN = """
import json, sys
from mock_server.server.lazy_imports import import_connexion
import_connexion()
import mock_server.app
"""


def test_serving_process_imports_no_unused_packages() -> None:
    result = run_script(f"{LEAN}print(json.dumps(sorted(sys.modules)))")
    assert "connexion.middleware.main" in result
    assert not {*UNUSED_PACKAGES, OPTIONAL_PACKAGE, "faker", "rich", "starlette.testclient"} & set(result)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*UNUSED_PACKAGES, OPTIONAL_PACKAGE])
def test_omitted_package_can_be_imported_afterwards(name: str) -> None:
    file = run_script(f"{LEAN}import {name}; print(json.dumps({name}.__file__))")
    assert Path(file).parent.name == name


@pytest.mark.slow
def test_deferred_module_is_imported_on_use() -> None:
    script = "import connexion.security as s; import httpx; print(json.dumps(s.httpx.AsyncClient is httpx.AsyncClient))"
    assert run_script(LEAN + script)
    script = "import connexion.security as s; c = s.httpx.AsyncClient; import httpx; print(json.dumps(c.__module__))"
    assert run_script(LEAN + script).startswith("httpx")


@pytest.mark.slow
def test_package_init_runs_on_first_use_of_its_names() -> None:
    script = """
import connexion
from connexion.middleware import ConnexionMiddleware
assert connexion.AsyncApp.__name__ == "AsyncApp"
assert connexion.ConnexionMiddleware is ConnexionMiddleware
print(json.dumps(connexion.resolver.__name__))
"""
    assert run_script(LEAN + script) == "connexion.resolver"


@pytest.mark.slow
def test_unknown_name_raises_attribute_error() -> None:
    script = """
import connexion
try:
    connexion.nothing
except AttributeError as error:
    print(json.dumps(str(error)))
"""
    assert "'connexion'" in run_script(LEAN + script)


@pytest.mark.slow
def test_connexion_imported_before_is_kept() -> None:
    script = """
import json, sys, connexion, httpx
from mock_server.server.lazy_imports import import_connexion
import_connexion()
print(json.dumps([sys.modules["connexion"] is connexion, sys.modules["httpx"] is httpx, "flask" in sys.modules]))
"""
    assert run_script(script) == [True, True, True]


@pytest.mark.parametrize("is_enabled", [True, False])
def test_garbage_collection_is_restored_after_startup(is_enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        with gc_disabled():
            assert not gc.isenabled()
        assert gc.isenabled() is is_enabled
        with pytest.raises(KeyError), gc_disabled():
            raise KeyError
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
