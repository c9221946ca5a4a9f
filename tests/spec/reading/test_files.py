"""Contracts in several files of one folder."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from spec.errors import ContractError
from spec.loader import load_contract
from spec.model import Contract
from spec.reading.files import MAX_FILE_BYTES, read_document

ROOT = """
openapi: 3.0.3
info: {title: Pets, version: 1}
paths:
  /pets: {$ref: paths/pets.yaml}
  /pets/{id}: {$ref: "./paths/pets.yaml#/item"}
components:
  schemas:
    Pet: {$ref: schemas/Pet.yaml}
    Name: {type: string}
"""
MOVED = ("Key", "Name_2", "Number", "Owner")  # components that other files define
FILES = {
    "openapi.yaml": ROOT,
    "paths/pets.yaml": """
get:
  operationId: listPets
  parameters: [{$ref: "../parameters.yaml#/page"}]
  responses:
    200:
      description: OK
      content: {application/json: {schema: {type: array, items: {$ref: ../schemas/Pet.yaml}}}}
item:
  get:
    operationId: getPet
    parameters: [{name: id, in: path, required: true, schema: {$ref: "#/Key"}}]
    responses:
      200: {description: OK, content: {application/json: {schema: {$ref: "../openapi.yaml#/components/schemas/Pet"}}}}
      404: {$ref: "../errors.json#/NotFound"}
Key: {type: integer}
""",
    "parameters.yaml": "page: {name: page, in: query, schema: {$ref: '#/Number'}}\nNumber: {type: integer}\n",
    "errors.json": '{"NotFound": {"description": "No", "content": {"text/plain": {"schema": {"type": "string"}}}}}',
    "schemas/Pet.yaml": """
type: object
x-resource: {collection: pets, key: id}
properties:
  id: {type: integer}
  name: {$ref: "../openapi.yaml#/components/schemas/Name"}
  parent: {$ref: Pet.yaml}
  owner: {$ref: "Owner.yaml#/Owner"}
""",
    "schemas/Owner.yaml": """
