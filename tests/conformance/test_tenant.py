"""--workspace: where a contract lets a request say the tenant, it is said."""

import pytest

from conformance.errors import UsageError
from conformance.tenant import Tenant, key_of
from tests.conformance.served import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas

KEY = "9f8b2c64-1d3e-4a57-8c90-5e6f7a8b9c0d"


def test_a_list_is_narrowed_by_the_filter_on_the_tenants_path() -> None:
    contract = athena_contract()
    tenant = Tenant.of(contract, KEY)
    assert dict(tenant.query(contract.operations["listAgents"])) == {"workspace_uuid": KEY}
    assert dict(tenant.query(contract.operations["listMessages"])) == {"workspace_uuid": KEY}  # by way of its thread
    assert dict(tenant.query(contract.operations["listLargeLanguageModels"])) == {}
    assert dict(tenant.query(contract.operations["retrieveAgent"])) == {}


def test_a_create_names_the_tenant() -> None:
    contract = athena_contract()
    tenant = Tenant.of(contract, KEY)
    assert dict(tenant.body(contract.operations["createAgent"])) == {"workspace_uuid": KEY}
    assert dict(tenant.body(contract.operations["createMessage"])) == {}
    assert dict(tenant.body(contract.operations["shareAgent"])) == {}


def test_what_a_run_makes_and_lists_is_in_the_tenant() -> None:
    api = Api.of(athena_contract(), athena_schemas(), "demo")
    api.begin_anew()
    asking = session(api.app, api.contract, schemas=api.schemas)
    keys = [row["uuid"] for row in asking.rows(asking.needed("Workspace", "list"), {})]
    assert len(keys) > 1
    for key in keys:
        asking = session(api.app, api.contract, schemas=api.schemas)
        asking.tenant = Tenant.of(api.contract, key)
        made = asking.make("Agent")
        assert made.shown["workspace"]["uuid"] == key
        rows = list(asking.rows(asking.needed("Agent", "list"), {}))
        assert {row["workspace"]["uuid"] for row in rows} == {key}
        assert asking.send(asking.needed("Agent", "list"), as_="other").request.query == ()


def test_a_key_that_must_be_a_number_is_one() -> None:
    contract = athena_contract()
    assert key_of(contract, "User", "12") == 12
    assert key_of(contract, "Agent", KEY) == KEY
    with pytest.raises(UsageError, match="--sacrifice: found 'x'; allowed: a key of User, a whole number"):
        key_of(contract, "User", "x")


def test_a_key_that_must_be_a_uuid_is_one() -> None:
    with pytest.raises(UsageError, match="--workspace: found 'acme'; allowed: a key of Workspace, a UUID"):
        Tenant.of(athena_contract(), "acme")
