"""Export of a store and import with the same or a changed contract: everything that does not fit is reported."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures import dataset, generator
from fixtures.personas import PersonaLibrary
from mock_server import images, store_files
from mock_server.images import DatasetParameters
from mock_server.store import Store, StoreError
from mock_server.store.exporter import export_lines
from mock_server.store.file_format import open_for_reading
from mock_server.store.importer import ImportProblem
from mock_server.store_files import ImportRejected, import_store
from spec.loader import load_contract
from spec.model import Contract
from tests.mock_server.athena import PASSWORD, athena_contract
from tests.mock_server.file_api import FileApi
from tests.mock_server.museum_contract import MUSEUM, museum
from tests.spec.contract_edits import FOREIGN, REMOVED, load_edited_contract

WORKFLOW = "550e8400-e29b-41d4-a716-446655440000"
PARAMETERS = DatasetParameters("plain", 0, datetime(2026, 3, 1, tzinfo=UTC), 1.0)
SCHEMAS = "#/components/schemas"


def create_store_file(path: Path, contract: Contract) -> Path:
    """Create the store of the dataset `plain`."""
    personas = PersonaLibrary()
    records = generator.generate_records(
        contract, dataset.load("plain"), seed=0, epoch=PARAMETERS.epoch, size=1, persona_library=personas
    )
    image = images.build_image(contract, PARAMETERS, records, personas.phrases())
    store_files.open_store(contract, PARAMETERS, path, lambda: image).close()
    return path


def export(path: Path) -> list[bytes]:
    with open_for_reading(path) as connection:
        return list(export_lines(connection))


def dump_rows(path: Path) -> list[str]:
    """Dump the tables as SQL, without SQLite's statistics."""
    with open_for_reading(path) as connection:
        return sorted(line for line in connection.iterdump() if "sqlite_stat" not in line)


def reject_problem(problem: ImportProblem) -> None:
    raise AssertionError(str(problem))


# The same contract --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in FOREIGN.glob("*.yaml")))
def test_import_with_the_same_contract_creates_an_equal_store(tmp_path: Path, name: str) -> None:
    contract = load_contract(FOREIGN / f"{name}.yaml")
    source, target = create_store_file(tmp_path / "source.db", contract), tmp_path / "target.db"
    count = import_store(contract, target, export(source), reject_problem, force=False)
    assert count > 0
    assert dump_rows(target) == dump_rows(source)


@pytest.fixture
def used_store(tmp_path: Path) -> Path:
    """A store with tokens, scheduled changes and deleted records."""
    path = tmp_path / "used.db"
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        api = FileApi(path, log)
        login = api.get("/user").json["data"]["email"]
        assert api.post("/auth/sign-in", {"email": login, "password": PASSWORD}).status == 200
        assert api.post("/workflow-executions", {"workflow_uuid": WORKFLOW, "input": {}}).status == 201
        threads = [api.post("/threads", {"name": name}).json["data"]["uuid"] for name in ("kept", "deleted")]
        assert api.client.request("DELETE", f"/api/v1/threads/{threads[1]}").status < 300
        api.store.close()
    return path


def test_tokens_scheduled_changes_and_last_numbers_are_imported(used_store: Path, tmp_path: Path) -> None:
    lines = export(used_store)
    counts = json.loads(lines[0])["counts"]
    assert (counts["tokens"], counts["scheduled_changes"]) == (2, 3)  # the token and the session of a sign-in
    import_store(athena_contract(), tmp_path / "target.db", lines, reject_problem, force=False)
    assert dump_rows(tmp_path / "target.db") == dump_rows(used_store)


