"""The suite on contracts that nobody wrote a line of Python for: the mock serves them, and keeps what they say."""

from functools import cache
from pathlib import Path

import pytest

from conformance.checks import CHECKS
from conformance.results import Status
from conformance.runner.runner import run
from spec.document import parse_document
from spec.loader import parse_contract
from spec.validators import SchemaValidators
from tests.conformance.served import session
from tests.mock_server.athena import Api

FOREIGN = Path(__file__).parents[1] / "foreign"


@cache
def served(name: str) -> Api:
    """A foreign contract with a dozen of everything."""
    text = (FOREIGN / f"{name}.yaml").read_text(encoding="utf-8")
    # The museum requires of an exhibit in a circle of embedded ones what ends the circle.
    text = text.replace("required: [uuid, title, number, artists, artists_count]", "required: [uuid, title, number]")
    contract = parse_contract(parse_document(text.encode(), f"{name}.yaml"))
    return Api.of(contract, SchemaValidators.from_document(contract.document), "plain")


@pytest.mark.parametrize(("name", "share"), [("library", 0.85), ("museum", 0.75)])
def test_a_foreign_contract_is_judged_and_kept(name: str, share: float) -> None:
    api = served(name)
    api.begin_anew()
    made = session(api.app, api.contract, schemas=api.schemas)
    made.allow_effects = True
    made.sleep = lambda seconds: api.watch.wait(seconds=seconds)
    found = run(made, CHECKS, list(api.contract.operations.values()), lambda outcome: None)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in (*found.with_status(Status.FAILED), *found.flaky)]
    assert not [o.message for o in found.results if "fault of the suite" in o.message]
    assert not found.records_not_deleted
    kept, missed = (len(list(found.with_status(verdict))) for verdict in (Status.PASSED, Status.SKIPPED))
    assert kept / (kept + missed) >= share
