"""Holds who may know whom among the rooms, that no modules import one another in a ring, and that generic code names
nothing which only the contract knows.

A layer rule without a test is a wish. The checkers take the tree to look at, so that their own tests can show them a
made-up one that breaks each rule. To tune: KNOWS and OWNERS for imports, GENERIC_WORDS and WORDS_OF for names.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("spec", "fixtures", "mock_server", "conformance", "tests", "bench")

LAYERED = ("spec", "fixtures", "mock_server", "conformance")  # rooms in which no modules import one another in a ring

# Module, with all below it -> the rooms it may import beside its own. The longest name that fits counts; what fits none
# (tests, bench) may import any room.
KNOWS: Mapping[str, frozenset[str]] = {
    "spec": frozenset(),
    "fixtures": frozenset({"spec"}),
    "mock_server": frozenset({"spec"}),
    "mock_server.cli": frozenset({"spec", "fixtures"}),
    "conformance": frozenset({"spec"}),
    "conformance.mutation": frozenset({"spec", "mock_server", "fixtures"}),
}

# Package from outside -> the only modules, with all below them, that may import it. A room's tests may too.
OWNERS: Mapping[str, tuple[str, ...]] = {
    "faker": ("fixtures", "tests.fixtures"),  # its values change by version, and it costs half a second and 60 MiB
    "connexion": ("mock_server", "tests.mock_server"),  # has no types; all subclassing of it in one place
    "schemathesis": (
        "conformance.schemathesis_engine",
        "tests.fuzz",
        "tests.conformance",
    ),  # its engine is no documented API
    "openapi_core": ("conformance.har.openapi_core_adapter", "tests.mock_server"),  # shares nothing with ours
    "pytest": ("conformance.cli.pytest_plugin", "conformance.cli.pytest", "tests"),  # one way to run, not the suite's
    "jsonschema_rs": ("spec.validators", "tests"),  # one translation of OpenAPI 3.0's schemas, for both sides
    "httpx": ("conformance", "tests"),  # the mock asks nobody
    "requests": ("conformance.schemathesis_engine",),  # what Schemathesis sends by; all else goes by httpx
}

# Modules in mock_server/actions that serve any resource: the five, and what they share. Each of the others is a family
# of named actions, and may name the fields of its own request and record.
GENERIC_ACTIONS = (
    "__init__",
    "access",
    "request_mapping",
    "responses",
    "call",
    "list",
    "create",
    "retrieve",
    "update",
    "delete",
)


def words(text: str) -> frozenset[str]:
    """The words of a line."""
    return frozenset(text.split())


# Words that stand in the contract and mean something without it, by the reason why generic code may say them.
GENERIC_WORDS: Mapping[str, frozenset[str]] = {
    "keywords of OpenAPI 3.0 and JSON Schema": words(
        """additionalProperties allOf allowEmptyValue anyOf components content default delete deprecated description
        enum example examples explode format get head headers in info items links maxItems maxLength maximum method
        minItems minLength minimum name not nullable oneOf operationId options parameters path paths pattern post
        properties put query readOnly required requestBody responses schema schemas scopes security servers source
        style summary tags title type uniqueItems url value values variables version writeOnly"""
    ),
    "types and formats of OpenAPI": words(
        """array binary boolean byte date date-time double email float integer int32 int64 json null number object
        password string text time uri url uuid"""
    ),
    "words of HTTP and of sign in by bearer": words(
        """accept auth authorization bearer Bearer body code cookie file header host http https mime_type port status
        token"""
    ),
    "Laravel's envelope and its errors": words("data errors links message meta"),
    "parts of our x- words, beside those in spec/extensions.py": words("entity members permission public subject sum"),
    "the directions of a sort, and of a schema": words("asc desc read write"),
    "what every record has": words("id key"),
}

# File -> words that it alone may say, with the reason beside them.
WORDS_OF: Mapping[str, frozenset[str]] = {
    "fixtures/dataset.py": words("accounts /accounts"),  # a part of a dataset's file
    "fixtures/expressions.py": words("position"),  # what a text in braces may ask for
    "fixtures/personas.py": words("agent answer texts workflow"),  # sets of texts, and their folder
    "mock_server/actions/__init__.py": words("logout metrics share sign-in"),  # values of x-action
    "mock_server/images/images.py": words("memory"),  # a store without a file
    "mock_server/cli/settings.py": words("error memory"),  # a level of the log; a store without a file
    "mock_server/sandbox/sandbox.py": words("tokens"),  # a counter of the mock's own
}


# Imports


def module_name(root: Path, file: Path) -> str:
    """`spec/loader.py` -> "spec.loader"; a package's `__init__` keeps its last part."""
    return ".".join(file.relative_to(root).with_suffix("").parts)


