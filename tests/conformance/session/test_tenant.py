"""--tenant: lists are filtered by the tenant, and creates reference it."""

import pytest

from conformance.errors import UsageError
from conformance.session.tenant import TenantScope, parse_key
from conformance.transport.messages import Actor
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas

KEY = "9f8b2c64-1d3e-4a57-8c90-5e6f7a8b9c0d"


def test_list_is_filtered_by_tenant() -> None:
    contract = athena_contract()
    tenant = TenantScope.from_option(contract, KEY)
    assert dict(tenant.query_filter(contract.operations["listAgents"])) == {"workspace_uuid": KEY}
    assert dict(tenant.query_filter(contract.operations["listMessages"])) == {
        "workspace_uuid": KEY
    }  # through its thread
    assert dict(tenant.query_filter(contract.operations["listLargeLanguageModels"])) == {}
    assert dict(tenant.query_filter(contract.operations["retrieveAgent"])) == {}


def test_create_references_tenant() -> None:
    contract = athena_contract()
    tenant = TenantScope.from_option(contract, KEY)
    assert dict(tenant.create_fields(contract.operations["createAgent"])) == {"workspace_uuid": KEY}
    assert dict(tenant.create_fields(contract.operations["createMessage"])) == {}
    assert dict(tenant.create_fields(contract.operations["shareAgent"])) == {}


def test_created_and_listed_records_are_in_tenant() -> None:
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    api.reset()
    run_session = session(api.app, api.contract, schemas=api.schemas)
    keys = [row["uuid"] for row in run_session.records.rows(run_session.operations.require("Workspace", "list"), {})]
    assert len(keys) > 1
    for key in keys:
        run_session = session(api.app, api.contract, schemas=api.schemas)
        run_session.client.tenant = TenantScope.from_option(api.contract, key)
        created = run_session.records.create("Agent")
        assert created.body["workspace"]["uuid"] == key
        rows = list(run_session.records.rows(run_session.operations.require("Agent", "list"), {}))
        assert {row["workspace"]["uuid"] for row in rows} == {key}
        assert (
            run_session.client.send(
                run_session.operations.require("Agent", "list"), actor=Actor.OTHER_TENANT
            ).request.query
            == ()
        )


def test_integer_key_is_parsed() -> None:
    contract = athena_contract()
    assert parse_key(contract, "User", "12") == 12
    assert parse_key(contract, "Agent", KEY) == KEY
    with pytest.raises(UsageError, match=r"--mutable-record: invalid key 'x' of User \(expected an integer\)"):
        parse_key(contract, "User", "x")


def test_invalid_uuid_key_is_usage_error() -> None:
    with pytest.raises(UsageError, match=r"--tenant: invalid key 'acme' of Workspace \(expected a UUID\)"):
        TenantScope.from_option(athena_contract(), "acme")