def test_imported_store_can_be_opened(used_store: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    import_store(athena_contract(), target, export(used_store), reject_problem, force=False)
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        api = FileApi(target, log)
        names = [row["name"] for row in api.get("/threads?search=kept").json["data"]]
        api.store.close()
    assert names == ["kept"]


# A changed contract -------------------------------------------------------------------------------------------------


@dataclass
class Transfer:
    """An import of the museum. `problems`: reported ones."""

    source: Path
    target: Path
    problems: list[str]

    def run(self, contract: Contract, *, edit: Callable[[list[Any]], object] | None = None, force: bool = False) -> int:
        """Import the lines of the source, changed by `edit`."""
        values = [json.loads(line) for line in export(self.source)]
        if edit is not None:
            edit(values)
        lines = [json.dumps(value).encode() for value in values]
        return import_store(contract, self.target, lines, lambda p: self.problems.append(str(p)), force=force)

    def run_rejected(self, contract: Contract, edit: Callable[[list[Any]], object] | None = None) -> list[str]:
        """Return the problems of an import that is rejected."""
        with pytest.raises(ImportRejected) as error:
            self.run(contract, edit=edit)
        assert error.value.problem_count == len(self.problems)
        assert [path.name for path in self.target.parent.iterdir()] == [self.source.name]
        return self.problems

    def open_target(self, contract: Contract) -> Store:
        return store_files.open_store(contract, PARAMETERS, self.target, lambda: pytest.fail("built again"))


@pytest.fixture
def transfer(tmp_path: Path) -> Transfer:
    return Transfer(create_store_file(tmp_path / "source.db", museum()), tmp_path / "target.db", [])


def find_line(lines: list[Any], resource: str) -> Any:
    """Return the first record of a resource."""
    return next(line for line in lines if line.get("resource") == resource)


def find_record(source: Path, resource: str) -> Any:
    return find_line([json.loads(line) for line in export(source)], resource)


@pytest.mark.parametrize(
    ("changes", "resource", "expected"),
    [
        (
            ((f"{SCHEMAS}/Artist/properties/name/maxLength", 0),),
            "Artist",
            '{resource} {key}.name: "{name}" is longer than 0 characters',
        ),
        (
            ((f"{SCHEMAS}/Person/properties/name", REMOVED), (f"{SCHEMAS}/Person/required", ["id"])),
            "Person",
            "{resource} {key}.name: the contract has no such attribute",
        ),
        (
            ((f"{SCHEMAS}/Label/properties/text/type", "integer"),),
            "Label",
            '{resource} {key}.text: "{text}" is not of type "integer"',
        ),
        (
            (
                (f"{SCHEMAS}/Label/required", ["uuid", "colour"]),
                (f"{SCHEMAS}/Label/properties/colour", {"type": "string"}),
            ),
            "Label",
            "{resource} {key}.colour: is required and has no default",
        ),
    ],
)
def test_changed_contract_is_reported_by_record_and_property(
    transfer: Transfer, changes: tuple[tuple[str, Any], ...], resource: str, expected: str
) -> None:
    record = find_record(transfer.source, resource)
    values = {**record["attributes"], **record}
    problems = transfer.run_rejected(load_edited_contract("museum", *changes))
    assert expected.format(**values) in problems


@pytest.mark.parametrize(
    "colour", [{"type": "string", "default": "red"}, {"type": "string", "nullable": True}, {"type": "string"}]
)
def test_new_attribute_gets_its_default(transfer: Transfer, colour: dict[str, Any]) -> None:
    required = ["uuid", "text", "colour"] if len(colour) > 1 else ["uuid", "text"]
    changes = ((f"{SCHEMAS}/Label/properties/colour", colour), (f"{SCHEMAS}/Label/required", required))
    contract = load_edited_contract("museum", *changes)
    transfer.run(contract)
    with closing(transfer.open_target(contract)) as store:
        attributes = store.select("Label")[0].attributes
    assert attributes.get("colour") == colour.get("default")
    assert ("colour" in attributes) == (len(colour) > 1)


def test_force_imports_what_fits(transfer: Transfer) -> None:
    changes = ((f"{SCHEMAS}/Room/properties/motto", REMOVED), (f"{SCHEMAS}/Label/properties/text/maxLength", 0))
    contract = load_edited_contract("museum", *changes)
    source_counts = count_records(transfer.source)
    expected = {**source_counts, "Label": 0}
    assert transfer.run(contract, force=True) == sum(expected.values())
    assert len(transfer.problems) >= source_counts["Label"] > 0
    with closing(transfer.open_target(contract)) as store:
        assert store.count_by_resource() == expected
        assert all("motto" not in room.attributes for room in store.select("Room"))


def count_records(path: Path) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(museum().resources, 0)
    for line in export(path)[1:]:
        resource = json.loads(line).get("resource")
        if resource:
            counts[resource] += 1
    return counts


# References ---------------------------------------------------------------------------------------------------------


def remove(lines: list[Any], resource: str) -> Any:
    """Remove the first record of a resource from an export, and return it."""
    line = find_line(lines, resource)
    lines.remove(line)
    lines[0]["counts"]["records"] -= 1
    return line


@pytest.mark.parametrize(
    ("resource", "referring", "relation"),
    [("Artist", "Exhibit", "artists"), ("Room", "Exhibit", "room"), ("Room", "Note", "subject")],
)
def test_references_to_missing_records_are_reported(
    transfer: Transfer, resource: str, referring: str, relation: str
) -> None:
    removed: list[Any] = []

    def edit(lines: list[Any]) -> None:
        target = find_line(lines, resource)
        reference = f"{resource}/{target['key']}"
        find_line(lines, referring)["references"][relation] = [reference] if relation == "artists" else reference
        removed.append(remove(lines, resource))

    record = find_record(transfer.source, referring)
    problems = transfer.run_rejected(museum(), edit)
    message = f"refers to {resource} {removed[0]['key']}, which does not exist"
    assert f"{referring} {record['key']}.{relation}: {message}" in problems


def test_force_removes_dangling_references_and_records_that_require_them(transfer: Transfer) -> None:
    changes = ((f"{SCHEMAS}/Exhibit/required", ["uuid", "title", "number", "room"]),)
    contract = load_edited_contract("museum", *changes)
    room = find_record(transfer.source, "Room")["key"]
    transfer.run(contract, edit=lambda lines: remove(lines, "Room"), force=True)
    with closing(transfer.open_target(contract)) as store:
        assert store.get("Room", room) is None
        for name, table in store.tables.items():
            for record in store.select(name):
                targets = [r for r in record.references.values() if r is not None]
                for link in table.links.values():
                    targets += store.get_linked_references(name, link.relation, record.key)
                assert [target for target in targets if store.resolve(target) is None] == []
        assert all(exhibit.references["room"] is not None for exhibit in store.select("Exhibit"))


def test_tenants_are_set_for_records_before_their_parents(transfer: Transfer) -> None:
    def reverse(lines: list[Any]) -> None:
        lines[1:] = lines[:0:-1]

    transfer.run(museum(), edit=reverse)
    assert dump_rows(transfer.target) == dump_rows(transfer.source)


@pytest.mark.parametrize(
    ("relation", "value", "message"),
    [
        ("room", "Artist/7", "got 'Artist/7', expected a reference to Room"),
        ("room", ["Room/7"], "got ['Room/7'], expected one reference"),
        ("room", 7, "got 7, expected a reference to Room"),
        ("artists", "Artist/7", "got 'Artist/7', expected a list of references"),
        ("curator", "Person/x", "got 'Person/x', expected a reference to Person"),
        ("painter", "Person/1", "the contract has no such stored relation"),
        ("notes", ["Note/1"], "the contract has no such stored relation"),
    ],
)
def test_references_of_another_form_are_reported(transfer: Transfer, relation: str, value: Any, message: str) -> None:
    def edit(lines: list[Any]) -> None:
        find_line(lines, "Exhibit")["references"][relation] = value

    key = find_record(transfer.source, "Exhibit")["key"]
    assert transfer.run_rejected(museum(), edit) == [f"Exhibit {key}.{relation}: {message}"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resource": "Statue"}, "Statue {key}: the contract has no such resource"),
        ({"key": 7}, "Artist 7: the key is not a string that equals slug"),
        ({"key": "another"}, "Artist another: the key is not a string that equals slug"),
    ],
)
def test_records_that_do_not_fit_are_reported(transfer: Transfer, change: dict[str, Any], message: str) -> None:
    def edit(lines: list[Any]) -> None:
        line = find_line(lines, "Artist")
        for other in lines[1:]:
            for name in ("artists", "about", "subject"):
                other["references"].pop(name, None)
        line.update(change)

    key = find_record(transfer.source, "Artist")["key"]
    assert transfer.run_rejected(museum(), edit) == [message.format(key=key)]


