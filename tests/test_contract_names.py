"""Test that generic code names no path, schema, property, parameter, operation or enum value of the API.

Such names belong to the contract, so that any contract can be served. To change a rule: GENERIC_WORDS and FILE_WORDS.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.source_trees import write_tree

ROOT = Path(__file__).resolve().parents[1]

# Modules of mock_server/actions that serve any resource. Every other module implements named actions of the API and may
# name the properties of its request and record.
GENERIC_ACTIONS = ("__init__", "access", "call", "crud", "request_mapping", "responses")


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# Names of the contract that also have a general meaning, by the reason why generic code may use them.
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
    "terms of HTTP and bearer authentication": words(
        """accept auth authorization bearer Bearer body code cookie file header host http https mime_type port status
        token"""
    ),
    "Laravel's envelope and its errors": words("data errors links message meta"),
    "values of specification extensions that spec/extensions.py does not list": words(
        "entity members permission public subject sum"
    ),
    "directions of a sort and of a schema": words("asc desc read write"),
    "properties of every record": words("id key"),
}

# File -> names that it alone may use, with the reason.
FILE_WORDS: Mapping[str, frozenset[str]] = {
    "fixtures/dataset.py": words("accounts /accounts"),  # a section of a dataset file
    "fixtures/expressions.py": words("position"),  # a placeholder of templates
    "fixtures/personas.py": words("agent answer texts workflow"),  # persona files
    "mock_server/actions/__init__.py": words("logout metrics share sign-in"),  # values of x-action
    "mock_server/cli/settings.py": words("error memory"),  # a log level; a store without a file
    "mock_server/cli/store_commands.py": words("memory target"),  # a store without a file; a parameter of a command
    "mock_server/console/pages/requests.py": words("limit"),  # a parameter of the control API
    "mock_server/control/explanations.py": words("error user"),  # properties of an explanation
    "mock_server/control/journal_entries.py": words("creator duration_ms"),  # properties of HAR and entries
    "mock_server/control/requests.py": words("limit"),  # a parameter of the control API
    "mock_server/control/sandboxes.py": words("accounts tokens"),  # properties of the control API
    "mock_server/control/stored_records.py": words("limit"),  # a parameter of the control API
    "mock_server/sandbox/sandbox.py": words("tokens"),  # a counter of the mock
    "mock_server/static_responses/error_bodies.py": words("error messages property target"),  # properties of any error
    "mock_server/store/exporter.py": words("metadata tokens user"),  # keys of an export
    "mock_server/store/import_file.py": words("metadata user"),  # keys of an export
    "mock_server/store/importer.py": words("metadata position target tokens"),  # keys of an export; columns
    "mock_server/web/request_values/parameter_styles.py": words("label"),  # a style of OpenAPI
    "spec/comparison/schemas.py": words("property"),  # a term of messages
    "mock_server/web/security.py": words("basic"),  # an HTTP authentication scheme
    "mock_server/web/credentials/schemes.py": words("basic"),  # the same
    "spec/http/security.py": words("oauth2"),  # a type of security schemes
    "spec/operation_parser.py": words("label"),  # a style of OpenAPI
    "spec/redaction.py": words("access_token basic client_secret secret refresh_token"),  # credentials of any API
    "spec/publishing/openapi30.py": words("limit results"),  # keys of x-speakeasy-pagination
}


def contract_names(document: Any) -> dict[str, str]:
    """Each name that the contract defines -> what it names: a path, a schema, a property ..."""
    names: dict[str, str] = {}
    for path in document.get("paths", {}):
        names[path] = "a path"
        names.update({part: "a part of a path" for part in path.split("/") if part and "{" not in part})
    names.update(dict.fromkeys(document.get("components", {}).get("schemas", {}), "a schema"))
    for node in objects(document):
        names.update(defined_names(node))
    return names


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the contract except literal data."""
    if isinstance(node, dict):
        yield node
        node = [part for key, part in node.items() if key not in ("example", "examples", "default", "enum")]
    if isinstance(node, list):
        for part in node:
            yield from objects(part)


