"""What all responses of a run show: counts, coverage, and violations of the contract."""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain

from conformance.responses.findings import Finding, inspect_response
from conformance.responses.sums import SumRule, inspect_sums
from conformance.session.coverage import Coverage
from conformance.transport.messages import Exchange
from spec.model import Operation
from spec.validators import SchemaValidators

FindingKey = tuple[str, str, str, str | None, str]  # operationId, check, pointer, keyword, parameter


@dataclass(slots=True)
class ResponseLog:
    """Records responses.

    `call_counts`: (operationId, status) -> number of responses. `findings`: contract violations, each with its first
    exchange. `sums`: properties of responses that are the sum of others.
    """

    schemas: SchemaValidators
    coverage: Coverage | None = None
    sums: tuple[SumRule, ...] = ()
    call_counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: dict[FindingKey, tuple[Finding, Exchange]] = field(default_factory=dict)

    def record(self, operation: Operation, exchange: Exchange) -> None:
        """Record one response, except its findings."""
        self.call_counts[operation.id, exchange.response.status] += 1
        if self.coverage is not None:
            self.coverage.record(operation, exchange)

    def inspect(self, operation: Operation, exchange: Exchange) -> None:
        """Record the contract violations of a response."""
        findings = chain(inspect_response(self.schemas, operation, exchange), inspect_sums(self.sums, exchange))
        for finding in findings:
            finding_key = (operation.id, finding.check, finding.pointer, finding.keyword, finding.parameter)
            self.findings.setdefault(finding_key, (finding, exchange.as_evidence()))

    def count_successes(self, operation: Operation) -> int:
        """Return the number of successful responses of an operation."""
        calls = self.call_counts.items()
        return sum(count for (name, status), count in calls if name == operation.id and 200 <= status < 300)

    def new(self) -> "ResponseLog":
        """Create a log with the same coverage and no responses, for a rerun."""
        return replace(self, call_counts=Counter(), findings={})