def test_duplicate_record_is_reported(transfer: Transfer) -> None:
    def edit(lines: list[Any]) -> None:
        lines.append(find_line(lines, "Artist"))
        lines[0]["counts"]["records"] += 1

    key = find_record(transfer.source, "Artist")["key"]
    assert transfer.run_rejected(museum(), edit) == [f"Artist {key}: another record has this key or number"]


def test_scheduled_changes_that_do_not_fit_are_reported(transfer: Transfer) -> None:
    def edit(lines: list[Any]) -> None:
        key = find_line(lines, "Room")["key"]
        changes = {"floor": 1000, "height": 2, "name": "A"}
        change = {"at": "2026-03-01T00:00:00.000000Z", "resource": "Room", "key": key, "changes": changes}
        lines += [{"scheduled_change": change}, {"scheduled_change": {**change, "resource": "Hall"}}]
        lines[0]["counts"]["scheduled_changes"] = 2

    key = find_record(transfer.source, "Room")["key"]
    assert transfer.run_rejected(museum(), edit) == [
        f"Room {key}.floor: a scheduled change does not fit the contract",
        f"Room {key}.height: a scheduled change does not fit the contract",
        f"Hall {key}: the contract has no such resource (scheduled change)",
    ]


# Files that are not exports -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def museum_lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return export(create_store_file(tmp_path_factory.mktemp("museum") / "source.db", museum()))