def within(module: str, parent: str) -> bool:
    """Whether `module` is `parent` or below it."""
    return module == parent or module.startswith(parent + ".")


def imported_by(node: ast.AST, module: str) -> Iterator[str]:
    """Absolute names of the modules that a node of `module` imports, `import_module("...")` included."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=name, level=0):
            yield name or ""
        case ast.ImportFrom(module=name, names=names, level=level):
            above = module.split(".")[:-level]
            yield from (".".join([*above, *([name] if name else [alias.name])]) for alias in names)
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            yield name


def refusal(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported`, or None where it may."""
    room, wanted = module.partition(".")[0], imported.partition(".")[0]
    if wanted in ROOMS and wanted != room:
        rules = [rule for rule in KNOWS if within(module, rule)]
        if rules:
            allowed = KNOWS[max(rules, key=len)]
            if wanted not in allowed:
                return f"{module} may not import {wanted}; it may know: {', '.join(sorted(allowed)) or 'nobody'}"
    owners = OWNERS.get(wanted)
    if owners and not any(within(module, owner) for owner in owners):
        return f"{module} may not import {wanted}; only these may: {', '.join(owners)}"
    return None


def python_files(root: Path) -> Iterator[Path]:
    """Every Python file of every room under `root`, in order."""
    for room in ROOMS:
        yield from sorted((root / room).rglob("*.py"))


def forbidden_imports(root: Path) -> list[str]:
    """One line for each import under `root` that the rules forbid: file, line, who, whom, what is allowed."""
    found = []
    for file in python_files(root):
        module = module_name(root, file)
        for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
            for imported in imported_by(node, module):
                if reason := refusal(module, imported):
                    found.append(f"{file.relative_to(root).as_posix()}:{getattr(node, 'lineno', 0)}: {reason}")
    return found


# Rings


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module that are not within a function: what is under `if TYPE_CHECKING` too."""
    inside: list[ast.AST] = [tree]
    while inside:
        for node in ast.iter_child_nodes(inside.pop()):
            if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node
                inside.append(node)


def known_to(module: str, tree: ast.Module, modules: frozenset[str]) -> frozenset[str]:
    """Those of `modules` that a module imports; `from package import name` may mean a module of it."""
    found: set[str] = set()
    for node in at_import(tree):
        for imported in imported_by(node, module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            parts = {f"{imported}.{name}" for name in names} & modules
            plain = not names or any(f"{imported}.{name}" not in modules for name in names)
            found |= parts | ({imported, f"{imported}.__init__"} & modules if plain else set())
    return frozenset(found - {module})


def reached_from(module: str, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """All modules that a module imports, and those that these import."""
    reached: set[str] = set()
    todo = [module]
    while todo:
        new = known[todo.pop()] - reached
        reached |= new
        todo.extend(new)
    return frozenset(reached)


def rings(root: Path) -> list[str]:
    """One line for each set of modules that import one another, with its members."""
    files = {module_name(root, file): file for file in python_files(root) if file.relative_to(root).parts[0] in LAYERED}
    known = {m: known_to(m, ast.parse(f.read_bytes(), filename=str(f)), frozenset(files)) for m, f in files.items()}
    reached = {module: reached_from(module, known) for module in known}
    found = {frozenset(o for o in reached[m] if m in reached[o]) for m in known if m in reached[m]}
    return sorted(f"a ring of imports: {', '.join(sorted(ring))}" for ring in found)


# Names


def words_of_contract(document: Any) -> dict[str, str]:
    """Each name that the contract gives to something -> what it is: paths, their parts, schemas, properties ..."""
    known: dict[str, str] = {}
    for path in document.get("paths", {}):
        known[path] = "a path"
        known.update({part: "a part of a path" for part in path.split("/") if part and "{" not in part})
    known.update(dict.fromkeys(document.get("components", {}).get("schemas", {}), "a schema"))
    for node in objects(document):
        known.update(named_in(node))
    return known


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the contract that is not literal data."""
    if isinstance(node, dict):
        yield node
        node = [part for key, part in node.items() if key not in ("example", "examples", "default", "enum")]
    if isinstance(node, list):
        for part in node:
            yield from objects(part)


