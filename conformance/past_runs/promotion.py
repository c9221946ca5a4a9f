"""From what a run kept to edits of the contract: inferred places that were judged are confirmed, with their evidence.

A place is confirmed when a promise that rests on it was kept by an operation that succeeded in the run, and none that
rests on it was broken. Only the place itself: what stands in it and has no grade of its own keeps the one it had.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.contract_edits.yaml_patch import Edit
from conformance.past_runs.report_reader import PastReport, ReportedFailure
from spec.document import LITERAL_KEYWORDS
from spec.loader import Contract
from spec.provenance import DOCUMENTED_KEYWORDS, EXAMPLE_KEYWORDS, INFERRED, get_provenance

CONFIRMED = "confirmed"
CONFIRMABLE_PREFIXES = ("#/paths/", "#/components/")
MAX_NAMED_CHECKS = 6  # laws that an evidence names
OPERATION_PARTS = ("parameters", "requestBody")  # what an operation holds that has grades, answers apart


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Edits, how many places they confirm, and why others were left out -> how many."""

    edits: tuple[Edit, ...]
    confirmed_count: int
    excluded_counts: Mapping[str, int]


def build_confirmation(contract: Contract, report: PastReport) -> Confirmation:
    """What a run's report lets be confirmed in the contract that it was made with."""
    passed: dict[tuple[str, str], list[ReportedFailure]] = {}
    excluded_counts: dict[str, int] = {}
    failed_pointers = {failure.pointer for failure in report.failures()}
    for result in report.results:
        if result.status != "kept" or result.provenance != INFERRED:
            continue
        reason = _exclusion_reason(contract, report, result, failed_pointers)
        if reason:
            excluded_counts[reason] = excluded_counts.get(reason, 0) + 1
        else:
            passed.setdefault((result.pointer, result.keyword), []).append(result)
    edits: list[Edit] = []
    for pointer in dict.fromkeys(pointer for pointer, _ in passed):
        results_by_keyword = {
            keyword: results for (result_pointer, keyword), results in passed.items() if result_pointer == pointer
        }
        edits += _location_edits(contract, pointer, results_by_keyword, report)
    return Confirmation(tuple(edits), len(passed), excluded_counts)


def _exclusion_reason(
    contract: Contract, report: PastReport, result: ReportedFailure, failed_pointers: set[str]
) -> str:
    """Why a kept promise confirms nothing, or ""."""
    if not any(200 <= status < 300 for status in report.statuses.get(result.operation, ())):
        return "its operation did not succeed in the run"
    if result.pointer in failed_pointers:
        return "another promise that rests on the place was broken"
    node = contract.document.resolve(result.pointer)
    if not isinstance(node, dict) or not result.pointer.startswith(CONFIRMABLE_PREFIXES):
        return "its place is no operation, parameter, answer or schema"
    if "$ref" in node:
        return "its place is a reference: what that leads to has a grade"
    if "operationId" in node and result.keyword:
        return "it rests on a part of an operation, whose grade is one word"
    if get_provenance(contract.document, result.pointer, result.keyword or None) != INFERRED:
        return "it rests on one keyword of its place, which the report does not name"
    return ""


def _location_edits(
    contract: Contract, pointer: str, results_by_keyword: Mapping[str, list[ReportedFailure]], report: PastReport
) -> Iterator[Edit]:
    """Confirm a place, or some of its keywords, and hold what stands in it."""
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
    """The grades of a place by keyword; one word where nothing in it has to be held."""
    current = node.get("x-source")
    provenance_by_keyword = (
        dict(current)
        if isinstance(current, dict)
        else {}
        if "" in results_by_keyword or current is None
        else {"*": current}
    )
    if "" in results_by_keyword:
        provenance_by_keyword |= {
            name: INFERRED for name in _inheriting_keywords(node) if name not in provenance_by_keyword
        }
        provenance_by_keyword = {"*": CONFIRMED} | {
            name: provenance for name, provenance in provenance_by_keyword.items() if name != "*"
        }
    provenance_by_keyword |= {keyword: CONFIRMED for keyword in results_by_keyword if keyword}
    return CONFIRMED if provenance_by_keyword == {"*": CONFIRMED} else provenance_by_keyword


def _inheriting_keywords(node: Mapping[str, Any]) -> Iterator[str]:
    """The keywords of a place that would take its grade over, for themselves or for what stands under them."""
    is_parameter = isinstance(node.get("in"), str) and isinstance(node.get("name"), str)
    for name, value in node.items():
        is_place = isinstance(value, (dict, list)) and not name.startswith("x-")
        if not is_place or (is_parameter and name == "schema"):
            continue
        if name in EXAMPLE_KEYWORDS | DOCUMENTED_KEYWORDS or (name not in LITERAL_KEYWORDS and isinstance(value, dict)):
            yield name


def _preserve_provenance(contract: Contract, pointer: str, node: Mapping[str, Any]) -> Iterator[Edit]:
    """An operation's grade is one word: what it holds is told its grade at its own place."""
    for name in OPERATION_PARTS:
        child = node.get(name)
        pointers = [f"{pointer}/{name}"] if isinstance(child, dict) else []
        pointers += [f"{pointer}/{name}/{index}" for index in range(len(child))] if isinstance(child, list) else []
        for child_pointer in pointers:
            child_node = contract.document.resolve(child_pointer)
            current = child_node.get("x-source")
            if "$ref" not in child_node and (current is None or (isinstance(current, dict) and "*" not in current)):
                yield Edit(child_pointer, "x-source", INFERRED if current is None else {"*": INFERRED} | current)


def _describe_evidence(report: PastReport, results: list[ReportedFailure]) -> str:
    """Which run kept what."""
    checks = sorted({f"{result.check} ({result.operation})" for result in results})
    suffix = f" and {len(checks) - MAX_NAMED_CHECKS} more" if len(checks) > MAX_NAMED_CHECKS else ""
    return f"run {report.run_id} kept {', '.join(checks[:MAX_NAMED_CHECKS])}{suffix}"


def proposal_edits(report: PastReport) -> Iterator[Edit]:
    """What the report proposes for its gaps: broken each time, and resting on inferred places. Raises CannotEdit."""
    emitted: set[str] = set()
    for result in report.results:
        proposal = result.proposal if isinstance(result.proposal, dict) else {}
        if result.status == "broken" and result.provenance == INFERRED:
            for edit in map(Edit.from_document, proposal.get("edits") or ()):
                if repr(edit) not in emitted:
                    emitted.add(repr(edit))
                    yield edit
