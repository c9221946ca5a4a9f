"""--tenant: where a contract lets a request say the tenant, it is said."""

import pytest

from conformance.errors import UsageError
from conformance.session.tenant import TenantScope, parse_key
from tests.conformance.served import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas

KEY = "9f8b2c64-1d3e-4a57-8c90-5e6f7a8b9c0d"


def test_a_list_is_narrowed_by_the_filter_on_the_tenants_path() -> None:
    contract = athena_contract()
    tenant = TenantScope.from_option(contract, KEY)
    assert dict(tenant.query_filter(contract.operations["listAgents"])) == {"workspace_uuid": KEY}
    assert dict(tenant.query_filter(contract.operations["listMessages"])) == {
        "workspace_uuid": KEY
    }  # by way of its thread
    assert dict(tenant.query_filter(contract.operations["listLargeLanguageModels"])) == {}
    assert dict(tenant.query_filter(contract.operations["retrieveAgent"])) == {}


def test_a_create_names_the_tenant() -> None:
    contract = athena_contract()
    tenant = TenantScope.from_option(contract, KEY)
    assert dict(tenant.create_fields(contract.operations["createAgent"])) == {"workspace_uuid": KEY}
    assert dict(tenant.create_fields(contract.operations["createMessage"])) == {}
    assert dict(tenant.create_fields(contract.operations["shareAgent"])) == {}


def test_what_a_run_makes_and_lists_is_in_the_tenant() -> None:
    api = Api.of(athena_contract(), athena_schemas(), "demo")
    api.begin_anew()
    asking = session(api.app, api.contract, schemas=api.schemas)
    keys = [row["uuid"] for row in asking.rows(asking.require_operation("Workspace", "list"), {})]
    assert len(keys) > 1
    for key in keys:
        asking = session(api.app, api.contract, schemas=api.schemas)
        asking.tenant = TenantScope.from_option(api.contract, key)
        made = asking.create("Agent")
        assert made.body["workspace"]["uuid"] == key
        rows = list(asking.rows(asking.require_operation("Agent", "list"), {}))
        assert {row["workspace"]["uuid"] for row in rows} == {key}
        assert asking.send(asking.require_operation("Agent", "list"), actor="other").request.query == ()


def test_a_key_that_must_be_a_number_is_one() -> None:
    contract = athena_contract()
    assert parse_key(contract, "User", "12") == 12
    assert parse_key(contract, "Agent", KEY) == KEY
    with pytest.raises(UsageError, match="--mutable-record: found 'x'; allowed: a key of User, a whole number"):
        parse_key(contract, "User", "x")


def test_a_key_that_must_be_a_uuid_is_one() -> None:
    with pytest.raises(UsageError, match="--tenant: found 'acme'; allowed: a key of Workspace, a UUID"):
        TenantScope.from_option(athena_contract(), "acme")