def named_in(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, what it is) of the properties, enum values, parameter and operation that an object names itself."""
    match node.get("properties"):
        case dict() as properties:
            yield from ((name, "a property") for name in properties)
    match node.get("enum"):
        case list() as values:
            yield from ((value, "an enum's value") for value in values if isinstance(value, str) and value)
    match node:
        case {"in": "query" | "path" | "header" | "cookie", "name": str(name)}:
            yield name, "a parameter"
        case {"operationId": str(operation)}:
            yield operation, "an operation"


def generic_files(root: Path) -> Iterator[Path]:
    """The files that serve any contract: spec, fixtures (but not its texts), mock_server (but not named actions)."""
    yield from sorted((root / "spec").glob("*.py"))
    yield from sorted((root / "fixtures").glob("*.py"))
    actions = root / "mock_server" / "actions"
    for file in sorted((root / "mock_server").rglob("*.py")):
        if actions not in file.parents or (file.parent == actions and file.stem in GENERIC_ACTIONS):
            yield file


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of each string in the code; docstrings, `__all__` and the format after a colon are none."""
    idle: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                idle.add(id(text))
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=ast.expr() as names)
                | ast.FormattedValue(format_spec=ast.JoinedStr() as names)
            ):
                idle.update(id(name) for name in ast.walk(names))
            case ast.Constant(value=str(said), lineno=line) if id(node) not in idle:
                yield line, said


def vocabulary(root: Path) -> frozenset[str]:
    """The x- words and what they may say: each is a meaning of ours, whatever the contract calls its own things."""
    file = root / "spec" / "extensions.py"
    return frozenset(text for _, text in literals(ast.parse(file.read_bytes()))) if file.exists() else frozenset()


def named_words(root: Path, document: Any) -> list[str]:
    """One line for each string in generic code that equals a name which only the contract knows."""
    allowed = frozenset().union(*GENERIC_WORDS.values()) | vocabulary(root)
    known = {word: what for word, what in words_of_contract(document).items() if word not in allowed}
    found = []
    for file in generic_files(root):
        where = file.relative_to(root).as_posix()
        for line, text in literals(ast.parse(file.read_bytes(), filename=str(file))):
            if text in known and text not in WORDS_OF.get(where, frozenset()):
                found.append(f"{where}:{line}: {text!r} is {known[text]} of the contract; read it from there")
    return found


# The house itself


def test_every_room_imports_only_the_rooms_it_may_know() -> None:
    assert forbidden_imports(ROOT) == []


def test_no_modules_import_one_another_in_a_ring() -> None:
    assert rings(ROOT) == []


