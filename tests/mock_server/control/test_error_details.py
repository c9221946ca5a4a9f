"""Errors of the control API state the field, the received value and what is expected."""

from typing import Any

import pytest

from tests.mock_server.controlled_mock import CONTROL, ControlledMock


@pytest.mark.parametrize(
    ("target", "body", "field", "expected"),
    [
        ("PUT /sandboxes/a", {"dataset": "demoo"}, "dataset", 'received "demoo", expected '),
        ("PUT /sandboxes/a", {"dataset": "demoo"}, "dataset", "; did you mean demo?"),
        ("PUT /sandboxes/a", {"epoch": "today"}, "epoch", 'received "today", expected Date and time in UTC'),
        ("PUT /sandboxes/a", {"epoch": "today"}, "epoch", "for example 2026-03-01T00:00:00Z"),
        ("PUT /sandboxes/a", {"seed": "1"}, "seed", 'must be an integer (received "1")'),
        ("PUT /sandboxes/a", {"colour": 1}, "colour", "expected dataset, epoch, execution_seconds or seed"),
        ("PUT /sandboxes/-a", {}, "name", 'received "-a", expected 1 to 63 lower-case letters'),
        (
            "POST R/rules",
            {"match": {"operation": "listAgnts"}, "respond": {}},
            "match.operation",
            "did you mean listAgents",
        ),
        ("POST R/rules", {"match": {"method": "Get"}, "respond": {}}, "match.method", "expected GET, HEAD"),
        ("POST R/rules", {"match": {"tag": "x"}, "respond": {}}, "match.tag", 'received "x", expected '),
        ("POST R/rules", {"match": {"effect": "x"}, "respond": {}}, "match.effect", "language-model"),
        ("POST R/rules", {"preset": "slow-modl"}, "preset", "did you mean slow-model or slow?"),
        ("POST R/rules", {"respond": {"fault": "drible"}}, "respond.fault", "did you mean dribble?"),
        ("POST R/rules", {"respond": {"outcome": "x"}}, "respond.outcome", "expected completed, error or running"),
        ("POST R/rules", {"respond": {"headers": ["x"]}}, "respond.headers.0", "for example Retry-After: 2"),
        ("POST R/rules", {"respond": {"staus": 1}}, "respond.staus", "did you mean status?"),
        ("POST R/rules", {"respond": {}}, "respond", "expected status, patch, delay_ms or another property"),
        ("POST R/rules", {"respond": {"patch": 3}}, "respond.patch", "must be an object (received 3)"),
        ("POST R/rules", {"respond": {"chunks": 3}}, "respond.chunks", "received no fault, expected fault dribble"),
        ("POST R/rules", {"respond": [{"status": 500}, {"duration_ms": 3}]}, "respond.1.duration_ms", "fault dribble"),
        ("POST R/rules", {"respond": {"example": "x"}}, "respond.example", 'received "x", expected example, '),
        (
            "POST R/rules",
            {"match": {"operation": "listAgents"}, "respond": {"example": "x"}},
            "respond.example",
            "listAgents",
        ),
        ("POST R/records", {"Agent": [{"nam": "x"}]}, "Agent.0.nam", "did you mean name"),
        ("POST R/records", {"Agnt": [{}]}, "Agnt", "did you mean Agent"),
        ("GET R/requests?status=abc", None, "status", 'received "abc"'),
        ("GET R/requests?operation=listAgnts", None, "operation", "did you mean listAgents"),
        (
            "GET R/requests?statu=200",
            None,
            "statu",
            "expected operation, status, status_class, limit, before or bodies; did you mean status?",
        ),
        ("GET R/clock?x=1", None, "x", "expected none"),
        (
            "PATCH R/clock",
            {},
            "body",
            "at least 1 property (received an object, expected at least 1 of frozen, now, speed)",
        ),
    ],
)
def test_error_states_what_was_received_and_expected(
    mock: ControlledMock, target: str, body: Any, field: str, expected: str
) -> None:
    method, _, path = target.replace("R/", "/sandboxes/default/").partition(" ")
    reply = mock.request(method, f"{CONTROL}{path}", body)
    assert reply.status == 422, reply.body
    (message,) = reply.json["errors"][field]
    assert expected in message
    assert len(message) < 500
