"""Overlays of contracts, and the triage of findings. `make test-backends` runs the backends themselves."""

from typing import Any

import pytest
import yaml

from tests.backends.contracts import build_contract
from tests.backends.definitions import BACKENDS, Backend
from tests.backends.findings import Triage, TriagedFailure, Verdict
from tests.backends.overlay import OverlayError, apply_overlay


def create_document() -> dict[str, Any]:
    parameters = [{"name": "a", "in": "query"}, {"name": "b", "in": "query"}]
    return {"paths": {"/a": {"get": {"parameters": parameters, "security": []}}, "/b": {"get": {"security": []}}}}


def apply(action: dict[str, Any]) -> dict[str, Any]:
    document = create_document()
    apply_overlay(document, {"actions": [action]})
    return document


def test_update_is_merged_recursively() -> None:
    document = apply({"target": "$.paths['/a']", "update": {"get": {"x-action": "list"}, "summary": "A"}})
    assert document["paths"]["/a"]["summary"] == "A"
    assert document["paths"]["/a"]["get"].keys() == {"parameters", "security", "x-action"}


def test_lists_are_appended() -> None:
    document = apply({"target": "$.paths['/a'].get", "update": {"parameters": [{"name": "c"}]}})
    assert [parameter["name"] for parameter in document["paths"]["/a"]["get"]["parameters"]] == ["a", "b", "c"]


def test_filter_selects_list_items() -> None:
    target = "$.paths['/a'].get.parameters[?@.name=='b']"
    assert apply({"target": target, "update": {"x": 1}})["paths"]["/a"]["get"]["parameters"][1]["x"] == 1
    assert len(apply({"target": target, "remove": True})["paths"]["/a"]["get"]["parameters"]) == 1


def test_wildcards_select_all_values() -> None:
    document = apply({"target": "$.paths.*.*.security", "remove": True})
    assert not any("security" in item["get"] for item in document["paths"].values())
    assert (
        apply({"target": "$.paths['/a'].get.parameters[*]", "remove": True})["paths"]["/a"]["get"]["parameters"] == []
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [("$.paths['/c']", "got no match, expected at least one"), ("$..get", "unsupported at '..get'")],
)
def test_target_without_a_match_or_meaning_is_an_error(target: str, message: str) -> None:
    with pytest.raises(OverlayError) as error:
        apply({"target": target, "remove": True})
    assert message in str(error.value)


def test_contract_has_the_paths_below_the_base_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    backend = Backend(
        name="example",
        registry=BACKENDS["chroma"].registry,
        packages=(),
        command=(),
        contract_path="/openapi.json",
        base_path="/v1/tenants/one",
        path_values={"tenant": "one"},
    )
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "example.yaml").write_text(yaml.safe_dump({"actions": []}))
    monkeypatch.setattr("tests.backends.definitions.FOLDER", tmp_path)
    operation = {"parameters": [{"name": "tenant", "in": "path"}, {"name": "id", "in": "path"}]}
    document = {"paths": {"/v1/tenants/{tenant}/notes/{id}": {"get": operation}, "/v1/version": {"get": {}}}}
    contract = build_contract(backend, document)
    assert contract["servers"] == [{"url": "/v1/tenants/one"}]
    assert contract["paths"] == {"/notes/{id}": {"get": {"parameters": [{"name": "id", "in": "path"}]}}}


def test_failure_without_a_finding_is_reported() -> None:
    failure = {"check": "model-list", "parameter": "name", "status": "failed", "blocking": True, "message": "got 1"}
    report = {"results": [{**failure, "operation": "listA"}, {**failure, "operation": "listB"}]}
    triage = Triage([TriagedFailure("model-*", "listA", "*", Verdict.TRUE, "500")])
    assert triage.count(report) == {"true": 1}
    assert triage.find_unknown(report) == ["blocking model-list listB name: got 1"]


@pytest.mark.parametrize("name", BACKENDS)
def test_findings_are_valid_and_none_is_a_false_alarm(name: str) -> None:
    findings = Triage.load(BACKENDS[name].findings).findings
    assert findings
    assert all(finding.note and finding.verdict is not Verdict.FALSE_ALARM for finding in findings)
