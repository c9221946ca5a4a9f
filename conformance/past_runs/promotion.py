"""Confirmation of inferred parts of the contract by the report of a run.

A location is confirmed if a check of it passed on an operation that succeeded, and no check of it failed. Nested parts
that inherit the provenance of the location keep their previous level.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.contract_edits.yaml_patch import Edit
from conformance.gate.verdict import join_names
from conformance.past_runs.report_reader import PastReport, ReportedResult
from spec.document import LITERAL_KEYWORDS
from spec.model import Contract
from spec.provenance import DOCUMENTED_KEYWORDS, EXAMPLE_KEYWORDS, INFERRED, get_provenance

CONFIRMED = "confirmed"
CONFIRMABLE_PREFIXES = ("#/paths/", "#/components/")
MAX_NAMED_CHECKS = 6  # in the evidence
OPERATION_PARTS = ("parameters", "requestBody")  # parts of an operation with a provenance, except responses


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Edits that confirm locations. `excluded_counts`: reason why passed checks confirm nothing -> their number."""

    edits: tuple[Edit, ...]
    confirmed_count: int
    excluded_counts: Mapping[str, int]


def build_confirmation(contract: Contract, report: PastReport) -> Confirmation:
    """Build the edits that a report justifies. `contract`: the contract that the run used."""
    passed: dict[str, dict[str, list[ReportedResult]]] = {}  # pointer -> keyword -> results
    excluded_counts: Counter[str] = Counter()
    failed_pointers = {failure.pointer for failure in report.failures()}
    for result in report.results:
        if result.status != "passed" or result.provenance != INFERRED:
            continue
        reason = _exclusion_reason(contract, report, result, failed_pointers)
        if reason:
            excluded_counts[reason] += 1
        else:
            passed.setdefault(result.pointer, {}).setdefault(result.keyword, []).append(result)
    edits: list[Edit] = []
    for pointer, by_keyword in passed.items():
        edits += _build_location_edits(contract, pointer, by_keyword, report)
    return Confirmation(tuple(edits), sum(map(len, passed.values())), excluded_counts)


def _exclusion_reason(contract: Contract, report: PastReport, result: ReportedResult, failed_pointers: set[str]) -> str:
    """Return why a passed check confirms nothing, or ""."""
    if not any(200 <= status < 300 for status in report.statuses.get(result.operation, ())):
        return "the operation did not succeed in the run"
    if result.pointer in failed_pointers:
        return "another check of the location failed"
    node = contract.document.resolve(result.pointer)
    if not isinstance(node, dict) or not result.pointer.startswith(CONFIRMABLE_PREFIXES):
        return "the location is not an operation, parameter, response or schema"
    if "$ref" in node:
        return "the location is a reference; its target has the provenance"
    if "operationId" in node and result.keyword:
        return "the requirement is a keyword of an operation, which has no provenance per keyword"
    if get_provenance(contract.document, result.pointer, result.keyword or None) != INFERRED:
        return "the requirement is one keyword of the location, which the report does not name"
    return ""


def _build_location_edits(
    contract: Contract, pointer: str, results_by_keyword: Mapping[str, list[ReportedResult]], report: PastReport
) -> Iterator[Edit]:
    """Yield the edits that confirm a location, or some of its keywords, and preserve the provenance of nested parts.

    `results_by_keyword`: passed results by the keyword that they require; "" if they require the location itself.
    """
    node = contract.document.resolve(pointer)
    if "operationId" in node:
        yield Edit(pointer, "x-source", CONFIRMED)
        yield from _preserve_provenance(contract, pointer, node)
    else:
        yield Edit(pointer, "x-source", _confirmed_provenance(contract, pointer, node, results_by_keyword))
    results = [result for keyword_results in results_by_keyword.values() for result in keyword_results]
    yield Edit(pointer, "x-evidence", {"date": report.started[:10], "found": _describe_evidence(report, results)})


def _confirmed_provenance(
    contract: Contract, pointer: str, node: Mapping[str, Any], results_by_keyword: Mapping[str, Any]
) -> Any:
    """Return the new `x-source`: one level per keyword, or a single level if it applies to all."""
    current = node.get("x-source")
    levels = dict(current) if isinstance(current, dict) else {} if current is None else {"*": current}
    if "" in results_by_keyword:  # confirm all but what nested parts would inherit
        if not isinstance(current, dict):
            levels = {}
        levels |= {name: levels.get(name, INFERRED) for name in _inheriting_keywords(node)}
        levels = {"*": CONFIRMED} | {name: level for name, level in levels.items() if name != "*"}
    levels |= {keyword: CONFIRMED for keyword in results_by_keyword if keyword}
    return CONFIRMED if levels == {"*": CONFIRMED} else levels


def _inheriting_keywords(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keywords that would inherit the provenance of the location, for themselves or for nested parts."""
    is_parameter = isinstance(node.get("in"), str) and isinstance(node.get("name"), str)
    for name, value in node.items():
        is_nested = isinstance(value, (dict, list)) and not name.startswith("x-")
        if not is_nested or (is_parameter and name == "schema"):
            continue
        if name in EXAMPLE_KEYWORDS | DOCUMENTED_KEYWORDS or (name not in LITERAL_KEYWORDS and isinstance(value, dict)):
            yield name


def _preserve_provenance(contract: Contract, pointer: str, node: Mapping[str, Any]) -> Iterator[Edit]:
    """Yield edits that set the provenance of the parts of an operation, which has a single level."""
    for name in OPERATION_PARTS:
        child = node.get(name)
        pointers = [f"{pointer}/{name}"] if isinstance(child, dict) else []
        pointers += [f"{pointer}/{name}/{index}" for index in range(len(child))] if isinstance(child, list) else []
        for child_pointer in pointers:
            child_node = contract.document.resolve(child_pointer)
            current = child_node.get("x-source")
            if "$ref" not in child_node and (current is None or (isinstance(current, dict) and "*" not in current)):
                yield Edit(child_pointer, "x-source", INFERRED if current is None else {"*": INFERRED} | current)


def _describe_evidence(report: PastReport, results: list[ReportedResult]) -> str:
    checks = sorted({f"{result.check} ({result.operation})" for result in results})
    return f"run {report.run_id} passed {join_names(checks, MAX_NAMED_CHECKS)}"


def proposal_edits(report: PastReport) -> Iterator[Edit]:
    """Yield the edits proposed for contract gaps that failed in each rerun, without duplicates. Raises EditError."""
    edits: dict[str, Edit] = {}
    for result in report.results:
        proposal = result.proposal if isinstance(result.proposal, dict) else {}
        if result.is_recurring and result.provenance == INFERRED:
            for edit in map(Edit.from_document, proposal.get("edits") or ()):
                edits.setdefault(repr(edit), edit)
    yield from edits.values()
