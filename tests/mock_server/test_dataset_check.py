"""Explicit records of dataset files, and the command `athena-mock dataset check`."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import dataset
from mock_server.cli import dataset_image
from mock_server.cli.dataset_commands import (
    find_excluded_records,
    find_hidden_records,
    find_unreachable_records,
)
from mock_server.cli.main import main
from mock_server.images import ImageError
from spec.loader import load_contract
from tests.mock_server.athena import athena_contract
from tests.mock_server.controlled_mock import DEMO, ControlledMock

SMALL = "only: [User, Workspace, Agent, Thread, Message, Prompt]\nothers: 2\n"
RELATED = (
    SMALL
    + """
records:
  Agent: [{name: Alpha}]
  Thread: [{agent: $Agent.0}]
  Message: {count: 3, thread: $Thread.0, content: from the file}
"""
)


def write(folder: Path, content: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(content)
    return file


def build(file: Path) -> bytes:
    image = file.with_suffix(".image")
    image.unlink(missing_ok=True)
    parameters = replace(DEMO, dataset=str(file))
    dataset_image.build_image(image, load_contract(dataset_image.get_contract_path(None)), parameters)
    return image.read_bytes()


def test_records_of_a_file_are_served_by_new_sandboxes(tmp_path: Path) -> None:
    content = build(write(tmp_path, RELATED))
    mock = ControlledMock.create(get_image=lambda parameters: content)
    (agent,) = mock.read("a", "/agents?search=Alpha")
    threads = mock.read("a", f"/threads?agent_uuid={agent['uuid']}")
    assert len(threads) >= 1
    messages = mock.read("a", "/messages?search=from%20the%20file")
    assert [message["content"] for message in messages] == ["from the file"] * 3
    assert mock.control("GET", "/sandboxes/a/changes") == {"created": [], "changed": [], "deleted": []}


def test_image_with_records_is_a_function_of_its_parameters(tmp_path: Path) -> None:
    file = write(tmp_path, RELATED)
    assert build(file) == build(file)


@pytest.mark.parametrize(
    ("records", "problems"),
    [
        ("Agent: [{nme: x}]", ["records.Agent.0.nme: "]),
        ("Agnt: [{}]", ["records.Agnt: The contract has no resource of this name"]),
        ("Message: [{thread: $Thread.5}]", ["records.Message.0.thread: The record '$Thread.5' does not exist"]),
        ("Agent: [{name: 3}]\n  Prompt: [{content: 4}]", ["records.Agent.0.name: ", "records.Prompt.0.content: "]),
    ],
)
def test_invalid_records_are_reported_with_their_location(tmp_path: Path, records: str, problems: list[str]) -> None:
    file = write(tmp_path, f"{SMALL}records:\n  {records}\n")
    with pytest.raises(ImageError) as raised:
        build(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert [problem for problem in problems if problem not in str(raised.value)] == []


def test_valid_file_has_no_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, RELATED)
    assert main(["dataset", "check", str(file)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{file}: ok (")
    assert captured.err == ""


def test_excluded_and_hidden_records_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (
        SMALL
        + """
resources:
  Provider: {records: [{own: {name: x}}, {own: {name: y}}]}
  Workspace: {records: [{own: {name: a}}, {own: {uuid: 00000000-0000-4000-8000-000000000001}}]}
records:
  Prompt: [{name: Mine}, {name: Hidden, workspace: 00000000-0000-4000-8000-000000000001}]
"""
    )
    file = write(tmp_path, content)
    assert main(["dataset", "check", str(file)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if "resources.Provider.records: 2 records are not created" in line] != []
    hidden = [line for line in errors if "records.Prompt." in line]
    assert len(hidden) == 1
    assert "records.Prompt.1" in hidden[0]
    assert hidden[0].endswith("is visible only to other-token, not to demo-token")


def test_misspelt_name_is_reported_with_its_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "resources:\n  Prompt: {records: [{own: {name: x}}, {own: {nme: x}}]}\n")
    assert main(["dataset", "check", str(file)]) == 2
    expected = "mine.yaml/resources/Prompt/records/1: unknown property 'nme' (expected uuid, name,"
    assert expected in capsys.readouterr().err


def test_records_that_no_account_can_see_are_a_warning(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(build(write(tmp_path, SMALL)))
    sandbox = dataset_image.open_image(image, athena_contract(), DEMO)
    assert list(find_unreachable_records(sandbox)) == []
    assert list(find_hidden_records(sandbox, {})) == []
    sandbox.store.connection.execute('UPDATE "Prompt" SET tenant = NULL')
    warnings = list(find_unreachable_records(dataset_image.open_image(image, athena_contract(), DEMO)))
    assert warnings == []
    (warning,) = find_unreachable_records(sandbox)
    assert warning.startswith("Prompt: no account can see ")


def test_inherited_records_that_are_excluded_are_no_warning(tmp_path: Path) -> None:
    file = write(tmp_path, "extends: demo\nonly: [User, Workspace]\n")
    assert list(find_excluded_records(dataset.load(str(file)), file.name)) == []
