"""The one place that drives Schemathesis: schema, settings, and the events that its engine tells."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.configuration
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.filters import FilterSet
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext
from schemathesis.specs.openapi.schemas import OpenApiSchema
from schemathesis.transport import BaseTransport
from typing_extensions import override

from conformance.engine.depth import PHASES, Depth
from conformance.engine.wire import PLACEHOLDER, Wire
from conformance.exchange import AUTHORIZATION
from conformance.notice import SERVER_STATUSES
from spec.contract import Operation

# Laws judge the other methods; these two harm nobody when a target takes them after all.
OTHER_METHODS = ["GET", "OPTIONS"]
# What says of a request that it is not as the contract wants it.
NOT_AS_DUE = frozenset({400, 405, 406, 415, 422})
# There is one identity that the engine may speak as, and how fast is right the contract does not say.
NOT_ASKED = ("object_level_authorization",)


@dataclass(eq=False, repr=False)
class Wired(OpenApiSchema):
    """A schema whose requests go over the wire."""

    wire: Wire = field(kw_only=True)

    @property
    @override
    def transport(self) -> BaseTransport[Any]:
        """The wire."""
        return self.wire


def schema_of(wire: Wire, operations: Sequence[Operation], seed: int, depth: Depth) -> Wired:
    """The contract as Schemathesis sees it, with the operations that it is to judge."""
    load_all_checks()
    raw = copy.deepcopy(dict(wire.session.contract.document.root))
    said = settings(wire.session.contract.operations.values(), operations, seed, depth)
    config = SchemathesisConfig.from_dict(said).projects.get(raw)
    schema = Wired(
        raw_schema=raw, config=config, filter_set=config.operations.filter_set_with(include=FilterSet()), wire=wire
    )

    @schema.hook
    def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
        return case.id not in wire.held

    return schema


def settings(known: Iterable[Operation], operations: Sequence[Operation], seed: int, depth: Depth) -> dict[str, Any]:
    """Schemathesis's settings: seeded, no files, no network of its own, statuses from the contract."""
    return {
        "seed": seed,
        "workers": 1,
        "continue-on-failure": True,
        "cache": {"enabled": False},
        "headers": {AUTHORIZATION: PLACEHOLDER},
        "max-redirects": 0,
        "warnings": False,
        "analysis": {"constants": {"enabled": False}},
        "suppress-health-check": ["all"],
        "generation": {
            "max-examples": depth.examples,
            "database": "none",
            "no-shrink": True,
            "allow-x00": False,
        },
        "phases": {
            **{name: {"enabled": name in depth.phases} for name in PHASES},
            "coverage": {"enabled": "coverage" in depth.phases, "unexpected-methods": OTHER_METHODS},
            "stateful": {"enabled": "stateful" in depth.phases, "max-steps": depth.steps},
        },
        "checks": {name: {"enabled": False} for name in NOT_ASKED},
        "operations": [
            {"include-operation-id": one.id, "enabled": one in operations, "checks": expected(one)} for one in known
        ],
    }


def expected(operation: Operation) -> dict[str, Any]:
    """The statuses that checks take, from what the contract documents; its own are wider than any contract."""
    refusals = {status for status in operation.responses if 400 <= status < 500} | {400, 404, 422} | SERVER_STATUSES
    accepted = [str(status) for status in range(100, 600) if status not in NOT_AS_DUE]
    refused = sorted(str(status) for status in refusals)
    return {
        "not_a_server_error": {"expected-statuses": ["1XX", "2XX", "3XX", "4XX", "502", "503", "504"]},
        "positive_data_acceptance": {"expected-statuses": accepted},
        # a fault of the server is told as such
        "negative_data_rejection": {"expected-statuses": [*refused, "5XX"]},
        "missing_required_header": {"expected-statuses": refused},
    }


@contextmanager
def no_files() -> Iterator[None]:
    """Lets Hypothesis write what it cannot leave out to a folder that is gone afterwards."""
    before = hypothesis.configuration.__hypothesis_home_directory
    with TemporaryDirectory() as folder:
        hypothesis.configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            hypothesis.configuration.set_hypothesis_home_dir(before)


def scenarios(schema: Wired) -> Iterator[ScenarioRecorder]:
    """What the engine did, piece by piece. Raises what ended the run: of the suite's own, or KeyboardInterrupt."""
    wire = schema.wire
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            yield event.recorder
        if wire.ended is not None:
            raise wire.ended
        if isinstance(event, events.Interrupted):
            raise KeyboardInterrupt
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            wire.troubles.append((event.label, event.value))