def append(line: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [*lines, line]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: [], r"line 1: got '', expected the header of an export: athena-mock-store, version 1"),
        (lambda lines: lines[1:], r"line 1: got '\{\"resource\".*expected the header"),
        (lambda lines: [lines[0].replace(b'"version":1', b'"version":2'), *lines[1:]], "expected the header"),
        (lambda lines: [lines[0].replace(b'"seed"', b'"sead"'), *lines[1:]], "line 1: seed: got None, expected str"),
        (lambda lines: lines[:-1], r"the file is incomplete: it has \d+ records of \d+, 0 tokens of 0"),
        (lambda lines: [*lines[:-1], lines[-1][:-5]], r"line \d+: not valid JSON: "),
        (
            append(b'{"resource":"Room","number":-1,"key":"x","attributes":{},"references":{}}'),
            r"number: got -1, expected",
        ),
        (append(b'{"resource":"Room","number":%d,"key":"x","attributes":{},"references":{}}' % 2**63), "number: got 9"),
        (
            lambda lines: [lines[0].replace(b'"last_numbers":{', b'"last_numbers":{"Room2":-1,'), *lines[1:]],
            r"line 1: last_numbers\.Room2: got -1, expected a number from 0 to",
        ),
        (append(b"[]"), r"line \d+: got b'\[\]', expected a record, token, scheduled change or pool"),
        (append(b'{"resource": 7}'), r"line \d+: resource: got 7, expected str"),
        (append(b'{"token": "x", "user": true}'), r"line \d+: user: got True, expected str or int"),
        (append(b'{"scheduled_change": []}'), r"line \d+: scheduled_change: got \[\], expected dict"),
    ],
)
def test_file_that_is_not_a_complete_export_is_rejected(
    tmp_path: Path, museum_lines: list[bytes], edit: Callable[[list[bytes]], list[bytes]], message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        import_store(museum(), tmp_path / "target.db", edit(museum_lines), reject_problem, force=True)
    assert list(tmp_path.iterdir()) == []


def test_last_number_of_an_unknown_resource_is_reported(tmp_path: Path, museum_lines: list[bytes]) -> None:
    problems: list[str] = []
    lines = [museum_lines[0].replace(b'"last_numbers":{', b'"last_numbers":{"Roof":7,'), *museum_lines[1:]]
    import_store(museum(), tmp_path / "target.db", lines, lambda p: problems.append(str(p)), force=True)
    assert problems == ["line 1: last_numbers.Roof: the contract has no such resource"]


def test_existing_file_is_not_replaced(tmp_path: Path, museum_lines: list[bytes]) -> None:
    (tmp_path / "target.db").write_bytes(b"precious")
    with pytest.raises(StoreError, match=r"target\.db exists: use another file"):
        import_store(museum(), tmp_path / "target.db", museum_lines, reject_problem, force=True)
    assert (tmp_path / "target.db").read_bytes() == b"precious"


def test_museum_is_the_tested_contract() -> None:
    assert MUSEUM == FOREIGN / "museum.yaml"
