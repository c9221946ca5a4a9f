"""Tests of the architecture: which package may import which, the layers inside each package, and import cycles.

The checkers take the tree to inspect, so that their own tests can run them on small trees that break each rule. To
change a rule: ALLOWED_PACKAGES, LAYERS, OWNERS and RESTRICTED.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.source_trees import write_tree

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("spec", "fixtures", "mock_server", "conformance", "tests", "bench", "scripts")
SOURCE_PACKAGES = (
    "spec",
    "fixtures",
    "mock_server",
    "conformance",
)  # no import cycles, and layers where LAYERS has them

# Module prefix -> the packages of this project that it may import besides its own. The longest matching prefix counts.
# A module that matches none (tests, bench, scripts) may import any package.
ALLOWED_PACKAGES: Mapping[str, frozenset[str]] = {
    "spec": frozenset(),
    "fixtures": frozenset({"spec"}),
    "mock_server": frozenset({"spec"}),
    "mock_server.cli": frozenset({"spec", "fixtures"}),
    "conformance": frozenset({"spec"}),
    "conformance.mutation": frozenset({"spec", "mock_server", "fixtures"}),
}

# Package -> its layers, the lowest first. A module imports only from its own part and from lower layers.
LAYERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "mock_server": (
        ("json_encoding", "path_patterns", "sized_cache"),
        ("errors", "store"),
        ("static_responses",),
        ("query",),
        ("serialization",),
        ("sandbox",),
        ("actions", "images"),
        ("parsed_files",),
        ("image_cache", "store_files"),
        ("registry",),
        ("web",),
        ("control", "system_routes"),
        ("console",),
        ("app",),
        ("server",),
        ("cli",),
        ("__main__",),
    ),
    "conformance": (
        ("errors", "interrupts"),
        ("transport", "config", "files"),
        ("results", "responses"),
        ("session", "contract_edits"),
        ("checks.support", "schemathesis_engine"),
        ("checks.writes", "model", "runner", "trace"),
        ("checks.lists", "gate"),
        ("checks.access",),
        ("checks.validation", "checks.actions"),
        ("checks", "har"),
        ("reporting",),
        ("mutation", "past_runs"),
        ("cli",),
        ("__main__",),
    ),
}

# Third-party package -> the only module prefixes that may import it. The tests of a package may import it too.
OWNERS: Mapping[str, tuple[str, ...]] = {
    "faker": ("fixtures", "tests.fixtures"),  # values change between versions; import costs 0.5 s and 60 MiB
    "connexion": ("mock_server", "tests.mock_server"),  # has no type hints; all subclasses of it are in one package
    "schemathesis": (
        "conformance.schemathesis_engine",
        "tests.fuzz",
        "tests.conformance",
        "tests.contracts",
    ),  # its engine is not a documented API
    "openapi_core": (
        "conformance.har.openapi_core_adapter",
        "tests.mock_server",
        "tests.contracts",
    ),  # shares no code with our validators
    "pytest": (
        "conformance.cli.pytest_plugin",
        "conformance.cli.pytest",
        "tests",
    ),  # one of several ways to run the suite
    # One translation of OpenAPI 3.0 schemas for mock and suite.
    "jsonschema_rs": ("spec.validators", "spec.patterns", "spec.sampling.unsatisfiable_schemas", "tests"),
    "httpx": ("conformance", "tests"),  # the mock sends no requests
    "cryptography": ("mock_server.server.self_signed", "tests.mock_server"),  # an optional dependency
    # The transport of Schemathesis; everything else uses httpx.
    "requests": ("conformance.schemathesis_engine", "tests.contracts"),
}

# Module of this project, or a name in one -> the only module prefixes that may import it.
RESTRICTED: Mapping[str, tuple[str, ...]] = {
    "mock_server.web.response_cache": ("mock_server.app", "tests", "bench"),  # other modules only declare dependencies
    "mock_server.sandbox.response_cache": ("mock_server.sandbox", "mock_server.web.response_cache", "tests", "bench"),
    # Everything else asks the store for expressions by the names of attributes and relations.
    **{
        f"mock_server.store.schema.{name}": ("mock_server.store", "mock_server.query", "tests")
        for name in ("attribute_column", "reference_column", "search_column", "quote_identifier")
    },
}


def module_name(root: Path, file: Path) -> str:
    """`spec/loader.py` -> "spec.loader"; the `__init__` of a package keeps its last part."""
    return ".".join(file.relative_to(root).with_suffix("").parts)


def is_within(module: str, prefix: str) -> bool:
    """Whether `module` is `prefix` or below it."""
    return module == prefix or module.startswith(prefix + ".")


def imported_by(node: ast.AST, module: str) -> Iterator[str]:
    """Absolute names of the modules that a node of `module` imports, including `import_module("...")`."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=name, level=0):
            yield name or ""
        case ast.ImportFrom(module=name, names=names, level=level):
            parents = module.split(".")[:-level]
            yield from (".".join([*parents, *([name] if name else [alias.name])]) for alias in names)
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            yield name


