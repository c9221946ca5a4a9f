"""The model of the contract: states after writes, values of reads, and what query parameters mean."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.checks.support.values import contains
from conformance.model.comparison import Comparison
from conformance.model.queries import evaluate_condition, find_inversion, read_row
from conformance.model.specification import UNKNOWN, Model, ModelRecord, _merge_objects
from spec.extensions import QueryExtension
from spec.loader import load_contract
from spec.model import Contract, Parameter
from tests.mock_process import ROOT

CLINIC = load_contract(ROOT / "tests" / "foreign" / "clinic.yaml")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["C"])),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
)


def create(model: Model, operation_id: str, key: Any, **body: Any) -> ModelRecord:
    operation = model.contract.operations[operation_id]
    return model.create(operation, operation.resource or "", key, body)


def parameter(role: str, *paths: str, operator: str = "eq") -> Parameter:
    extension = QueryExtension(role, tuple(tuple(path.split(".")) for path in paths), operator)
    return Parameter("p", "query", False, {}, True, "form", False, extension, None, "#")


@pytest.fixture
def clinic() -> Contract:
    return CLINIC


def test_create_stores_sent_values_and_defaults(clinic: Contract) -> None:
    record = create(Model(clinic), "createPatient", "k", name="Rex")
    assert record.attributes["name"] == "Rex"
    patient = clinic.resources["Patient"]
    defaults = {n: a.default for n, a in patient.attributes.items() if a.has_default and n in record.attributes}
    assert defaults
    assert {name: record.attributes[name] for name in defaults} == defaults


def test_update_changes_only_sent_fields(clinic: Contract) -> None:
    model = Model(clinic)
    record = create(model, "createPatient", "k", name="Rex")
    before = dict(record.attributes)
    model.update(record, clinic.operations["updatePatient"], {})
    assert record.attributes == before
    model.update(record, clinic.operations["updatePatient"], {"name": "Max"})
    assert record.attributes == {**before, "name": "Max"}


def test_delete_is_restricted_by_a_referring_record(clinic: Contract) -> None:
    model = Model(clinic)
    ward = create(model, "createWard", "w", name="A")
    patient = create(model, "createPatient", "p", name="Rex", ward_uuid="w")
    restriction = model.find_restriction(ward)
    assert restriction is not None
    assert restriction[0] is patient


def test_delete_cascades_to_referring_records(clinic: Contract) -> None:
    model = Model(clinic)
    patient = create(model, "createPatient", "p", name="Rex")
    treatment = create(model, "createTreatment", "t", patient_uuid="p", reason="check")
    other = create(model, "createTreatment", "u", patient_uuid="q", reason="check")
    assert model.delete(patient) == [patient, treatment]
    assert treatment.is_deleted
    assert not other.is_deleted


def test_count_follows_creates_deletes_and_moves(clinic: Contract) -> None:
    model = Model(clinic)
    first, second = (create(model, "createPatient", key, name="Rex") for key in ("p", "q"))
    count = first.resource.derived_properties["treatments_count"]
    treatment = create(model, "createTreatment", "t", patient_uuid="p", reason="check")
    assert [model.evaluate(record, count) for record in (first, second)] == [1, 0]
    treatment.references["patient"] = second.id
    assert [model.evaluate(record, count) for record in (first, second)] == [0, 1]
    model.delete(treatment)
    assert [model.evaluate(record, count) for record in (first, second)] == [0, 0]


def test_relations_of_a_foreign_record_are_unknown(clinic: Contract) -> None:
    model = Model(clinic)
    record = ModelRecord(clinic.resources["Patient"], "p", is_foreign=True)
    model.records[record.id] = record
    assert model.evaluate(record, record.resource.derived_properties["treatments_count"]) is UNKNOWN


def test_mismatch_names_the_property_and_adoption_ends_it(clinic: Contract) -> None:
    model = Model(clinic)
    record = create(model, "createPatient", "p", name="Rex", story="old")
    view, comparison = clinic.views_by_resource["Patient"][0], Comparison(model)
    body = {"uuid": "p", "name": "Max", "story": "old"}
    assert [mismatch.name for mismatch in comparison.mismatches(view, record, body)] == ["name"]
    comparison.adopt(view, record, body)
    assert list(comparison.mismatches(view, record, body)) == []


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_blank_text_may_be_returned_as_null(clinic: Contract, text: str) -> None:
    model = Model(clinic)
    record = create(model, "createPatient", "p", name="Rex", story=text)
    view, comparison = clinic.views_by_resource["Patient"][0], Comparison(model)
    assert list(comparison.mismatches(view, record, {"story": None})) == []
    assert [m.name for m in comparison.mismatches(view, record, {"story": "x"})] == ["story"]


@given(JSON)
def test_every_value_matches_itself(value: Any) -> None:
    assert contains(value, value)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3), JSON)
def test_objects_may_have_additional_keys(value: dict[str, Any], extra: Any) -> None:
    assert contains(value, {**value, "additional key": extra})


@pytest.mark.parametrize(
    ("expected", "actual", "result"),
    [
        ("a ", "a", True),
        (0.1, 0.1000000001, True),
        (2.5, 2, False),
        (1, 1.0, True),
        (1, True, False),
        (None, "", False),
        ([1, 2], [2, 1], False),
        ({"a": 1}, {}, False),
        ("2026-01-15T10:30:00Z", "2026-01-15T11:30:00+01:00", True),
    ],
)
def test_values_match_in_another_notation(expected: Any, actual: Any, result: bool) -> None:
    assert contains(expected, actual) is result


@pytest.mark.parametrize(
    ("condition", "value", "row", "result"),
    [
        (parameter("filter", "a"), 0, {"a": 0}, True),
        (parameter("filter", "a"), 0, {"a": None}, False),
        (parameter("filter", "a"), False, {"a": True}, False),
        (parameter("filter", "a"), [1, 2], {"a": 2}, True),
        (parameter("filter", "a.b"), "x", {"a": {"b": "x"}}, True),
        (parameter("filter", "a.b"), "x", {}, None),
        (parameter("filter", "a", operator="from"), "2026-01-15", {"a": "2026-01-15T00:00:00Z"}, True),
        (parameter("filter", "a", operator="to"), "2026-01-14", {"a": "2026-01-15T00:00:00Z"}, False),
        (parameter("filter", "a", operator="exists"), True, {"a": []}, False),
        (parameter("search", "a", "b"), "BETA", {"a": None, "b": "alpha beta"}, True),
        (parameter("search", "a"), "bet", {"a": "alphabet"}, None),
        (parameter("search", "a", "b"), "beta alpha", {"a": "alpha", "b": "beta"}, None),
        (parameter("search", "a"), "beta gamma", {"a": "alpha beta"}, False),
        (parameter("search", "a"), "50%", {"a": "50x"}, False),
        (parameter("search", "a"), "", {"a": "x"}, True),
        (parameter("sort"), "a", {}, True),
    ],
)
def test_row_satisfies_a_condition(condition: Parameter, value: Any, row: dict[str, Any], result: bool | None) -> None:
    assert evaluate_condition(condition, value, read_row(row)) is result


@given(st.lists(st.integers() | st.none()))
def test_sorted_numbers_have_no_inversion(values: list[int | None]) -> None:
    ordered = sorted(values, key=lambda value: (value is not None, value or 0))
    assert find_inversion(ordered, descending=False) is None
    assert find_inversion(ordered[::-1], descending=True) is None


@given(st.lists(st.integers(), min_size=2, unique=True))
def test_numbers_in_the_wrong_order_have_an_inversion(values: list[int]) -> None:
    assert find_inversion(sorted(values), descending=True) is not None


def test_texts_that_collations_order_differently_have_no_inversion() -> None:
    assert find_inversion(["b", "A", "a"], descending=False) == ("b", "A")
    assert find_inversion(["a", "B"], descending=False) is None
    assert find_inversion(["B", "a"], descending=False) is None


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"a": {"x": 2}}, {"a": {"x": 2}, "other": 1}),  # of the nested object, only keys with a default are kept
        ({"other": 2}, {"a": {"x": 1, "y": 0}, "other": 2}),
    ],
)
def test_merged_object_keeps_nested_keys_with_a_default(sent: dict[str, Any], expected: dict[str, Any]) -> None:
    default, before = {"a": {"x": 0}}, {"a": {"x": 1, "y": 0}, "other": 1}
    assert _merge_objects(default, before, sent) == expected