def defined_names(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, what it names) of the properties, enum values, parameter and operation that an object defines."""
    match node.get("properties"):
        case dict() as properties:
            yield from ((name, "a property") for name in properties)
    match node.get("enum"):
        case list() as values:
            yield from ((value, "an enum value") for value in values if isinstance(value, str) and value)
    match node:
        case {"in": "query" | "path" | "header" | "cookie", "name": str(name)}:
            yield name, "a parameter"
        case {"operationId": str(operation)}:
            yield operation, "an operation"


def generic_files(root: Path) -> Iterator[Path]:
    """The files that serve any contract: spec, fixtures and mock_server, except named actions."""
    yield from sorted((root / "spec").rglob("*.py"))
    yield from sorted((root / "fixtures").glob("*.py"))
    actions = root / "mock_server" / "actions"
    for file in sorted((root / "mock_server").rglob("*.py")):
        if actions not in file.parents or (file.parent == actions and file.stem in GENERIC_ACTIONS):
            yield file


def string_literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of each string constant except docstrings, `__all__` and format specifications."""
    ignored: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as text):
                ignored.add(id(text))
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=ast.expr() as names)
                | ast.FormattedValue(format_spec=ast.JoinedStr() as names)
            ):
                ignored.update(id(name) for name in ast.walk(names))
            case ast.Constant(value=str(text), lineno=line) if id(node) not in ignored:
                yield line, text


def extension_words(root: Path) -> frozenset[str]:
    """The specification extensions and their values: they have our meaning, whatever the contract names so."""
    file = root / "spec" / "extensions.py"
    if not file.exists():
        return frozenset()
    return frozenset(text for _, text in string_literals(ast.parse(file.read_bytes())))


def find_contract_names(root: Path, document: Any) -> list[str]:
    """One line per string in generic code that equals a name which only the contract defines."""
    allowed = frozenset().union(*GENERIC_WORDS.values()) | extension_words(root)
    names = {name: kind for name, kind in contract_names(document).items() if name not in allowed}
    violations = []
    for file in generic_files(root):
        path = file.relative_to(root).as_posix()
        for line, text in string_literals(ast.parse(file.read_bytes(), filename=str(file))):
            if text in names and text not in FILE_WORDS.get(path, frozenset()):
                violations.append(
                    f"{path}:{line}: {text!r} is {names[text]} of the contract; read it from the contract"
                )
    return violations


def test_generic_code_names_nothing_of_the_api() -> None:
    document = yaml.load((ROOT / "spec" / "openapi.yaml").read_bytes(), Loader=yaml.CSafeLoader)
    assert find_contract_names(ROOT, document) == []


def test_generic_files_and_exceptions_exist() -> None:
    files = set(generic_files(ROOT))
    assert ROOT / "spec" / "loader.py" in files
    assert [path for path in FILE_WORDS if ROOT / path not in files] == []
    assert [name for name in GENERIC_ACTIONS if not (ROOT / "mock_server" / "actions" / f"{name}.py").exists()] == []


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
    ("name", "kind"),
    [
        ("/tall-ships/{ship}", "a path"),
        ("tall-ships", "a part of a path"),
        ("boardShip", "an operation"),
        ("mast_count", "a parameter"),
        ("TallShip", "a schema"),
        ("figurehead", "a property"),
        ("schooner", "an enum value"),
    ],
)
@pytest.mark.parametrize("file", ["spec/a.py", "fixtures/a.py", "mock_server/a/b.py", "mock_server/actions/access.py"])
def test_contract_name_in_generic_code_is_reported(tmp_path: Path, file: str, name: str, kind: str) -> None:
    write_tree(tmp_path, {file: f'"""Module."""\n\nx = {{"{name}": 1}}\n'})
    (violation,) = find_contract_names(tmp_path, SMALL_CONTRACT)
    assert violation == f"{file}:3: {name!r} is {kind} of the contract; read it from the contract"


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("mock_server/a.py", 'x = "name"  # generic'),
        ("mock_server/a.py", 'x = "unseen"  # only in an example'),
        ("mock_server/a.py", 'def f():\n    "figurehead"'),
        ("mock_server/a.py", '__all__ = ["TallShip"]'),
        ("mock_server/a.py", 'x = f"{1:schooner}"'),
        ("mock_server/actions/sail.py", 'x = "figurehead"  # a named action may name its own properties'),
        ("fixtures/personas/ships.py", 'x = "figurehead"  # personas are of one API'),
        ("tests/mock_server/test_a.py", 'x = "figurehead"'),
    ],
)
def test_name_is_allowed_where_it_belongs(tmp_path: Path, file: str, source: str) -> None:
    write_tree(tmp_path, {file: source})
    assert find_contract_names(tmp_path, SMALL_CONTRACT) == []


def test_extension_words_are_allowed(tmp_path: Path) -> None:
    write_tree(tmp_path, {"spec/extensions.py": 'STAMPS = ("figurehead",)', "mock_server/a.py": 'x = "figurehead"'})
    assert find_contract_names(tmp_path, SMALL_CONTRACT) == []
