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
    def is_valid(self) -> bool:
        """Whether the case was generated as valid."""
        return self.case.meta is None or self.case.meta.generation.mode.is_positive

    # Which cases a check applies to.

    def is_documented(self) -> bool:
        """Whether the case has the method of the operation."""
        return self.exchange.request.method == self.operation.method

    def is_valid_input(self) -> bool:
        return self.is_documented() and self.is_valid and self.case.meta is not None

    def is_invalid_input(self) -> bool:
        return self.is_documented() and not self.is_valid

    def has_headers(self) -> bool:
        definition = self.case.operation.responses.find_by_status_code(self.exchange.response.status)
        return self.is_documented() and definition is not None and bool(definition.headers)

    def misses_header(self) -> bool:
        data = self.case.meta.phase.data if self.case.meta else None
        return (
            isinstance(data, CoveragePhaseData)
            and data.scenario == CoverageScenario.MISSING_PARAMETER
            and data.parameter_location == ParameterLocation.HEADER
        )

    def is_authorized(self) -> bool:
        return self.operation.requires_auth and self.is_documented() and self.exchange.response.ok

    def uses_other_method(self) -> bool:
        return not self.is_documented() and self.case.method != "OPTIONS"

    def is_options_with_allow(self) -> bool:
        return self.case.method == "OPTIONS" and "allow" in self.exchange.response.headers

    def follows_case(self) -> bool:
        return self.is_documented() and self.recorder.find_parent(case_id=self.case.id) is not None

    def follows_delete(self) -> bool:
        related_cases = self.recorder.find_related(case_id=self.case.id)
        return self.follows_case() and any(case.method == "DELETE" for case in related_cases)


# Schemathesis check -> our response check with the same failures, which locates them.
RESPONSE_CHECKS: Mapping[str, str] = {
    "not_a_server_error": "no-server-error",
    "no_traceback": "no-traceback",
    "status_code_conformance": "status-is-documented",
    "content_type_conformance": "content-type-is-json",
    "response_schema_conformance": "response-matches-schema",
}


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """A Schemathesis check. `provenance_independent`: the requirement does not depend on a fact about the API."""

    name: str
    requirement: str
    applies_to: Callable[[SentCase], bool]
    provenance_independent: bool = False

    @property
    def check_id(self) -> str:
        return "engine-" + self.name.replace("_", "-")


_CHECKS = (
    EngineCheck("not_a_server_error", "No case causes a server error.", lambda case: True, True),
    EngineCheck("no_traceback", "No response exposes internal details.", lambda case: True, True),
    EngineCheck("status_code_conformance", "Every response has a documented status.", SentCase.is_documented),
    EngineCheck("content_type_conformance", "Every response has a documented media type.", SentCase.is_documented),
    EngineCheck(
        "response_schema_conformance", "Every response matches the schema of its status.", SentCase.is_documented
    ),
    EngineCheck("response_headers_conformance", "Responses have the documented headers.", SentCase.has_headers),
    EngineCheck("negative_data_rejection", "Invalid input is rejected.", SentCase.is_invalid_input),
    EngineCheck("positive_data_acceptance", "Valid input is not rejected as malformed.", SentCase.is_valid_input),
    EngineCheck("missing_required_header", "A missing required header is rejected.", SentCase.misses_header),
    EngineCheck("unsupported_method", "An undocumented method returns 405.", SentCase.uses_other_method),
    EngineCheck("allow_header_conformance", "Allow lists every documented method.", SentCase.is_options_with_allow),
    EngineCheck("use_after_free", "Later requests do not find a deleted record.", SentCase.follows_delete),
    EngineCheck("ensure_resource_availability", "Later requests find a created record.", SentCase.follows_case),
    EngineCheck(
        "ignored_auth", "No request succeeds without a token or with a wrong one.", SentCase.is_authorized, True
    ),
)
ENGINE_CHECKS: Mapping[str, EngineCheck] = {check.name: check for check in _CHECKS}
CHECKS_BY_RESPONSE_CHECK = {response_check: ENGINE_CHECKS[name] for name, response_check in RESPONSE_CHECKS.items()}
