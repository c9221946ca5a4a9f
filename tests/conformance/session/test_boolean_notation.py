"""Booleans of a query are sent as `true` and `false`, or as 1 and 0 if only these are accepted."""

from collections.abc import Mapping

import pytest

from conformance.mutation.conforming_variants.requests import accept_booleans
from conformance.mutation.fault_injection import FaultInjector
from conformance.mutation.in_process_mock import ManualClock
from conformance.session.session import Session
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas


def start_session(*accepted: str) -> Session:
    """A session with a mock that accepts some texts as booleans; without any, the unchanged mock."""
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    variant = accept_booleans(*accepted)(api.contract, ManualClock()) if accepted else None
    app = FaultInjector.create(api.app, api.contract, variant) if variant is not None else api.app
    return session(app, api.contract, schemas=api.schemas)


def send_list(run_session: Session, query: Mapping[str, object]) -> tuple[int, tuple[tuple[str, str], ...]]:
    """(status, sent query) of a list of agents."""
    exchange = run_session.client.send(run_session.operations.require("Agent", "list"), query=query)
    return exchange.response.status, exchange.request.query


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [((), "true"), (("true", "false"), "true"), (("1", "0"), "1")],
)
def test_boolean_is_sent_in_the_accepted_notation(accepted: tuple[str, ...], expected: str) -> None:
    assert send_list(start_session(*accepted), {"favorite": True}) == (200, (("favorite", expected),))


def test_notation_is_kept_for_the_rest_of_the_run() -> None:
    run_session = start_session("1", "0")
    send_list(run_session, {"favorite": True})
    requests = run_session.responses.call_counts.total()
    assert send_list(run_session, {"favorite": False, "search": "1"}) == (200, (("favorite", "0"), ("search", "1")))
    assert run_session.responses.call_counts.total() == requests + 1


def test_rejection_for_another_reason_is_returned_as_sent() -> None:
    run_session = start_session()
    assert send_list(run_session, {"favorite": True, "page": 0}) == (422, (("favorite", "true"), ("page", "0")))
    assert not run_session.client.boolean_notation.is_confirmed
