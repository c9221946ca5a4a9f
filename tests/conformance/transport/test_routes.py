"""Tests of the router: which path of the contract matches, and the values of its parameters."""

from conformance.transport.routes import Router
from tests.mock_server.athena import athena_contract


def test_matching_route_has_the_fewest_parameters() -> None:
    route = Router.from_contract(athena_contract()).match("/workspaces/metrics")
    assert route is not None
    assert (route.template, route.values) == ("/workspaces/metrics", {})


def test_path_values_are_decoded() -> None:
    route = Router.from_contract(athena_contract()).match("/agents/a%20b")
    assert route is not None
    assert route.values == {"uuid": "a b"}
    assert {"get", "delete"} <= route.operations.keys()


def test_empty_path_value_does_not_match() -> None:
    assert Router.from_contract(athena_contract()).match("/workspaces/") is None