def package_violation(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported` from another package, or None."""
    package, target = module.partition(".")[0], imported.partition(".")[0]
    if target in PACKAGES and target != package:
        rules = [rule for rule in ALLOWED_PACKAGES if is_within(module, rule)]
        allowed = ALLOWED_PACKAGES[max(rules, key=len)] if rules else frozenset(PACKAGES)
        if target not in allowed:
            return f"{module} may not import {target} (allowed: {', '.join(sorted(allowed)) or 'none'})"
    owners = OWNERS.get(target)
    if owners and not any(is_within(module, owner) for owner in owners):
        return f"{module} may not import {target} (allowed in: {', '.join(owners)})"
    return None


def restriction_violation(module: str, imported_name: str) -> str | None:
    """Why `module` may not import a module or a name in one, or None."""
    for restricted, importers in RESTRICTED.items():
        if is_within(imported_name, restricted) and not any(is_within(module, i) for i in (*importers, restricted)):
            return f"{module} may not import {restricted} (allowed in: {', '.join(importers)})"
    return None


def layer_of(module: str) -> tuple[str, int] | None:
    """(part, number of its layer) of a module of a layered package; None for other modules and for `__init__`."""
    package, _, path = module.removesuffix(".__init__").partition(".")
    parts = [(part, number) for number, layer in enumerate(LAYERS.get(package, ())) for part in layer]
    matches = [(part, number) for part, number in parts if is_within(path, part)]
    return max(matches, key=lambda match: len(match[0]), default=None)


def layer_violation(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported` from its own package, or None."""
    if module.partition(".")[0] != imported.partition(".")[0]:
        return None
    importer, target = layer_of(module), layer_of(imported)
    if importer is None or target is None or importer[0] == target[0] or importer[1] > target[1]:
        return None
    return f"{module} (layer {importer[1] + 1}) may not import {imported} (layer {target[1] + 1})"


def python_files(root: Path) -> Iterator[Path]:
    """Every Python file of every package under `root`, in order."""
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))


def find_violations(root: Path) -> list[str]:
    """One line per forbidden import under `root`: file, line, importing module, imported module, what is allowed."""
    violations = []
    for file in python_files(root):
        module = module_name(root, file)
        for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
            for imported in imported_by(node, module):
                names = [f"{imported}.{a.name}" for a in node.names] if isinstance(node, ast.ImportFrom) else [imported]
                restrictions = (restriction_violation(module, name) for name in names)
                reason = package_violation(module, imported) or layer_violation(module, imported)
                if reason := reason or next(filter(None, restrictions), None):
                    violations.append(f"{file.relative_to(root).as_posix()}:{getattr(node, 'lineno', 0)}: {reason}")
    return violations


def find_unlisted_parts(root: Path) -> list[str]:
    """Modules of the layered packages that belong to no layer."""
    modules = [module_name(root, file) for file in python_files(root)]
    return [
        m for m in modules if m.partition(".")[0] in LAYERS and m.count(".__init__") < m.count(".") and not layer_of(m)
    ]


# Cycles


def module_level_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements outside functions, including those under `if TYPE_CHECKING`."""
    stack: list[ast.AST] = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node
                stack.append(node)


def direct_imports(module: str, tree: ast.Module, modules: frozenset[str]) -> frozenset[str]:
    """Those of `modules` that a module imports; `from package import name` may import a module of the package."""
    imports: set[str] = set()
    for node in module_level_statements(tree):
        for imported in imported_by(node, module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            submodules = {f"{imported}.{name}" for name in names} & modules
            imports_package = not names or any(f"{imported}.{name}" not in modules for name in names)
            imports |= submodules | ({imported, f"{imported}.__init__"} & modules if imports_package else set())
    return frozenset(imports - {module})


def transitive_imports(module: str, imports: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """All modules that a module imports directly or indirectly."""
    reached: set[str] = set()
    pending = [module]
    while pending:
        new = imports[pending.pop()] - reached
        reached |= new
        pending.extend(new)
    return frozenset(reached)


def find_cycles(root: Path) -> list[str]:
    """One line per set of modules that import one another, with its members."""
    files = {module_name(root, f): f for f in python_files(root) if f.relative_to(root).parts[0] in SOURCE_PACKAGES}
    names = frozenset(files)
    imports = {m: direct_imports(m, ast.parse(f.read_bytes(), filename=str(f)), names) for m, f in files.items()}
    reachable = {module: transitive_imports(module, imports) for module in imports}
    cycles = {frozenset(o for o in reachable[m] if m in reachable[o]) for m in imports if m in reachable[m]}
    return sorted(f"import cycle: {', '.join(sorted(cycle))}" for cycle in cycles)


# This repository


@pytest.mark.slow  # `make check` runs it
def test_packages_and_layers_import_only_what_they_may() -> None:
    assert find_violations(ROOT) == []


def test_every_part_of_a_layered_package_has_a_layer() -> None:
    assert find_unlisted_parts(ROOT) == []
    parts = {f"{package}/{part.replace('.', '/')}" for package in LAYERS for layer in LAYERS[package] for part in layer}
    assert [part for part in sorted(parts) if not (ROOT / part).is_dir() and not (ROOT / f"{part}.py").exists()] == []


def test_there_are_no_import_cycles() -> None:
    assert find_cycles(ROOT) == []


def test_the_source_packages_are_inspected() -> None:
    assert ROOT / "spec" / "loader.py" in set(python_files(ROOT))


# The checkers, on small trees

TYPE_CHECKING_IMPORT = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from conformance.a import A"


@pytest.mark.parametrize(
    ("file", "source", "reason"),
    [
        ("spec/a.py", "import fixtures.generator", "spec.a may not import fixtures (allowed: none)"),
        ("spec/a.py", "def f():\n    from mock_server import app", "spec.a may not import mock_server"),
        ("fixtures/a.py", "from mock_server.store import Store", "fixtures.a may not import mock_server"),
        ("mock_server/a.py", "import fixtures", "mock_server.a may not import fixtures (allowed: spec)"),
        ("mock_server/store/__init__.py", "import fixtures", "mock_server.store.__init__ may not import fixtures"),
        (
            "mock_server/a.py",
            "import importlib\nimportlib.import_module('fixtures.generator')",
            "may not import fixtures",
        ),
        ("mock_server/a.py", "import tests.sandboxes", "mock_server.a may not import tests"),
        ("conformance/checks/a.py", "import mock_server", "conformance.checks.a may not import mock_server"),
        ("conformance/targets.py", "import mock_server", "conformance.targets may not import mock_server"),
        ("mock_server/a.py", "import faker", "(allowed in: fixtures, tests.fixtures)"),
        ("fixtures/a.py", "from connexion import AsyncApp", "fixtures.a may not import connexion"),
        ("conformance/a.py", "import schemathesis.engine", "conformance.a may not import schemathesis"),
        ("tests/spec/test_a.py", "import schemathesis", "tests.spec.test_a may not import schemathesis"),
        ("conformance/har/audit.py", "import openapi_core", "conformance.har.audit may not import openapi_core"),
        ("conformance/checks/a.py", "import pytest", "conformance.checks.a may not import pytest"),
        ("mock_server/a.py", "import jsonschema_rs", "(allowed in: spec.validators, spec.patterns, "),
        ("mock_server/a.py", "import httpx", "mock_server.a may not import httpx"),
        (
            "mock_server/store/a.py",
            "from mock_server.query.query import Query",
            "mock_server.store.a (layer 2) may not import mock_server.query.query (layer 4)",
        ),
        (
            "conformance/checks/support/a.py",
            "from conformance.checks.lists import pagination",
            "conformance.checks.support.a (layer 5) may not import conformance.checks.lists (layer 7)",
        ),
        ("conformance/transport/a.py", "import conformance.config.file", "(layer 2) may not import"),
        (
            "mock_server/web/endpoint.py",
            "from mock_server.web.response_cache import CachedResponse",
            "may not import mock_server.web.response_cache (allowed in: mock_server.app, tests, bench)",
        ),
        (
            "mock_server/server/a.py",
            "from mock_server.web import response_cache",
            "mock_server.server.a may not import",
        ),
        (
            "mock_server/actions/a.py",
            "from mock_server.store.schema import attribute_column",
            "(allowed in: mock_server.store, mock_server.query, tests)",
        ),
        ("mock_server/cli/a.py", "import mock_server.web.response_cache", "mock_server.cli.a may not import"),
    ],
)
def test_forbidden_import_is_reported(tmp_path: Path, file: str, source: str, reason: str) -> None:
    write_tree(tmp_path, {file: source})
    (violation,) = find_violations(tmp_path)
    assert violation.startswith(f"{file}:{len(source.splitlines())}: ")
    assert reason in violation


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("fixtures/a.py", "import faker, spec.loader"),
        (
            "mock_server/app.py",
            "import connexion\nfrom spec import extensions\nfrom . import query\nfrom .store import a",
        ),
        ("mock_server/cli/main.py", "from fixtures import generator"),
        ("conformance/mutation/in_process_mock.py", "import mock_server, fixtures"),
        ("conformance/schemathesis_engine.py", "import schemathesis"),
        (
            "conformance/checks/lists/a.py",
            "from conformance.checks.lists.b import x\nimport conformance.checks.support",
        ),
        ("tests/mock_server/test_a.py", "import fixtures, spec, mock_server, connexion"),
        ("tests/fuzz/run.py", "import schemathesis"),
        ("bench/a.py", "import conformance, mock_server"),
    ],
)
def test_allowed_import_passes(tmp_path: Path, file: str, source: str) -> None:
    write_tree(tmp_path, {file: source})
    assert find_violations(tmp_path) == []


def test_part_without_a_layer_is_reported(tmp_path: Path) -> None:
    write_tree(tmp_path, {"mock_server/__init__.py": "", "mock_server/store/a.py": "", "mock_server/extras/a.py": ""})
    assert find_unlisted_parts(tmp_path) == ["mock_server.extras.a"]


@pytest.mark.parametrize(
    ("files", "members"),
    [
        ({"spec/a.py": "import spec.b", "spec/b.py": "from spec.a import x"}, "spec.a, spec.b"),
        ({"spec/a.py": "from spec import b", "spec/b.py": "from . import a"}, "spec.a, spec.b"),
        (
            {
                "conformance/a.py": "import conformance.b",
                "conformance/b.py": TYPE_CHECKING_IMPORT,
                "conformance/c.py": "import os",
            },
            "conformance.a, conformance.b",
        ),
        (
            {"spec/a.py": "import spec.b", "spec/b.py": "import spec.c", "spec/c.py": "import spec.a"},
            "spec.a, spec.b, spec.c",
        ),
        (
            {"spec/x/__init__.py": "from spec.x.a import y", "spec/x/a.py": "from spec.x import z"},
            "spec.x.__init__, spec.x.a",
        ),
    ],
)
def test_import_cycle_is_reported_with_its_members(tmp_path: Path, files: Mapping[str, str], members: str) -> None:
    write_tree(tmp_path, {**files, "spec/outside.py": "import spec.a, spec.x.a"})
    assert find_cycles(tmp_path) == [f"import cycle: {members}"]


@pytest.mark.parametrize(
    "files",
    [
        {"spec/a.py": "import spec.b", "spec/b.py": "def f():\n    import spec.a"},
        {"spec/x/__init__.py": "from spec.x import a", "spec/x/a.py": "from spec.x import b", "spec/x/b.py": ""},
        {"tests/a.py": "import tests.b", "tests/b.py": "import tests.a"},
    ],
)
def test_imports_without_a_cycle_pass(tmp_path: Path, files: Mapping[str, str]) -> None:
    write_tree(tmp_path, files)
    assert find_cycles(tmp_path) == []
