"""Contracts of other APIs are seeded and served without code for them.

Operations, their relations and the values to send are read from the contract.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from spec.document import parse_document
from spec.loader import load_contract, parse_contract
from spec.model import BodyField, Operation
from spec.record import Reference
from spec.validators import SchemaValidators
from tests.mock_server.athena import Api

FOREIGN = Path(__file__).parents[1] / "foreign"
CONTRACTS = {path.stem: load_contract(path) for path in sorted(FOREIGN.glob("*.yaml"))}


@cache
def shared_foreign_api(name: str) -> Api:
    """Return the shared API of a foreign contract, with a dataset that defines nothing of it; slow to create."""
    contract = CONTRACTS[name]
    return Api.create(contract, SchemaValidators.from_document(contract.document), "plain")


def fresh_api(name: str) -> Api:
    """Return the shared API with its initial data."""
    api = shared_foreign_api(name)
    api.reset()
    return api


def parametrize_by_action(*actions: str) -> pytest.MarkDecorator:
    """Parametrize with the operations of all contracts that have one of the actions."""
    cases = [(name, o.id) for name, c in CONTRACTS.items() for o in c.operations.values() if o.action in actions]
    return pytest.mark.parametrize(("contract", "name"), cases)


def find_sibling(api: Api, operation: Operation, action: str) -> Operation | None:
    """Return the operation with an action on the same resource."""
    operations = (o for o in api.contract.operations.values() if o.resource == operation.resource)
    return next((o for o in operations if o.action == action), None)


def build_required_query(api: Api, operation: Operation) -> dict[str, Any]:
    """Return a seeded key for each required query parameter."""
    query = {}
    for parameter in operation.query_parameters:
        if parameter.required:
            assert parameter.x_query is not None
            relation = api.contract.resources[operation.resource or ""].relations[parameter.x_query.paths[0][0]]
            query[parameter.name] = api.find_seeded_key(relation.targets[0])
    return query


def choose_value(api: Api, operation: Operation, field: BodyField) -> Any:
    """Return a valid value of a body field."""
    if field.relation_setter is not None:
        resource = api.contract.resources[operation.resource or ""]
        return api.find_seeded_key(resource.relations[field.relation_setter.relation].targets[0])
    schema, _ = api.contract.document.dereference(field.schema, "")
    formats = {"date": "1999-12-31"}
    by_type = {"string": "New", "integer": 7, "number": 1.5, "boolean": True, "array": []}
    return schema["enum"][-1] if "enum" in schema else formats.get(schema.get("format", ""), by_type[schema["type"]])


def build_body(api: Api, operation: Operation) -> dict[str, Any]:
    """Return a body with all attributes and references that may be sent."""
    assert operation.request_body is not None
    attributes = api.contract.resources[operation.resource or ""].attributes
    fields = operation.request_body.fields.values()
    return {
        f.name: choose_value(api, operation, f) for f in fields if f.name in attributes or f.relation_setter is not None
    }


def list_rows(api: Api, listing: Operation, token: str = "demo-token") -> list[Any]:
    """Return the records of a list."""
    size = next(p.name for p in listing.query_parameters if p.x_query and p.x_query.role == "size")
    rows: list[Any] = api.data(listing.id, query={**build_required_query(api, listing), size: 100}, token=token)
    return rows


def test_three_foreign_contracts_exist() -> None:
    assert set(CONTRACTS) == {"clinic", "library", "museum"}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_resource_is_seeded(contract: str) -> None:
    counts = fresh_api(contract).sandbox.store.count_by_resource()
    assert set(counts) == set(CONTRACTS[contract].resources)
    assert min(counts.values()) > 0


@parametrize_by_action("list")
def test_list_returns_seeded_records(contract: str, name: str) -> None:
    api = fresh_api(contract)
    listing = api.operation(name)
    reply = api.call(name, query=build_required_query(api, listing))
    api.assert_valid_twice(name, reply, query=build_required_query(api, listing))
    assert list_rows(api, listing)


@parametrize_by_action("retrieve")
def test_listed_records_can_be_retrieved(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    listing = find_sibling(api, operation, "list")
    assert listing is not None
    key = api.contract.resources[operation.resource or ""].key_attribute
    for row in list_rows(api, listing):
        reply = api.call(name, row[key])
        api.assert_valid_twice(name, reply, row[key])
        assert reply.json["data"] == row


@parametrize_by_action("create")
def test_created_record_is_listed_and_retrieved(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    listing, retrieve = find_sibling(api, operation, "list"), find_sibling(api, operation, "retrieve")
    assert listing is not None
    assert retrieve is not None
    body = build_body(api, operation)
    reply = api.call(name, body=body)
    api.assert_valid_twice(name, reply, body=body)
    record = reply.json["data"]
    assert {field: record[field] for field in body if field in record and not isinstance(record[field], dict)} == {
        field: value for field, value in body.items() if field in record and not isinstance(record[field], dict)
    }
    key = record[api.contract.resources[operation.resource or ""].key_attribute]
    assert api.data(retrieve.id, key) == record
    assert record in list_rows(api, listing)


@parametrize_by_action("update")
def test_updated_record_is_retrieved(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    assert operation.request_body is not None
    retrieve = find_sibling(api, operation, "retrieve")
    assert retrieve is not None
    key = find_deletable_key(api, operation)
    before = api.data(retrieve.id, key)
    attributes = api.contract.resources[operation.resource or ""].attributes
    body = {n: choose_value(api, operation, f) for n, f in operation.request_body.fields.items() if n in attributes}
    after = api.data(name, key, body)
    assert after == api.data(retrieve.id, key)
    timestamps = api.contract.resources[operation.resource or ""].attributes_with_stamp("updated")
    assert after == before | body | {timestamp: after[timestamp] for timestamp in timestamps}
    assert after != before


@parametrize_by_action("delete")
def test_deleted_record_returns_404(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    listing, retrieve = find_sibling(api, operation, "list"), find_sibling(api, operation, "retrieve")
    assert listing is not None
    assert retrieve is not None
    key = find_deletable_key(api, operation)
    assert api.data(name, key) is None
    assert api.status(retrieve.id, key) == 404
    key_attribute = api.contract.resources[operation.resource or ""].key_attribute
    assert key not in {row[key_attribute] for row in list_rows(api, listing)}


def find_deletable_key(api: Api, operation: Operation) -> Any:
    """Return the key of a seeded record that may be deleted."""
    resource = api.contract.resources[operation.resource or ""]
    viewer = api.sandbox.resolve_token("demo-token", api.clock())
    assert viewer is not None
    for record in api.sandbox.store.select(resource.name):
        if record.tenant_key in viewer.tenant_keys and not is_delete_refused(api, Reference(resource.name, record.key)):
            return record.key
    raise AssertionError(f"no {resource.name} that can be deleted")


def is_delete_refused(api: Api, reference: Reference) -> bool:
    """Return whether other records refer to a record with a relation that refuses its delete."""
    relations = [r for r in api.contract.find_relations_to(reference.resource) if r[1].on_delete == "refuse"]
    return any(
        reference in (record.references.get(relation.name),)
        for other, relation in relations
        for record in api.sandbox.store.select(other.name)
    )


@parametrize_by_action("retrieve", "update", "delete")
def test_unknown_key_returns_404(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    reply = api.call(name, "nothing", {} if operation.request_body else None)
    assert reply.status == 404
    api.assert_valid_twice(name, reply, "nothing")


# Authentication: the library has operations for it, the museum only users and built-in tokens -----------------------


def get_first_account(api: Api) -> Mapping[str, Any]:
    """Return the attributes of the first account."""
    resource = api.contract.account_resource
    assert resource is not None
    return api.sandbox.store.select(resource.name)[0].attributes


@parametrize_by_action("sign-in")
def test_sign_in_and_sign_out(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation_ids = {o.action: o.id for o in api.contract.operations.values() if o.resource is None}
    user = get_first_account(api)
    body = {"email": user["email"], "password": user["password"]}
    reply = api.call(name, body=body)
    api.assert_valid_twice(name, reply, body=body)
    token = reply.json["data"]["token"]
    assert api.data(operation_ids["authenticated-user"], token=token)["email"] == user["email"]
    assert api.status(operation_ids["logout"], token=token) == 204
    assert api.send(operation_ids["authenticated-user"], token=token).status == 401


@pytest.mark.parametrize("contract", CONTRACTS)
def test_builtin_tokens_belong_to_different_tenants(contract: str) -> None:
    api = fresh_api(contract)
    first, second = (api.sandbox.resolve_token(token, api.clock()) for token in ("demo-token", "other-token"))
    assert first is not None
    assert second is not None
    assert not set(first.tenant_keys) & set(second.tenant_keys)


@parametrize_by_action("list")
def test_request_without_token_returns_401(contract: str, name: str) -> None:
    api = fresh_api(contract)
    assert api.send(name, query=build_required_query(api, api.operation(name)), token=None).status == 401


@pytest.mark.parametrize(("documents_404", "expected"), [(True, 404), (False, 422)])
def test_unknown_reference_has_a_documented_status(documents_404: bool, expected: int) -> None:
    """A create of a book on an unknown shelf is invalid input if the create documents no 404."""
    path = Path(__file__).parents[1] / "contracts" / "extensions" / "resource-by-all-of.yaml"
    root = {"servers": [{"url": "/api"}], **yaml.safe_load(path.read_text(encoding="utf-8"))}
    if documents_404:
        root["paths"]["/books"]["post"]["responses"]["404"] = {"$ref": "#/components/responses/Error"}
    contract = parse_contract(parse_document(yaml.safe_dump(root).encode(), path.name))
    api = Api.create(contract, SchemaValidators.from_document(contract.document), "plain")
    assert api.call("createBook", body={"name": "A book", "shelf_id": 2_000_000_001}).status == expected
