"""Contradictions block although the contract only infers the requirement; other meanings of inferred parts do not."""

from typing import Any

import pytest

from conformance.checks.registry import CHECKS
from conformance.model.comparison import is_other_value
from conformance.mutation.faults import change_value, ignore_parameters, on_success, set_status
from conformance.results import Status
from tests.conformance.support.clinic import inject_fault, mutant, run_checks
from tests.conformance.support.clinic_faults import AppWrapper, accept_server_set_fields, drop_field

BY_ID = {check.id: check for check in CHECKS}


def find_kinds(check: str, operation: str, fault: AppWrapper) -> dict[str, bool]:
    """Parameter of each failure -> whether it is a contradiction."""
    failures = run_checks([BY_ID[check]], [operation], fault).with_status(Status.FAILED)
    return {failure.requirement.parameter: failure.is_contradiction for failure in failures}


show_first_day = change_value(lambda _: "2026-01-01T00:00:00Z", ("data", "updated_at"))
NOT_FOUND = inject_fault(on_success(lambda _, response: set_status(404)(response)), "retrievePatient")
CONTRADICTIONS = {
    "sent value is not stored": ("model-create", "createPatient", inject_fault(drop_field("story"), "createPatient")),
    "created record is not found": ("model-create", "createPatient", NOT_FOUND),
    "deleted record is retrieved": ("model-delete", "deletePatient", mutant("delete/deletePatient/deletes nothing")),
    "wrong total": ("model-list", "listPatients", mutant("page-meta/listPatients/total wrong")),
    "row twice": ("model-list", "listPatients", mutant("page/listPatients/shows a row twice")),
    "created record is lost": ("model-create", "createPatient", mutant("create/createPatient/lost")),
    "filter loses rows": ("model-list", "listPatients", mutant("filter/listPatients/insured incomplete")),
    "creation time of the request is stored": (
        "model-create",
        "createWard",
        inject_fault(accept_server_set_fields, "createWard", "retrieveWard"),
    ),
    "computed count of the request is stored": (
        "server-owned-property-not-assignable",
        "updatePatient",
        mutant("mass-assignment/updatePatient/stores treatments_count"),
    ),
    "update time does not advance, that of another resource does": (
        "updated-timestamp-advances",
        "updateTreatment",
        inject_fault(show_first_day, "retrieveTreatment", "updateTreatment"),
    ),
    "row lost": ("model-list", "listPatients", mutant("page/listPatients/misses its last row")),
}
GAPS = {
    "text in capitals": ("model-create", "createPatient", inject_fault(change_value(str.upper, ("data", "name")))),
    "no update time advances": ("updated-timestamp-advances", "updateTreatment", inject_fault(show_first_day)),
    "filter not implemented": (
        "model-list",
        "listPatients",
        inject_fault(ignore_parameters("insured"), "listPatients"),
    ),
    "search not implemented": (
        "model-list",
        "listWards",
        inject_fault(ignore_parameters("search"), "listWards"),
    ),
    "range not implemented": (
        "model-list",
        "listPatients",
        inject_fault(ignore_parameters("born_from"), "listPatients"),
    ),
    "relations not implemented": (
        "model-list",
        "listPatients",
        inject_fault(ignore_parameters("with"), "listPatients"),
    ),
    "counts not implemented": (
        "model-list",
        "listPatients",
        inject_fault(ignore_parameters("with_count"), "listPatients"),
    ),
    "pages not implemented": ("model-list", "listPatients", mutant("page/listPatients/ignored")),
    "sort not implemented": ("model-list", "listPatients", inject_fault(ignore_parameters("sort"), "listPatients")),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_failure_with_both_sides_observed_is_a_contradiction(name: str) -> None:
    assert any(find_kinds(*CONTRADICTIONS[name]).values())


@pytest.mark.parametrize("name", GAPS)
def test_other_meaning_of_an_inferred_part_is_no_contradiction(name: str) -> None:
    kinds = find_kinds(*GAPS[name])
    assert kinds
    assert not any(kinds.values()), kinds


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        *[("  Ada Lovelace ", "Ada Lovelace"), ("Ada", "ADA"), ("<b>Ada</b> L", "Ada L"), ("Adé", "Ade")],
        *[("x" * 300, "x" * 255), ("", None), ("2026-03-01T10:00:00.5Z", "2026-03-01T10:00:00Z")],
        *[("2026-03-01T10:00:00+02:00", "2026-03-01T10:00:00"), (1.234, 1.23), (10, "10.00"), (5, 5.4)],
        *[
            ("2026-03-01T10:00:00+02:00", "2026-03-01T10:00:00.000000Z"),
            ("2026-03-01T10:00:00.5+02:00", "2026-03-01T10:00:00Z"),
        ],
        *[("2026-03-01T10:00:00+02:00", "2026-03-01T08:00:00Z"), ("x 👋", "x wave"), ("x?", "x??")],
        *[(0.125, 0.13), (1234567.89, 1234567.88), ([{"a": 1}], [{"a": 1, "id": 5}])],
        *[([{"a": 1}, {"a": 2}], [{"a": 2}, {"a": 1}])],
        *[({"a": 1, "b": 2}, {"a": 1}), ([], None), (None, "new"), (["b", "a"], ["a", "b"]), (["a", "a"], ["a"])],
    ],
)
def test_normalized_value_is_the_same_value(sent: Any, returned: Any) -> None:
    assert not is_other_value(sent, returned)


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        *[
            ("Ada", "Grace"),
            ("äöü", "???"),
            ("Ada", None),
            ("Ada", ""),
            (5, 6),
            (True, False),
            (5, None),
            ([1, 2], [1]),
        ],
        ({"a": 1}, {"a": 2}),
        *[("2026-03-01T10:00:00Z", "2025-03-01T10:00:00Z"), ("2026-03-01T10:00:00+02:00", "2026-03-01T12:00:00Z")],
        *[(["b"], ["a"]), (["a", "b"], ["a"]), (["a"], ["a", "b"]), (2.25, 2), (0.5, 0)],
        *[(0.25, 0.3), (19.99, 20.0), (12345.67, 12345.7), ({"a": [0.25]}, {"a": [0.3]})],
        *[([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}]), ([{"a": True}], [{"a": False, "id": 1}])],
        *[("ok 👋", "ok ?"), ("ok 👋 then", "ok"), ("zażółć", "za????")],
    ],
)
def test_other_value_contradicts_the_request(sent: Any, returned: Any) -> None:
    assert is_other_value(sent, returned)
