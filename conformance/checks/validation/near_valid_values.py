"""Checks of invalid input that looks valid: values of another type, days that do not exist."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.near_valid_values import (
    NearValidValue,
    combine_values,
    iter_body_values,
    iter_query_values,
)
from conformance.checks.support.values import select_least_certain, truncate
from conformance.errors import insufficient_data
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation
from spec.provenance import INFERRED

MAX_SEPARATE_REQUESTS = 40  # of one operation with one value each, if the target does not report every invalid field
Send = Callable[[Mapping[str, Any]], Exchange]


@dataclass(slots=True)
class _AcceptanceProbe:
    """Sends values of fields or parameters, and finds those that the target accepts.

    `accepted`: with the exchange of the value. `inconclusive`: values whose requests were not sent.
    """

    case: Case
    send: Send
    accepted: dict[str, list[tuple[NearValidValue, Exchange]]] = field(default_factory=dict)
    inconclusive: list[NearValidValue] = field(default_factory=list)
    separate_requests: int = 0

    def send_batch(self, values: Sequence[NearValidValue]) -> None:
        """Send values in one request, then those alone that the response does not report."""
        exchange = self.send(combine_values(values))
        if exchange.response.ok:
            for value in values:
                self._accept(value, exchange)
            return
        for value in values if len(values) > 1 else ():
            if self._is_reported(value, exchange):
                continue
            if self.separate_requests >= MAX_SEPARATE_REQUESTS:
                self.inconclusive.append(value)
                continue
            self.separate_requests += 1
            separate = self.send(combine_values([value]))
            if separate.response.ok:
                self._accept(value, separate)

    def _accept(self, value: NearValidValue, exchange: Exchange) -> None:
        self.accepted.setdefault(f"{value.name} {value.keyword}", []).append((value, exchange))

    def _is_reported(self, value: NearValidValue, exchange: Exchange) -> bool:
        """Whether a 422 has an error for a value itself, not only for the object or array that contains it."""
        errors = bad_requests.extract_field_errors(self.case, exchange) if exchange.response.status == 422 else None
        return any(f"{error}.".startswith(f"{value.name}.") for error in errors or ())


def _evaluate(case: Case, values: Sequence[NearValidValue], send: Send) -> Iterator[CheckResult]:
    """Send all values in batches; yield a result for each keyword of a field or parameter."""
    probe = _AcceptanceProbe(case, send)
    ordered = sorted(values, key=lambda value: value.batch)
    for _, group in groupby(ordered, key=lambda value: value.batch):
        probe.send_batch(list(group))
    subjects = {f"{value.name} {value.keyword}": value for value in reversed(values)}
    inconclusive = {f"{value.name} {value.keyword}" for value in probe.inconclusive}
    for subject, value in reversed(subjects.items()):
        accepted = probe.accepted.get(subject, [])
        reported = next((pair for pair in accepted if not pair[0].is_coercible), accepted[0] if accepted else None)
        requirement = _build_requirement(case, reported[0] if reported is not None else value, subject)
        if reported is not None:
            texts = ", ".join(dict.fromkeys(truncate(accepted_value.value) for accepted_value, _ in accepted))
            message = (
                f"{value.name} {texts} ({value.keyword}): got {reported[1].response.status}, expected a client error"
            )
            yield case.build_result(requirement, message, reported[1])
        elif subject in inconclusive:
            reason = f"stopped after {MAX_SEPARATE_REQUESTS} separate requests"
            reason += "; the 422 responses do not name every invalid field"
            yield case.skip(requirement, insufficient_data(reason))
        else:
            yield case.build_result(requirement, "")


def _build_requirement(case: Case, value: NearValidValue, subject: str) -> Any:
    """Build the requirement of a value; a value that many servers coerce is no violation of a documented fact."""
    rejection = (case.operation.responses[422] or case.operation.pointer, None)
    location = select_least_certain(case, (value.pointer, value.keyword), rejection)
    requirement = case.build_requirement(*location, parameter=subject)
    return replace(requirement, provenance=INFERRED) if value.is_coercible else requirement


def _has_tested_body(contract: Contract, operation: Operation) -> bool:
    return bool(operation.body_fields) and 422 in operation.responses and not operation.effects


@check(
    "near-valid-field-is-rejected",
    'A body field whose value has the wrong type or format but looks valid, such as `"5"` for `5`, is rejected.',
    Category.INPUT_VALIDATION,
    _has_tested_body,
    writes=True,
)
def check_near_valid_fields(case: Case) -> Iterator[CheckResult]:
    """Send such a value of each field in one request, then another one of each.

    An accepted update is followed by a retrieve, whose response is validated as each is.
    """
    bad_requests.require_allowed(case)
    session, operation = case.session, case.operation
    full_body = session.payloads.build(operation, session.records.parent)
    key = session.records.create(operation.resource or "").key if operation.action == "update" else None
    path = bad_requests.build_own_path(case) if key is None else {operation.path_parameter_names[0]: key}

    def send(values: Mapping[str, Any]) -> Exchange:
        exchange = session.client.send(operation, path=path, body={**full_body, **values})
        if exchange.response.ok and key is not None and session.operations.find(operation.resource or "", "retrieve"):
            session.client.retrieve(operation.resource or "", key)
        return exchange

    yield from _evaluate(case, list(iter_body_values(case)), send)


@check(
    "near-valid-parameter-is-rejected",
    "A query parameter whose value looks valid but is not, such as February 30, is rejected.",
    Category.INPUT_VALIDATION,
    lambda c, o: o.method in bad_requests.SAFE_METHODS and 422 in o.responses and bool(o.query_parameters),
)
def check_near_valid_parameters(case: Case) -> Iterator[CheckResult]:
    """Send such a value of each parameter in one request, then another one of each."""
    session, operation = case.session, case.operation
    path, required_query = bad_requests.build_readable_path(case), session.records.required_query(operation)

    def send(values: Mapping[str, Any]) -> Exchange:
        return session.client.send(operation, path=path, query={**required_query, **values})

    values = [value for parameter in operation.query_parameters for value in iter_query_values(case, parameter)]
    yield from _evaluate(case, values, send)
