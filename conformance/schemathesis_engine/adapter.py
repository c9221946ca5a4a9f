"""Adapter to Schemathesis: its schema, its settings and the events of its engine."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.filters import FilterSet
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext
from schemathesis.openapi.checks import MissingHeaderNotRejected
from schemathesis.specs.openapi.schemas import OpenApiSchema
from schemathesis.transport import BaseTransport
from typing_extensions import override

from conformance.responses.findings import SERVER_STATUSES
from conformance.schemathesis_engine import PHASES, Depth
from conformance.schemathesis_engine.time_limit import limit_time
from conformance.schemathesis_engine.transport import PLACEHOLDER_TOKEN, CaseTransport
from conformance.transport.messages import AUTHORIZATION
from spec.model import Operation

# Safe if the target accepts them after all; our own checks cover the other methods.
UNDOCUMENTED_METHODS = ["GET", "OPTIONS"]
INVALID_REQUEST_STATUSES = frozenset({400, 405, 406, 415, 422})  # the request violates the contract
# The engine has one identity only.
DISABLED_CHECKS = ("object_level_authorization",)


@dataclass(eq=False, repr=False)
class TransportSchema(OpenApiSchema):
    """A schema that sends its requests with `case_transport`."""

    case_transport: CaseTransport = field(kw_only=True)

    @property
    @override
    def transport(self) -> BaseTransport[Any]:
        return self.case_transport


def build_schema(transport: CaseTransport, operations: Sequence[Operation], seed: int, depth: Depth) -> TransportSchema:
    """Build the Schemathesis schema of the contract with the operations to run."""
    load_all_checks()
    raw = copy.deepcopy(dict(transport.session.contract.document.root))
    contract, credentials = transport.session.contract, transport.session.client.credentials
    raw_settings = build_settings(contract.operations.values(), operations, seed, depth)
    formats = [part.format for operation_id in contract.operations for part in credentials.find(operation_id)]
    headers = {part.format.name.lower() for name in contract.operations for part in credentials.find(name)}
    # The transport adds other credentials to every case. The invalid value for an API key may be a valid one.
    if not all(created.is_authorization and created.prefix for created in formats):
        raw_settings["checks"]["ignored_auth"] = {"enabled": False}
    config = SchemathesisConfig.from_dict(raw_settings).projects.get(raw)
    schema = TransportSchema(
        raw_schema=raw,
        config=config,
        filter_set=config.operations.filter_set_with(include=FilterSet()),
        case_transport=transport,
    )

    @schema.hook
    def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
        return case.id not in transport.block_reasons and not _is_sent_credential(failure, headers)

    return schema


def _is_sent_credential(failure: Failure, headers: set[str]) -> bool:
    """Whether a failure is about a missing API key, which the transport adds. `headers`: of credentials, lower-case."""
    return isinstance(failure, MissingHeaderNotRejected) and failure.header_name.lower() in headers


def build_settings(
    all_operations: Iterable[Operation], operations: Sequence[Operation], seed: int, depth: Depth
) -> dict[str, Any]:
    """Build the Schemathesis settings: seeded, without files, with the statuses of the contract."""
    return {
        "seed": seed,
        "workers": 1,
        "continue-on-failure": True,
        "cache": {"enabled": False},
        "headers": {AUTHORIZATION: PLACEHOLDER_TOKEN},
        "max-redirects": 0,
        "warnings": False,
        "analysis": {"constants": {"enabled": False}},
        "suppress-health-check": ["all"],
        "generation": {"max-examples": depth.max_examples, "database": "none", "no-shrink": True, "allow-x00": False},
        "phases": {
            **{name: {"enabled": name in depth.phases} for name in PHASES},
            "coverage": {"enabled": "coverage" in depth.phases, "unexpected-methods": UNDOCUMENTED_METHODS},
            "stateful": {"enabled": "stateful" in depth.phases, "max-steps": depth.max_steps},
        },
        "checks": {name: {"enabled": False} for name in DISABLED_CHECKS},
        "operations": [
            {"include-operation-id": o.id, "enabled": o in operations, "checks": build_check_settings(o)}
            for o in all_operations
        ],
    }


def build_check_settings(operation: Operation) -> dict[str, Any]:
    """Build the statuses that checks accept from the contract; the defaults accept more."""
    documented = {status for status in operation.responses if 400 <= status < 500}
    rejection_statuses = documented | {400, 404, 422} | SERVER_STATUSES
    has_cursor = any(p.x_query and p.x_query.role == "cursor" for p in operation.query_parameters)
    rejected = () if has_cursor else INVALID_REQUEST_STATUSES  # a server issues its cursors, and may reject all others
    accepted_texts = [str(status) for status in range(100, 600) if status not in rejected]
    rejection_texts = sorted(str(status) for status in rejection_statuses)
    return {
        "not_a_server_error": {"expected-statuses": ["1XX", "2XX", "3XX", "4XX", "502", "503", "504"]},
        "positive_data_acceptance": {"expected-statuses": accepted_texts},
        # not_a_server_error reports server errors
        "negative_data_rejection": {"expected-statuses": [*rejection_texts, "5XX"]},
        "missing_required_header": {"expected-statuses": rejection_texts},
    }


def run_scenarios(schema: TransportSchema, seconds_left: Callable[[], float] | None) -> Iterator[ScenarioRecorder]:
    """Run the engine; yield its scenarios. Raises the SuiteError or KeyboardInterrupt that aborts the run.

    `seconds_left`: until the deadline of the run; None: there is none.
    """
    transport, stream = schema.case_transport, from_schema(schema).execute()
    for event in iter(stream) if seconds_left is None else limit_time(stream, seconds_left):
        if isinstance(event, events.ScenarioFinished):
            yield event.recorder
        if transport.abort_error is not None:
            raise transport.abort_error
        if isinstance(event, events.Interrupted):
            raise KeyboardInterrupt
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            transport.engine_errors.append((event.label, event.value))
