"""The template of a new resource: added to the contract, the mock serves it without further changes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spec.document import parse_document, parse_yaml
from spec.loader import parse_contract
from spec.validators import SchemaValidators
from tests.mock_server.athena import Api, athena_contract

TEMPLATE = Path(__file__).parents[2] / "examples" / "note-resource.yaml"
THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"  # of the example requests


@pytest.fixture(scope="module")
def extended_api() -> Iterator[Api]:
    template = parse_yaml(TEMPLATE.read_bytes(), TEMPLATE.name)
    document: dict[str, Any] = json.loads(json.dumps(athena_contract().document.root))
    document["tags"] = [*{tag["name"]: tag for tag in (*document["tags"], *template["tags"])}.values()]
    document["paths"] |= template["paths"]
    for section, parts in template["components"].items():
        document["components"][section] |= parts
    contract = parse_contract(parse_document(json.dumps(document, ensure_ascii=False).encode(), "extended.json"))
    api = Api.create(contract, SchemaValidators.from_document(contract.document), "demo")
    yield api
    api.sandbox.store.close()


def test_notes_are_seeded_created_filtered_updated_and_deleted_with_their_thread(extended_api: Api) -> None:
    assert extended_api.call_json("listNotes")["meta"]["total"] > 0
    text = "The customer wants a refund."
    note = extended_api.data("createNote", body={"thread_uuid": THREAD, "text": text})
    assert (note["text"], note["importance"]) == (text, "normal")
    found = extended_api.list_all("listNotes", {"thread_uuid": THREAD, "search": "refund"})
    assert [row["uuid"] for row in found] == [note["uuid"]]
    assert extended_api.data("updateNote", note["uuid"], {"importance": "high"})["importance"] == "high"
    assert extended_api.status("createNote", body={"text": text}) == 422
    assert extended_api.status("deleteThread", THREAD) == 204
    assert extended_api.status("retrieveNote", note["uuid"]) == 404
