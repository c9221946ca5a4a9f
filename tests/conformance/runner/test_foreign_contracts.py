"""All checks on other contracts, which the mock serves without contract-specific code."""

from functools import cache

import pytest

from conformance.checks.registry import CHECKS
from conformance.errors import SkipCategory
from conformance.results import Status
from conformance.runner.runner import run
from spec.document import parse_document
from spec.loader import parse_contract
from spec.validators import SchemaValidators
from tests.conformance.support.asgi_session import session
from tests.conformance.support.check_runner import CHECKS_BY_ID
from tests.mock_process import ROOT
from tests.mock_server.athena import Api

FOREIGN = ROOT / "tests" / "foreign"


@cache
def serve(name: str) -> Api:
    """Serve another contract with generated data."""
    text = (FOREIGN / f"{name}.yaml").read_text(encoding="utf-8")
    # In circular embeddings the museum omits properties that its contract requires.
    text = text.replace("required: [uuid, title, number, artists, artists_count]", "required: [uuid, title, number]")
    contract = parse_contract(parse_document(text.encode(), f"{name}.yaml"))
    return Api.create(contract, SchemaValidators.from_document(contract.document), "plain")


@pytest.mark.parametrize(("name", "share"), [("library", 0.85), pytest.param("museum", 0.75, marks=pytest.mark.slow)])
def test_all_checks_pass_on_another_contract(name: str, share: float) -> None:
    api = serve(name)
    api.reset()
    contract_session = session(api.app, api.contract, schemas=api.schemas)
    contract_session.update_options(allow_effects=True)
    contract_session.client.sleep = lambda seconds: api.clock.advance(seconds=seconds)
    run_result = run(contract_session, CHECKS, list(api.contract.operations.values()), lambda outcome: None)
    assert not [
        f"{o.requirement.fingerprint}: {o.message}" for o in (*run_result.with_status(Status.FAILED), *run_result.flaky)
    ]
    assert not [o.message for o in run_result.results if "fault of the suite" in o.message]
    assert not run_result.records_not_deleted
    passed, skipped = (len(list(run_result.with_status(status))) for status in (Status.PASSED, Status.SKIPPED))
    assert passed / (passed + skipped) >= share


@pytest.mark.parametrize(
    ("name", "operation_id", "category"),
    [("museum", "createRoom", SkipCategory.NOT_TESTABLE), ("library", "createBook", None)],
)
def test_errors_by_field_are_not_testable_without_a_schema_for_them(
    name: str, operation_id: str, category: SkipCategory | None
) -> None:
    api = serve(name)
    api.reset()
    operation, checks = api.contract.operations[operation_id], [CHECKS_BY_ID["all-invalid-fields-reported"]]
    contract_session = session(api.app, api.contract, schemas=api.schemas)
    (result,) = run(contract_session, checks, [operation], lambda outcome: None).results
    assert result.status is (Status.SKIPPED if category else Status.PASSED)
    assert category in (None, result.skip_category)
