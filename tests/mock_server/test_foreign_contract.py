"""Contracts of other APIs: served, seeded and walked, with no Python written for them.

Which operations there are, how they hang together and what to send are all read from the contract.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from spec.loader import load_contract
from spec.model import BodyField, Operation
from spec.record import Reference
from spec.validators import SchemaValidators
from tests.mock_server.athena import Api

FOREIGN = Path(__file__).parents[1] / "foreign"
CONTRACTS = {path.stem: load_contract(path) for path in sorted(FOREIGN.glob("*.yaml"))}


@cache
def served(name: str) -> Api:
    """A foreign contract with a dataset that says nothing of it; shared, for it is slow to make."""
    contract = CONTRACTS[name]
    return Api.create(contract, SchemaValidators.from_document(contract.document), "plain")


def fresh_api(name: str) -> Api:
    """The same, as its dataset has it."""
    found = served(name)
    found.reset()
    return found


def by_action(*actions: str) -> pytest.MarkDecorator:
    """Parametrizes by the contracts' operations that do one of these."""
    found = [(name, o.id) for name, c in CONTRACTS.items() for o in c.operations.values() if o.action in actions]
    return pytest.mark.parametrize(("contract", "name"), found)


def sibling(api: Api, operation: Operation, action: str) -> Operation | None:
    """What does `action` with the same resource."""
    same = (o for o in api.contract.operations.values() if o.resource == operation.resource)
    return next((o for o in same if o.action == action), None)


def query_of(api: Api, operation: Operation) -> dict[str, Any]:
    """A seeded value for each query parameter that must be sent."""
    query = {}
    for parameter in operation.query_parameters:
        if parameter.required:
            assert parameter.x_query is not None
            relation = api.contract.resources[operation.resource or ""].relations[parameter.x_query.paths[0][0]]
            query[parameter.name] = api.find_seeded_key(relation.targets[0])
    return query


def value_of(api: Api, operation: Operation, field: BodyField) -> Any:
    """Something that may be sent in a field."""
    if field.relation_setter is not None:
        resource = api.contract.resources[operation.resource or ""]
        return api.find_seeded_key(resource.relations[field.relation_setter.relation].targets[0])
    schema, _ = api.contract.document.dereference(field.schema, "")
    formats = {"date": "1999-12-31"}
    by_type = {"string": "New", "integer": 7, "number": 1.5, "boolean": True, "array": []}
    return schema["enum"][-1] if "enum" in schema else formats.get(schema.get("format", ""), by_type[schema["type"]])


def body_of(api: Api, operation: Operation) -> dict[str, Any]:
    """A body: each field of the record's own, and each record that it names."""
    assert operation.request_body is not None
    own = api.contract.resources[operation.resource or ""].attributes
    fields = operation.request_body.fields.values()
    return {f.name: value_of(api, operation, f) for f in fields if f.name in own or f.relation_setter is not None}


def rows_of(api: Api, listing: Operation, token: str = "demo-token") -> list[Any]:
    """What a list holds."""
    size = next(p.name for p in listing.query_parameters if p.x_query and p.x_query.role == "size")
    found: list[Any] = api.data(listing.id, query={**query_of(api, listing), size: 100}, token=token)
    return found


def test_three_foreign_contracts_exist() -> None:
    assert set(CONTRACTS) == {"clinic", "library", "museum"}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_resource_is_seeded(contract: str) -> None:
    counts = fresh_api(contract).sandbox.store.count_by_resource()
    assert set(counts) == set(CONTRACTS[contract].resources)
    assert min(counts.values()) > 0


@by_action("list")
def test_list_returns_seeded_records(contract: str, name: str) -> None:
    api = fresh_api(contract)
    listing = api.operation(name)
    reply = api.call(name, query=query_of(api, listing))
    api.assert_valid_twice(name, reply, query=query_of(api, listing))
    assert rows_of(api, listing)


