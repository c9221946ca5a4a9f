"""What a run sends, and what it notes of each answer: counts, breaches that it shows, records that were made."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import SkipCheck
from conformance.responses.findings import Finding, inspect_response
from conformance.responses.records import NestedRecord, RecordFinder
from conformance.session.coverage import Coverage
from conformance.session.mutable_records import MutableRecords
from conformance.session.payloads import PayloadFactory
from conformance.session.tenant import TenantScope
from conformance.session.write_log import RecordKey, WriteLog
from conformance.skip_reasons import (
    READ_ONLY,
    SkipCategory,
    SkipReason,
    effects_not_allowed,
    not_testable,
    user_skipped,
)
from conformance.transport.client import Target
from conformance.transport.messages import AUTHORIZATION, Exchange, Request
from conformance.transport.retry import Retrier
from spec.document import UNSAFE_METHODS
from spec.loader import Contract, Operation, Resource
from spec.validators import SchemaValidators

FindingKey = tuple[
    str, str, str, str | None, str
]  # operationId, law, place, keyword, parameter: one breach that was noticed
NO_CREATE_OPERATION = "the contract has no operation to create a"
MAX_NESTING = 30  # times that something is looked for again before it counts as not there


@dataclass(slots=True)
class TrackedClient:
    """What a run sends by.

    `call_counts`: (operationId, status) -> how often. `read_only`: nothing may be written. `allow_effects`: whether operations with
    outside effects may be used, and `max_effect_calls`: how often each of them, replays included. `credentials`: the
    account's own properties (login, secret) to sign in with. `consistency_timeout`: seconds after which a write must be seen by
    reads, `observed_delay`: seconds after which it was, as far as this run had to wait. `coverage`: notes what exchanges touch, if
    asked for. `skipped_operations`: operationId -> why it is never sent. `tenant`: the one that the run works in, where one was
    said. `mutable_records`: what it may change though it is not its own. `findings`: what answers showed by themselves, each
    breach with its first exchange. `retrier`: what failed only once.
    """

    contract: Contract
    schemas: SchemaValidators
    target: Target
    write_log: WriteLog
    payloads: PayloadFactory
    read_only: bool = False
    allow_effects: bool = False
    max_effect_calls: int = 1
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    consistency_timeout: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    observed_delay: float = 0.0
    call_counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    coverage: Coverage | None = None
    findings: dict[FindingKey, tuple[Finding, Exchange]] = field(default_factory=dict)
    skipped_operations: Mapping[str, str] = field(default_factory=dict)
    tenant: TenantScope | None = None
    mutable_records: MutableRecords = field(default_factory=MutableRecords)
    retrier: Retrier = field(default_factory=Retrier)
    _effect_calls: Counter[str] = field(default_factory=Counter)
    _pending_delay: float = 0.0

    def send(
        self,
        operation: Operation,
        *,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | tuple[tuple[str, str], ...] = (),
        body: Any = None,
        raw: bytes | None = None,
        actor: str = "self",
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Exchange:
        """Send one request. A mapping as query: lists are repeated, booleans are 1 and 0. Writes go into the ledger.

        A list is narrowed to the run's tenant. Raises CannotMake for what may not be sent.
        """
        self._check_is_allowed(operation, method or operation.method, path or {})
        if self.tenant is not None and actor == "self" and isinstance(query, Mapping):
            query = {**self.tenant.query_filter(operation), **query}
        pairs = tuple(_pairs(query)) if isinstance(query, Mapping) else query
        request = Request(
            operation.id, method or operation.method, operation.path, path or {}, pairs, body, raw, actor, headers or {}
        )
        if request.method in UNSAFE_METHODS:
            has_own_token = any(name.lower() == AUTHORIZATION.lower() for name in request.headers)
            self.write_log.log_write(operation.id, request.target, "nobody" if has_own_token else actor)
        elif self._pending_delay:
            self.sleep(self._pending_delay)
            self._pending_delay = 0.0
        exchange = Exchange(request, self.retrier.send(self.target, request, may_retry=not operation.effects))
        self.call_counts[operation.id, exchange.response.status] += 1
        if self.coverage is not None:
            self.coverage.record(operation, exchange)
        if exchange.response.status == 429:  # it was waited out by the target, in vain
            raise SkipCheck("the target answers 429, too many requests, however long it is waited: --rate-limit")
        for finding in inspect_response(self.schemas, operation, exchange):
            finding_key = (operation.id, finding.check, finding.pointer, finding.keyword, finding.parameter)
            self.findings.setdefault(finding_key, (finding, exchange))
        if exchange.response.ok and request.method in UNSAFE_METHODS:
            self._record_created(operation, exchange)
        return exchange

    def _check_is_allowed(self, operation: Operation, method: str, path: Mapping[str, Any]) -> None:
        if operation.id in self.skipped_operations:
            raise SkipCheck(user_skipped(self.skipped_operations[operation.id]))
        if method == "delete" and self.mutable_records.protects(operation.resource, path):
            raise SkipCheck(
                not_testable(f"{NO_CREATE_OPERATION} {operation.resource}, and one of --sacrifice is not deleted")
            )

    def _record_created(self, operation: Operation, exchange: Exchange) -> None:
        """Note the records that an answer shows as made, asked for or not, so that they are taken away again."""
        for nested in self.created_records(operation, exchange) if exchange.request.method == operation.method else ():
            created = RecordKey(
                nested.view.resource, nested.record[self.contract.resources[nested.view.resource].key_attribute]
            )
            if created not in self.write_log.created_records:
                self.write_log.log_created(created.resource, created.key)
        self._pending_delay = self.observed_delay

    def created_records(self, operation: Operation, exchange: Exchange) -> list[NestedRecord]:
        """The records that the answer to a POST shows as made: a 201's own, those that carry the run's marker, and
        those that lead to a record of the run, which nobody else knows."""
        if operation.method != "post":
            return []
        created: list[NestedRecord] = []
        for nested in self.records(operation, exchange, max_nesting=0):
            resource = self.contract.resources[nested.view.resource]
            key = nested.record.get(resource.key_attribute)
            if key is None:
                continue
            is_result = operation.envelope.status == 201 and operation.envelope.view_name is not None
            if (
                is_result
                or self._has_marker(resource, nested.record)
                or self._references_own_record(resource, nested.record, created)
            ):
                created.append(nested)
        return created

    def _has_marker(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        return any(self.payloads.marker in str(record.get(name, "")) for name in resource.attributes)

    def _references_own_record(self, resource: Resource, record: Mapping[str, Any], others: list[NestedRecord]) -> bool:
        own_records = {(m.resource, m.key) for m in self.write_log.created_records}
        own_records |= {
            (s.view.resource, s.record[self.contract.resources[s.view.resource].key_attribute]) for s in others
        }
        for relation in resource.relations.values():
            related = record.get(relation.name)
            if relation.is_stored and not relation.to_many and isinstance(related, dict) and len(relation.targets) == 1:
                target = self.contract.resources[relation.targets[0]]
                if (target.name, related.get(target.key_attribute)) in own_records:
                    return True
        return False

    def records(
        self, operation: Operation, exchange: Exchange, *, max_nesting: int = MAX_NESTING
    ) -> Iterator[NestedRecord]:
        """The records that a success shows; those in at most so many others."""
        pointer = operation.envelope.schema_pointer if exchange.response.ok else None
        if pointer is not None:
            records = RecordFinder(self.contract, self.schemas).records(pointer, exchange.response.json)
            yield from (record for record in records if record.nesting <= max_nesting)

    def charge_call(self, operation: Operation) -> None:
        """Count a use of an operation with outside effects that is meant to succeed. Raises CannotMake."""
        if self.read_only and operation.is_write:
            raise SkipCheck(READ_ONLY)
        if not operation.effects:
            return
        if not self.allow_effects:
            raise SkipCheck(effects_not_allowed(operation))
        succeeded = sum(
            n for (name, status), n in self.call_counts.items() if name == operation.id and 200 <= status < 300
        )
        calls = max(self._effect_calls[operation.id], succeeded)
        if calls >= self.max_effect_calls:
            message = f"{operation.id} was used {calls} times, as often as it may be: --max-expensive"
            raise SkipCheck(SkipReason(message, SkipCategory.DISABLED_BY_OPTION))
        self._effect_calls[operation.id] = calls + 1

    def refund_call(self, operation: Operation) -> None:
        """Take back a use that did nothing: the state of the record forbade it."""
        self._effect_calls[operation.id] -= bool(self._effect_calls[operation.id])

    def wait_until(self, find_problem: Callable[[], str]) -> str:
        """What `find_problem` finds wrong, or "": looked at again for `consistency_timeout` seconds, as a read may be behind a write.

        What was behind is noted, and later writes are given that time.
        """
        waited, interval = 0.0, 0.25
        problem = find_problem()
        while problem and waited < self.consistency_timeout:
            self.sleep(min(interval, self.consistency_timeout - waited))
            waited, interval = waited + min(interval, self.consistency_timeout - waited), min(interval + 0.25, 1.0)
            problem = find_problem()
        if not problem and waited:
            self.observed_delay = min(max(self.observed_delay, waited), self.consistency_timeout)
        return problem


def _pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(int(item)) if isinstance(item, bool) else str(item)
