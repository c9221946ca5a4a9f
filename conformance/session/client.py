"""Sends the requests of a run and records call counts, findings and created records."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import (
    READ_ONLY,
    SkipCategory,
    SkipCheck,
    SkipReason,
    effects_not_allowed,
    not_testable,
    user_skipped,
)
from conformance.responses.findings import Finding, inspect_response
from conformance.responses.records import NestedRecord, RecordFinder
from conformance.session.coverage import Coverage
from conformance.session.mutable_records import MutableRecords
from conformance.session.payloads import PayloadFactory
from conformance.session.tenant import TenantScope
from conformance.session.write_log import RecordKey, WriteLog, is_key
from conformance.transport.client import Target
from conformance.transport.messages import AUTHORIZATION, Exchange, Request
from conformance.transport.retry import Retrier
from spec.document import UNSAFE_METHODS
from spec.model import Contract, Operation, Resource
from spec.validators import SchemaValidators

FindingKey = tuple[str, str, str, str | None, str]  # operationId, check, pointer, keyword, parameter
NO_CREATE_OPERATION = "the contract defines no operation to create a"
MAX_NESTING = 30


@dataclass(slots=True)
class TrackedClient:
    """Client of one run.

    `call_counts`: (operationId, status) -> number of responses. `allow_effects`: whether operations with external
    effects may be called; `max_effect_calls`: limit per such operation, replays included. `credentials`: attributes of
    the account (login, secret) to sign in with. `consistency_timeout`: seconds after which reads must reflect a write;
    `observed_delay`: the longest delay seen. `skipped_operations`: operationId -> reason. `tenant`: restricts the run
    to one tenant. `mutable_records`: records of others that may be changed. `findings`: contract violations seen in any
    response, each with its first exchange. `exploration_sequences`: sequences that the model explores for each
    resource; `reduction_requests`: limit for the search of the shortest sequence that shows a failure.
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
    exploration_sequences: int = 3
    reduction_requests: int = 200
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
        """Send one request. Writes are logged first, and lists are filtered by the tenant of the run.

        `query`: in a mapping, lists are repeated and booleans are sent as 1 and 0. Raises SkipCheck if the request is
        not allowed.
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
            self.write_log.log_write(operation.id, request.target, "anonymous" if has_own_token else actor)
        elif self._pending_delay:
            self.sleep(self._pending_delay)
            self._pending_delay = 0.0
        exchange = Exchange(request, self.retrier.send(self.target, request, may_retry=not operation.effects))
        self.call_counts[operation.id, exchange.response.status] += 1
        if self.coverage is not None:
            self.coverage.record(operation, exchange)
        if exchange.response.status == 429:  # after the target's own retries
            raise SkipCheck("got 429 (too many requests) after all retries: lower --rate-limit")
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
            reason = f"{NO_CREATE_OPERATION} {operation.resource}, and records of --mutable-record are not deleted"
            raise SkipCheck(not_testable(reason))

    def _record_created(self, operation: Operation, exchange: Exchange) -> None:
        """Log the records that a response shows as created, so that cleanup deletes them."""
        for nested in self.created_records(operation, exchange) if exchange.request.method == operation.method else ():
            created = self._key_of(nested)
            if created not in self.write_log.created_records:
                self.write_log.log_created(created.resource, created.key)
        self._pending_delay = self.observed_delay

    def created_records(self, operation: Operation, exchange: Exchange) -> list[NestedRecord]:
        """The records that the response to a POST shows as created: the result of a 201, records with the marker of the
        run, and records that refer to a record of the run.
        """
        if operation.method != "post":
            return []
        created: list[NestedRecord] = []
        for nested in self.records(operation, exchange, max_nesting=0):
            resource = self.contract.resources[nested.view.resource]
            key = nested.record.get(resource.key_attribute)
            if not is_key(key):
                continue
            is_result = operation.envelope.status == 201 and operation.envelope.view_name is not None
            if (
                is_result
                or self._has_marker(resource, nested.record)
                or self._references_own_record(resource, nested.record, created)
            ):
                created.append(nested)
        return created

    def _key_of(self, nested: NestedRecord) -> RecordKey:
        resource = self.contract.resources[nested.view.resource]
        return RecordKey(resource.name, nested.record[resource.key_attribute])

    def _has_marker(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        return any(self.payloads.marker in str(record.get(name, "")) for name in resource.attributes)

    def _references_own_record(self, resource: Resource, record: Mapping[str, Any], others: list[NestedRecord]) -> bool:
        own_records = {*self.write_log.created_records, *map(self._key_of, others)}
        for relation in resource.relations.values():
            related = record.get(relation.name)
            if relation.is_stored and not relation.to_many and isinstance(related, dict) and len(relation.targets) == 1:
                target = self.contract.resources[relation.targets[0]]
                key = related.get(target.key_attribute)
                if is_key(key) and RecordKey(target.name, key) in own_records:
                    return True
        return False

    def records(
        self, operation: Operation, exchange: Exchange, *, max_nesting: int = MAX_NESTING
    ) -> Iterator[NestedRecord]:
        """The records in a successful response that are nested in at most `max_nesting` other records."""
        pointer = operation.envelope.schema_pointer if exchange.response.ok else None
        if pointer is not None:
            records = RecordFinder(self.contract, self.schemas).records(pointer, exchange.response.json)
            yield from (record for record in records if record.nesting <= max_nesting)

    def charge_call(self, operation: Operation) -> None:
        """Count one call of an operation with external effects. Raises SkipCheck if it is not allowed."""
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
            message = f"{operation.id} was called {calls} times, the limit of --max-effect-calls"
            raise SkipCheck(SkipReason(message, SkipCategory.DISABLED_BY_OPTION))
        self._effect_calls[operation.id] = calls + 1

    def refund_call(self, operation: Operation) -> None:
        """Undo `charge_call`: the call had no effect because of the state of the record."""
        self._effect_calls[operation.id] -= bool(self._effect_calls[operation.id])

    def wait_until(self, find_problem: Callable[[], str], *, is_delay_of_write: bool = True) -> str:
        """Call `find_problem` until it returns "" or `consistency_timeout` seconds have passed; returns its last
        result.

        The time needed is stored in `observed_delay`, and reads after later writes wait that long; not so if another
        cause is possible, such as a record that moves to another page.
        """
        waited, interval = 0.0, 0.25
        problem = find_problem()
        while problem and waited < self.consistency_timeout:
            self.sleep(min(interval, self.consistency_timeout - waited))
            waited, interval = waited + min(interval, self.consistency_timeout - waited), min(interval + 0.25, 1.0)
            problem = find_problem()
        if not problem and waited and is_delay_of_write:
            self.observed_delay = min(max(self.observed_delay, waited), self.consistency_timeout)
        return problem


def _pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(int(item)) if isinstance(item, bool) else str(item)
