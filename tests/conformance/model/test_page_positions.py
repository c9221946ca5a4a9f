"""Lists with an offset or a cursor, with signed sort names or without a direction: the model finds faults in them."""

from pathlib import Path
from typing import Any

import pytest

from conformance.model.checks import model_list
from conformance.mutation.fault_injection import FaultInjector, InterceptedRequest
from conformance.mutation.faults import MakeFault, change_json, change_request, ignore_parameters
from conformance.results import CheckResult, Status
from conformance.runner.runner import run
from tests.conformance.support.asgi_session import session
from tests.contracts.served_contract import ServedContract

FOLDER = Path(__file__).parents[2] / "contracts" / "parameters"


def find_failures(name: str, make_fault: MakeFault | None) -> list[CheckResult]:
    served = ServedContract.create(FOLDER / name)
    app = FaultInjector.create(served.app, served.contract, make_fault(), ["listTasks"]) if make_fault else served.app
    check_session = session(app, served.contract)
    check_session.update_options(consistency_timeout=0.0)
    operations = [served.contract.operations["listTasks"]]
    return list(run(check_session, [model_list], operations, lambda result: None).with_status(Status.FAILED))


def add_to_offset(request: InterceptedRequest) -> InterceptedRequest:
    values = request.parameter_values("offset")
    return request.with_parameters({"offset": int(values[-1]) + 1}) if values and values[-1] != "0" else request


def drop_sign(request: InterceptedRequest) -> InterceptedRequest:
    values = request.parameter_values("sort")
    return request.with_parameters({"sort": values[-1].removeprefix("-")}) if values else request


def shuffle_rows(request: InterceptedRequest, body: Any) -> Any:
    rows = body["items"]
    return {**body, "items": [*rows[1::2], *rows[::2]]} if request.parameter_values("sort") else body


@pytest.mark.parametrize("name", ["pages-by-offset.yaml", "pages-by-cursor.yaml"])
def test_sound_list_passes(name: str) -> None:
    assert find_failures(name, None) == []


@pytest.mark.parametrize(
    ("name", "fault", "parameter", "is_contradiction"),
    [
        ("pages-by-offset.yaml", change_request(add_to_offset), "pages", True),
        ("pages-by-offset.yaml", ignore_parameters("offset"), "pages", False),
        ("pages-by-offset.yaml", change_request(drop_sign), "sort=-title", False),
        ("pages-by-offset.yaml", change_json(lambda _, body: {**body, "more": True}), "has-more", False),
        ("pages-by-cursor.yaml", ignore_parameters("cursor"), "pages", False),
        ("pages-by-cursor.yaml", change_json(lambda _, body: {**body, "next": None}), "pages", False),
        ("pages-by-cursor.yaml", change_json(shuffle_rows), "sort=title", False),
    ],
)
def test_fault_is_found(name: str, fault: MakeFault, parameter: str, *, is_contradiction: bool) -> None:
    failures = {failure.requirement.parameter: failure.is_contradiction for failure in find_failures(name, fault)}
    assert parameter in failures, failures
    assert failures[parameter] or not is_contradiction