@by_action("retrieve")
def test_listed_records_can_be_retrieved(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    listing = sibling(api, operation, "list")
    assert listing is not None
    key = api.contract.resources[operation.resource or ""].key_attribute
    for row in rows_of(api, listing):
        reply = api.call(name, row[key])
        api.assert_valid_twice(name, reply, row[key])
        assert reply.json["data"] == row


@by_action("create")
def test_created_record_is_listed_and_retrieved(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    listing, retrieve = sibling(api, operation, "list"), sibling(api, operation, "retrieve")
    assert listing is not None
    assert retrieve is not None
    body = body_of(api, operation)
    reply = api.call(name, body=body)
    api.assert_valid_twice(name, reply, body=body)
    made = reply.json["data"]
    assert {field: made[field] for field in body if field in made and not isinstance(made[field], dict)} == {
        field: value for field, value in body.items() if field in made and not isinstance(made[field], dict)
    }
    key = made[api.contract.resources[operation.resource or ""].key_attribute]
    assert api.data(retrieve.id, key) == made
    assert made in rows_of(api, listing)


@by_action("update")
def test_updated_record_is_retrieved(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    assert operation.request_body is not None
    retrieve = sibling(api, operation, "retrieve")
    assert retrieve is not None
    key = writable(api, operation)
    before = api.data(retrieve.id, key)
    own = api.contract.resources[operation.resource or ""].attributes
    sent = {n: value_of(api, operation, f) for n, f in operation.request_body.fields.items() if n in own}
    after = api.data(name, key, sent)
    assert after == api.data(retrieve.id, key)
    stamps = api.contract.resources[operation.resource or ""].attributes_with_stamp("updated")
    assert after == before | sent | {stamp: after[stamp] for stamp in stamps}
    assert after != before


@by_action("delete")
def test_deleted_record_returns_404(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    listing, retrieve = sibling(api, operation, "list"), sibling(api, operation, "retrieve")
    assert listing is not None
    assert retrieve is not None
    key = writable(api, operation)
    assert api.data(name, key) is None
    assert api.status(retrieve.id, key) == 404
    identity = api.contract.resources[operation.resource or ""].key_attribute
    assert key not in {row[identity] for row in rows_of(api, listing)}


def writable(api: Api, operation: Operation) -> Any:
    """Key of a seeded record that nothing forbids to change or remove."""
    resource = api.contract.resources[operation.resource or ""]
    viewer = api.sandbox.resolve_token("demo-token", api.clock())
    assert viewer is not None
    for record in api.sandbox.store.select(resource.name, "1"):
        if record.tenant_key in viewer.tenant_keys and not refused(api, Reference(resource.name, record.key)):
            return record.key
    raise AssertionError(f"no {resource.name} that can be removed")


def refused(api: Api, reference: Reference) -> bool:
    """Whether others refer to a record in a way that forbids to remove it."""
    relations = [r for r in api.contract.find_relations_to(reference.resource) if r[1].on_delete == "refuse"]
    return any(
        reference in (record.references.get(relation.name),)
        for other, relation in relations
        for record in api.sandbox.store.select(other.name, "1")
    )


@by_action("retrieve", "update", "delete")
def test_unknown_key_returns_404(contract: str, name: str) -> None:
    api = fresh_api(contract)
    operation = api.operation(name)
    reply = api.call(name, "nothing", {} if operation.request_body else None)
    assert reply.status == 404
    api.assert_valid_twice(name, reply, "nothing")


# Signing in: the library has operations for that, the museum only users and standing tokens -------------------------


def account(api: Api) -> Mapping[str, Any]:
    """Own properties of the first one who may sign in."""
    resource = api.contract.account_resource
    assert resource is not None
    return api.sandbox.store.select(resource.name, "1")[0].attributes


@by_action("sign-in")
def test_sign_in_and_sign_out(contract: str, name: str) -> None:
    api = fresh_api(contract)
    found = {o.action: o.id for o in api.contract.operations.values() if o.resource is None}
    user = account(api)
    body = {"email": user["email"], "password": user["password"]}
    reply = api.call(name, body=body)
    api.assert_valid_twice(name, reply, body=body)
    token = reply.json["data"]["token"]
    assert api.data(found["authenticated-user"], token=token)["email"] == user["email"]
    assert api.status(found["logout"], token=token) == 204
    assert api.send(found["authenticated-user"], token=token).status == 401


@pytest.mark.parametrize("contract", CONTRACTS)
def test_builtin_tokens_belong_to_different_tenants(contract: str) -> None:
    api = fresh_api(contract)
    first, second = (api.sandbox.resolve_token(token, api.clock()) for token in ("demo-token", "other-token"))
    assert first is not None
    assert second is not None
    assert not set(first.tenant_keys) & set(second.tenant_keys)


@by_action("list")
def test_request_without_token_returns_401(contract: str, name: str) -> None:
    api = fresh_api(contract)
    assert api.send(name, query=query_of(api, api.operation(name)), token=None).status == 401