Owner: {properties: {pets: {type: array, items: {$ref: Pet.yaml}}, name: {$ref: '#/Name'}}}
Name: {maxLength: 9}
""",
}


def write(folder: Path, **changes: str) -> Path:
    for name, text in (FILES | {k.replace("__", "/") + ".yaml": v for k, v in changes.items()}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "openapi.yaml"


def load(folder: Path, **changes: str) -> Contract:
    return load_contract(write(folder, **changes))


def load_error(folder: Path, **changes: str) -> ContractError:
    with pytest.raises(ContractError) as error:
        load(folder, **changes)
    return error.value


def test_files_of_the_folder_become_one_document(tmp_path: Path) -> None:
    contract = load(tmp_path)
    schemas = contract.document.root["components"]["schemas"]
    reference = "#/components/schemas/"
    assert schemas["Pet"]["properties"] == {
        "id": {"type": "integer"},
        "name": {"$ref": f"{reference}Name"},
        "parent": {"$ref": f"{reference}Pet"},
        "owner": {"$ref": f"{reference}Owner"},
    }
    assert schemas["Owner"]["properties"]["name"] == {"$ref": f"{reference}Name_2"}
    assert {name: schemas[name] for name in ("Name", "Name_2", "Key", "Number")} == {
        "Name": {"type": "string"},
        "Name_2": {"maxLength": 9},
        "Key": {"type": "integer"},
        "Number": {"type": "integer"},
    }
    assert contract.resources.keys() == {"Pet"}
    operation = contract.operations["listPets"]
    assert (operation.action, operation.envelope.view_name, operation.parameters[0].schema) == (
        "list",
        "Pet",
        {"type": "integer"},
    )
    assert contract.operations["getPet"].responses.keys() == {200, 404}


def test_names_in_another_file_are_components(tmp_path: Path) -> None:
    root = ROOT.replace("paths:\n", "x-paths:\n").replace("components:", "paths: {$ref: paths.yaml}\ncomponents:")
    root = root[: root.index("  schemas:")] + "  schemas: {$ref: schemas.yaml}\n"
    schemas = "Pet: {$ref: schemas/Pet.yaml}\nName: {type: string}\n"
    paths = "/pets: {$ref: paths/pets.yaml}\n"
    contract = load(tmp_path, openapi=root, schemas=schemas, paths=paths)
    assert contract.operations.keys() == {"listPets"}
    assert contract.document.root["components"]["schemas"].keys() == {"Pet", "Name", *MOVED}


def test_document_without_other_files_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "api.yaml"
    path.write_text("openapi: 3.0.0\ninfo: {title: A}\npaths: {}\nx-a: {$ref: other.yaml}\n")
    document = read_document(path)
    assert (document.root, document.files) == (yaml.safe_load(path.read_bytes()), {})


def test_digest_depends_on_all_files(tmp_path: Path) -> None:
    digests = {read_document(write(tmp_path, parameters=FILES["parameters.yaml"] + end)).digest for end in ("", "\n")}
    assert len(digests) == 2


def test_mapping_of_a_discriminator_is_converted(tmp_path: Path) -> None:
    targets = "{pet: schemas/Pet.yaml, own: Name, x: '#/components/schemas/Name'}"
    union = f"    Any: {{discriminator: {{propertyName: a, mapping: {targets}}}}}\n"
    mapping = load(tmp_path, openapi=ROOT + union).document.root["components"]["schemas"]["Any"]["discriminator"]
    name = "#/components/schemas/Name"
    assert mapping["mapping"] == {"pet": "#/components/schemas/Pet", "own": "Name", "x": name}


@pytest.mark.parametrize(
    ("old", "new", "problem", "expected"),
    [
        ("paths/pets.yaml}", "../pets.yaml}", "reference '../pets.yaml' to a file outside", "a file in {folder}"),
        ("paths/pets.yaml}", "/etc/passwd}", "reference '/etc/passwd' to a file outside", "a file in {folder}"),
        ("paths/pets.yaml}", "https://x.org/a}", "external reference 'https://x.org/a'", "a file in {folder}"),
        ("paths/pets.yaml}", "file:///etc/passwd}", "external reference 'file:///etc/passwd'", "a file in {folder}"),
        ("schemas/Pet.yaml}", "schemas/Pet.yaml#Pet}", "reference 'schemas/Pet.yaml#Pet' to an anchor", "a JSON"),
        ("schemas/Pet.yaml}", "schemas/Pet.yaml#/a}", "unresolved reference schemas/Pet.yaml#/a", "a part of"),
        ("schemas/Pet.yaml}", "schemas/No.yaml}", "reference 'schemas/No.yaml': No such file or directory", "a read"),
    ],
)  # fmt: skip
def test_invalid_reference_is_an_error(tmp_path: Path, old: str, new: str, problem: str, expected: str) -> None:
    error = load_error(tmp_path, openapi=ROOT.replace(old, new, 1))
    assert problem in [each.problem for each in error.problems]
    assert any(each.expected.startswith(expected.format(folder=tmp_path)) for each in error.problems)


def test_file_outside_of_the_folder_is_not_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("get: {}\n")
    folder = tmp_path / "api"
    path = write(folder)
    (folder / "paths" / "pets.yaml").unlink()
    (folder / "paths" / "pets.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(ContractError, match="to a file outside"):
        load_contract(path)


def test_file_outside_of_the_folder_is_refused_with_a_command_that_includes_it(tmp_path: Path) -> None:
    error = load_error(tmp_path, openapi=ROOT.replace("paths/pets.yaml}", "../pets.yaml}", 1))
    path = tmp_path / "openapi.yaml"
    (problem,) = [each for each in error.problems if "to a file outside" in each.problem]
    assert problem.location == f"{path}, line 5"
    assert "move openapi.yaml to a folder that contains both" in problem.expected
    assert f"npx @redocly/cli bundle {path} --output bundled.yaml" in problem.expected


def test_unresolved_references_are_reported_together_with_other_problems(tmp_path: Path) -> None:
    root = ROOT.replace("paths/pets.yaml}", "../pets.yaml}", 1).replace("schemas/Pet.yaml}", "schemas/No.yaml}", 1)
    error = load_error(tmp_path, openapi=root + "    Number: {type: numbr}\n")
    problems = [each.problem for each in error.problems]
    assert problems == [
        "reference '../pets.yaml' to a file outside",
        "reference 'schemas/No.yaml': No such file or directory",
        "invalid value 'numbr'",
    ]


def test_circular_path_items_are_an_error(tmp_path: Path) -> None:
    error = load_error(tmp_path, paths__pets="$ref: other.yaml\n", paths__other="$ref: pets.yaml\n")
    assert any("circular reference" in problem.problem for problem in error.problems)


def test_problem_in_another_file_has_its_line(tmp_path: Path) -> None:
    pet = FILES["schemas/Pet.yaml"].replace("  id: {type: integer}", "  id:\n    type: integer\n    maximum: a")
    error = load_error(tmp_path, schemas__Pet=pet)
    assert str(error).startswith("schemas/Pet.yaml, line 7: #/properties/id/maximum: invalid value 'a' (expected")


def test_invalid_yaml_is_reported_with_its_file(tmp_path: Path) -> None:
    error = load_error(tmp_path, schemas__Pet="a: 1\na: 2\n")
    assert "schemas/Pet.yaml, line 2" in [problem.location for problem in error.problems]
    error = load_error(tmp_path, openapi="a: 1\na: 2\n")
    assert error.location == f"{tmp_path / 'openapi.yaml'}, line 2"


def test_long_chain_of_files_is_read(tmp_path: Path) -> None:
    changes: dict[str, Any] = {f"s{i}": f"properties: {{a: {{$ref: s{i + 1}.yaml}}}}\n" for i in range(500)}
    root = ROOT + "    Chain: {$ref: s0.yaml}\n"
    schemas = load(tmp_path, openapi=root, **changes, s500="type: string\n").document.root["components"]["schemas"]
    assert schemas["s500"] == {"type": "string"}


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("create", "problem"),
    [
        (Path.mkdir, "Is a directory (expected a readable OpenAPI file)"),
        (make_pipe, "a pipe, socket or device (expected an OpenAPI file)"),
        (make_huge_file, "a file of 100,000,001 bytes (expected at most 100,000,000 bytes)"),
        (Path.touch, "an empty document (expected an OpenAPI document (a mapping))"),
    ],
)
def test_path_that_is_no_contract_file_is_an_error(
    tmp_path: Path, create: Callable[[Path], None], problem: str
) -> None:
    path = tmp_path / "api.yaml"
    create(path)
    with pytest.raises(ContractError) as error:
        read_document(path)
    assert str(error.value) == f"{path}: {problem}"
