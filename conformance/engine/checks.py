"""Schemathesis's checks as promises of ours: what each says, and of which cases it says something."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.case import Case
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario

from conformance.exchange import Exchange
from spec.contract import Operation


@dataclass(frozen=True, slots=True)
class Seen:
    """A case that was sent, within its scenario."""

    operation: Operation
    case: Case[Any]
    exchange: Exchange
    recorder: ScenarioRecorder

    @property
    def plain(self) -> bool:
        """Whether the contract knows the method."""
        return self.exchange.request.method == self.operation.method

    @property
    def valid(self) -> bool:
        """Whether the case is meant to fit the contract."""
        return self.case.meta is None or self.case.meta.generation.mode.is_positive


def _always(seen: Seen) -> bool:
    return True


def _plain(seen: Seen) -> bool:
    return seen.plain


def _accepts(seen: Seen) -> bool:
    return seen.plain and seen.valid and seen.case.meta is not None


def _rejects(seen: Seen) -> bool:
    return seen.plain and not seen.valid


def _headers(seen: Seen) -> bool:
    answer = seen.case.operation.responses.find_by_status_code(seen.exchange.response.status)
    return seen.plain and answer is not None and bool(answer.headers)


def _misses_a_header(seen: Seen) -> bool:
    data = seen.case.meta.phase.data if seen.case.meta else None
    return (
        isinstance(data, CoveragePhaseData)
        and data.scenario == CoverageScenario.MISSING_PARAMETER
        and data.parameter_location == ParameterLocation.HEADER
    )


def _secured(seen: Seen) -> bool:
    return seen.operation.requires_auth and seen.plain and seen.exchange.response.ok


def _other_method(seen: Seen) -> bool:
    return not seen.plain and seen.case.method != "OPTIONS"


def _options(seen: Seen) -> bool:
    return seen.case.method == "OPTIONS" and "allow" in seen.exchange.response.headers


def _after_another(seen: Seen) -> bool:
    return seen.plain and seen.recorder.find_parent(case_id=seen.case.id) is not None


def _after_a_delete(seen: Seen) -> bool:
    related = seen.recorder.find_related(case_id=seen.case.id)
    return _after_another(seen) and any(one.method == "DELETE" for one in related)


@dataclass(frozen=True, slots=True)
class Check:
    """A check. `told`: whether a breach shows in what notices of ours tell of any answer, so that they give its place.

    `applies`: whether it says something of a case. `always`: it rests on no fact of the API.
    """

    name: str
    sentence: str
    applies: Callable[[Seen], bool]
    always: bool = False
    told: str = ""

    @property
    def law(self) -> str:
        """Its name in reports."""
        return "engine-" + self.name.replace("_", "-")


CHECKS: Mapping[str, Check] = {
    check.name: check
    for check in (
        Check("not_a_server_error", "No case makes the server fail.", _always, True, "no-server-error"),
        Check("no_traceback", "No case is answered with what is inside of the server.", _always, True, "no-traceback"),
        Check(
            "status_code_conformance",
            "Every case is answered with a status that the contract documents.",
            _plain,
            told="status-is-documented",
        ),
        Check(
            "content_type_conformance",
            "Every case is answered in a media type that the contract documents.",
            _plain,
            told="content-type-is-json",
        ),
        Check(
            "response_schema_conformance",
            "Every case is answered as the schema of its status says.",
            _plain,
            told="answers-fit-the-schema",
        ),
        Check("response_headers_conformance", "Answers have the headers that the contract documents.", _headers),
        Check("negative_data_rejection", "What the contract does not admit is refused.", _rejects),
        Check("positive_data_acceptance", "What the contract admits is not refused as malformed.", _accepts),
        Check("missing_required_header", "A request without a required header is refused.", _misses_a_header),
        Check("unsupported_method", "A method that the contract does not know is answered 405.", _other_method),
        Check("allow_header_conformance", "What OPTIONS allows has every documented method.", _options),
        Check("use_after_free", "A deleted record is gone for what follows.", _after_a_delete),
        Check("ensure_resource_availability", "A created record is there for what follows.", _after_another),
        Check("ignored_auth", "Nothing succeeds without a token, or with a wrong one.", _secured, True),
    )
}
TOLD: Mapping[str, Check] = {check.told: check for check in CHECKS.values() if check.told}
