"""The Schemathesis checks: the requirement of each, and the cases that it applies to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.case import Case
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario

from conformance.transport.messages import Exchange
from spec.model import Operation


@dataclass(frozen=True, slots=True)
class SentCase:
    """A sent case and its scenario."""

    operation: Operation
    case: Case[Any]
    exchange: Exchange
    recorder: ScenarioRecorder

    @property
    def is_documented_method(self) -> bool:
        """Whether the case uses the method of its operation."""
        return self.exchange.request.method == self.operation.method

    @property
    def is_valid(self) -> bool:
        """Whether the case was generated as valid."""
        return self.case.meta is None or self.case.meta.generation.mode.is_positive


def _applies_always(sent_case: SentCase) -> bool:
    return True


def _uses_documented_method(sent_case: SentCase) -> bool:
    return sent_case.is_documented_method


def _is_valid_case(sent_case: SentCase) -> bool:
    return sent_case.is_documented_method and sent_case.is_valid and sent_case.case.meta is not None


def _is_invalid_case(sent_case: SentCase) -> bool:
    return sent_case.is_documented_method and not sent_case.is_valid


def _has_documented_headers(sent_case: SentCase) -> bool:
    response_definition = sent_case.case.operation.responses.find_by_status_code(sent_case.exchange.response.status)
    return sent_case.is_documented_method and response_definition is not None and bool(response_definition.headers)


def _misses_required_header(sent_case: SentCase) -> bool:
    data = sent_case.case.meta.phase.data if sent_case.case.meta else None
    return (
        isinstance(data, CoveragePhaseData)
        and data.scenario == CoverageScenario.MISSING_PARAMETER
        and data.parameter_location == ParameterLocation.HEADER
    )


def _is_authorized_success(sent_case: SentCase) -> bool:
    return sent_case.operation.requires_auth and sent_case.is_documented_method and sent_case.exchange.response.ok


def _uses_other_method(sent_case: SentCase) -> bool:
    return not sent_case.is_documented_method and sent_case.case.method != "OPTIONS"


def _is_options_with_allow(sent_case: SentCase) -> bool:
    return sent_case.case.method == "OPTIONS" and "allow" in sent_case.exchange.response.headers


def _follows_other_case(sent_case: SentCase) -> bool:
    return sent_case.is_documented_method and sent_case.recorder.find_parent(case_id=sent_case.case.id) is not None


def _follows_delete(sent_case: SentCase) -> bool:
    related_cases = sent_case.recorder.find_related(case_id=sent_case.case.id)
    return _follows_other_case(sent_case) and any(case.method == "DELETE" for case in related_cases)


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """A Schemathesis check. `response_check`: our response check with the same failures, which locates them.

    `provenance_independent`: the requirement does not depend on a fact about the API.
    """

    name: str
    requirement: str
    applies_to: Callable[[SentCase], bool]
    provenance_independent: bool = False
    response_check: str = ""

    @property
    def check_id(self) -> str:
        """The check id in reports."""
        return "engine-" + self.name.replace("_", "-")


ENGINE_CHECKS: Mapping[str, EngineCheck] = {
    check.name: check
    for check in (
        EngineCheck("not_a_server_error", "No case causes a server error.", _applies_always, True, "no-server-error"),
        EngineCheck("no_traceback", "No response exposes internal details.", _applies_always, True, "no-traceback"),
        EngineCheck(
            "status_code_conformance",
            "Every response has a documented status.",
            _uses_documented_method,
            False,
            "status-is-documented",
        ),
        EngineCheck(
            "content_type_conformance",
            "Every response has a documented media type.",
            _uses_documented_method,
            False,
            "content-type-is-json",
        ),
        EngineCheck(
            "response_schema_conformance",
            "Every response matches the schema of its status.",
            _uses_documented_method,
            False,
            "response-matches-schema",
        ),
        EngineCheck("response_headers_conformance", "Responses have the documented headers.", _has_documented_headers),
        EngineCheck("negative_data_rejection", "Invalid input is rejected.", _is_invalid_case),
        EngineCheck("positive_data_acceptance", "Valid input is not rejected as malformed.", _is_valid_case),
        EngineCheck("missing_required_header", "A missing required header is rejected.", _misses_required_header),
        EngineCheck("unsupported_method", "An undocumented method returns 405.", _uses_other_method),
        EngineCheck("allow_header_conformance", "Allow lists every documented method.", _is_options_with_allow),
        EngineCheck("use_after_free", "Later requests do not find a deleted record.", _follows_delete),
        EngineCheck("ensure_resource_availability", "Later requests find a created record.", _follows_other_case),
        EngineCheck(
            "ignored_auth", "No request succeeds without a token or with a wrong one.", _is_authorized_success, True
        ),
    )
}
CHECKS_BY_RESPONSE_CHECK: Mapping[str, EngineCheck] = {
    check.response_check: check for check in ENGINE_CHECKS.values() if check.response_check
}