def test_generic_code_names_nothing_that_only_the_contract_knows() -> None:
    document = yaml.load((ROOT / "spec" / "openapi.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    assert named_words(ROOT, document) == []


def test_the_checkers_look_at_the_files_they_are_meant_for() -> None:
    assert ROOT / "spec" / "loader.py" in set(python_files(ROOT)) & set(generic_files(ROOT))


# The checkers, on made-up trees

TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from conformance.a import A"


def plant(root: Path, files: Mapping[str, str]) -> None:
    """Write `files` (path -> source) under `root`."""
    for name, source in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "source", "reason"),
    [
        ("spec/a.py", "import fixtures.generator", "spec.a may not import fixtures; it may know: nobody"),
        ("spec/a.py", "def f():\n    from mock_server import app", "spec.a may not import mock_server"),
        ("fixtures/a.py", "from mock_server.store import Store", "fixtures.a may not import mock_server"),
        ("mock_server/a.py", "import fixtures", "mock_server.a may not import fixtures; it may know: spec"),
        ("mock_server/store/__init__.py", "import fixtures", "mock_server.store.__init__ may not import fixtures"),
        (
            "mock_server/a.py",
            "import importlib\nimportlib.import_module('fixtures.generator')",
            "may not import fixtures",
        ),
        ("mock_server/a.py", "import tests.worlds", "mock_server.a may not import tests"),
        ("conformance/checks/a.py", "import mock_server", "conformance.checks.a may not import mock_server"),
        ("conformance/targets.py", "import mock_server", "conformance.targets may not import mock_server"),
        ("mock_server/a.py", "import faker", "only these may: fixtures, tests.fixtures"),
        ("fixtures/a.py", "from connexion import AsyncApp", "fixtures.a may not import connexion"),
        ("conformance/a.py", "import schemathesis.engine", "conformance.a may not import schemathesis"),
        ("tests/spec/test_a.py", "import schemathesis", "tests.spec.test_a may not import schemathesis"),
        ("conformance/har/audit.py", "import openapi_core", "conformance.har.audit may not import openapi_core"),
        ("conformance/checks/a.py", "import pytest", "conformance.checks.a may not import pytest"),
        ("mock_server/a.py", "import jsonschema_rs", "only these may: spec.validators, tests"),
        ("mock_server/a.py", "import httpx", "mock_server.a may not import httpx"),
    ],
)
def test_a_forbidden_import_is_named(tmp_path: Path, file: str, source: str, reason: str) -> None:
    plant(tmp_path, {file: source})
    (found,) = forbidden_imports(tmp_path)
    assert found.startswith(f"{file}:{len(source.splitlines())}: ")
    assert reason in found


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("fixtures/a.py", "import faker, spec.loader"),
        ("mock_server/app.py", "import connexion\nfrom spec import words\nfrom . import query\nfrom .store import a"),
        ("mock_server/cli/main.py", "from fixtures import graph"),
        ("conformance/mutation/in_process_mock.py", "import mock_server, fixtures"),
        ("conformance/mutation/broken.py", "import mock_server"),
        ("conformance/schemathesis_engine.py", "import schemathesis"),
        ("tests/mock_server/test_a.py", "import fixtures, spec, mock_server, connexion"),
        ("tests/fuzz/run.py", "import schemathesis"),
        ("bench/a.py", "import conformance, mock_server"),
    ],
)
def test_an_allowed_import_passes(tmp_path: Path, file: str, source: str) -> None:
    plant(tmp_path, {file: source})
    assert forbidden_imports(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "members"),
    [
        ({"spec/a.py": "import spec.b", "spec/b.py": "from spec.a import x"}, "spec.a, spec.b"),
        ({"spec/a.py": "from spec import b", "spec/b.py": "from . import a"}, "spec.a, spec.b"),
        (
            {"conformance/a.py": "import conformance.b", "conformance/b.py": TYPED, "conformance/c.py": "import os"},
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
def test_a_ring_is_told_with_its_members(tmp_path: Path, files: Mapping[str, str], members: str) -> None:
    plant(tmp_path, {**files, "spec/outside.py": "import spec.a, spec.x.a"})
    assert rings(tmp_path) == [f"a ring of imports: {members}"]


@pytest.mark.parametrize(
    "files",
    [
        {"spec/a.py": "import spec.b", "spec/b.py": "def f():\n    import spec.a"},
        {"spec/x/__init__.py": "from spec.x import a", "spec/x/a.py": "from spec.x import b", "spec/x/b.py": ""},
        {"tests/a.py": "import tests.b", "tests/b.py": "import tests.a"},
    ],
)
def test_what_is_no_ring_passes(tmp_path: Path, files: Mapping[str, str]) -> None:
    plant(tmp_path, files)
    assert rings(tmp_path) == []


SMALL_CONTRACT: Mapping[str, Any] = {
    "paths": {
        "/tall-ships/{ship}": {
            "get": {"operationId": "boardShip", "parameters": [{"name": "mast_count", "in": "query", "schema": {}}]}
        }
    },
    "components": {
        "schemas": {
            "TallShip": {
                "properties": {"figurehead": {"type": "string"}, "name": {}, "rig": {"enum": ["schooner", None]}},
                "example": {"properties": {"unseen": 1}},
            }
        }
    },
}


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("/tall-ships/{ship}", "a path"),
        ("tall-ships", "a part of a path"),
        ("boardShip", "an operation"),
        ("mast_count", "a parameter"),
        ("TallShip", "a schema"),
        ("figurehead", "a property"),
        ("schooner", "an enum's value"),
    ],
)
@pytest.mark.parametrize("file", ["spec/a.py", "fixtures/a.py", "mock_server/a/b.py", "mock_server/actions/list.py"])
def test_a_name_of_the_contract_in_generic_code_is_found(tmp_path: Path, file: str, word: str, what: str) -> None:
    plant(tmp_path, {file: f'"""Module."""\n\nx = {{"{word}": 1}}\n'})
    (found,) = named_words(tmp_path, SMALL_CONTRACT)
    assert found == f"{file}:3: {word!r} is {what} of the contract; read it from there"


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("mock_server/a.py", 'x = "name"  # generic'),
        ("mock_server/a.py", 'x = "unseen"  # stands in an example only'),
        ("mock_server/a.py", 'def f():\n    "figurehead"'),
        ("mock_server/a.py", '__all__ = ["TallShip"]'),
        ("mock_server/a.py", 'x = f"{1:schooner}"'),
        ("mock_server/actions/sail.py", 'x = "figurehead"  # a named action may name its own fields'),
        ("fixtures/personas/ships.py", 'x = "figurehead"  # texts are of one API'),
        ("tests/mock_server/test_a.py", 'x = "figurehead"'),
    ],
)
def test_a_name_is_allowed_where_it_belongs(tmp_path: Path, file: str, source: str) -> None:
    plant(tmp_path, {file: source})
    assert named_words(tmp_path, SMALL_CONTRACT) == []


def test_the_words_of_our_own_vocabulary_are_allowed(tmp_path: Path) -> None:
    plant(tmp_path, {"spec/extensions.py": 'STAMPS = ("figurehead",)', "mock_server/a.py": 'x = "figurehead"'})
    assert named_words(tmp_path, SMALL_CONTRACT) == []
