"""Sends the requests of a run, and records responses and created records."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Barrier
from typing import Any

from conformance import interrupts
from conformance.errors import (
    NO_MEMBER_TOKEN,
    NO_SECOND_TOKEN,
    NO_SEPARATE_CREDENTIAL,
    SkipCheck,
    SkipReason,
    SuiteError,
    not_testable,
    user_skipped,
)
from conformance.responses.findings import find_documented_content
from conformance.session.boolean_notation import BooleanNotation
from conformance.session.created_records import CreatedRecordFinder
from conformance.session.mutable_records import MutableRecords
from conformance.session.operation_lookup import NO_CREATE_OPERATION, OperationLookup
from conformance.session.options import EffectBudget, RunOptions
from conformance.session.response_log import ResponseLog
from conformance.session.tenant import TenantScope
from conformance.session.write_log import WriteLog
from conformance.transport.client import Target
from conformance.transport.credentials import OperationCredentials
from conformance.transport.messages import Actor, Exchange, Request, Response
from conformance.transport.retry import Retrier
from conformance.transport.wire_format import WireFormat
from spec.document import UNSAFE_METHODS
from spec.model import Operation

JSON_CONTENT = "/content/application~1json/"  # in the pointer of a schema


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the token of the run, one of several that are sent at once."""

    operation: Operation
    path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None


@dataclass(slots=True)
class TrackedClient:
    """Client of one run.

    `tenant`: restricts the run to one tenant. `mutable_records`: records of others that may be changed.
    `observed_delay`: the longest time that a write took to become visible.
    `wire_formats`: by operation id, of operations that need other requests than JSON below the base path.
    `credentials`: what the target adds to the requests of an operation.
    """

    operations: OperationLookup
    target: Target
    write_log: WriteLog
    created_records: CreatedRecordFinder
    responses: ResponseLog
    options: RunOptions = field(default_factory=RunOptions)
    effects: EffectBudget = field(default_factory=EffectBudget)
    tenant: TenantScope | None = None
    mutable_records: MutableRecords = field(default_factory=MutableRecords)
    retrier: Retrier = field(default_factory=Retrier)
    sleep: Callable[[float], None] = time.sleep
    wire_formats: Mapping[str, WireFormat] = field(default_factory=dict)
    credentials: OperationCredentials = field(default_factory=OperationCredentials)
    boolean_notation: BooleanNotation = field(default_factory=BooleanNotation)
    observed_delay: float = 0.0
    _pending_delay: float = 0.0
    _identities: dict[Actor, Mapping[str, Any] | SkipReason] = field(default_factory=dict)

    def send(
        self,
        operation: Operation,
        *,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | tuple[tuple[str, str], ...] = (),
        body: Any = None,
        raw: bytes | None = None,
        actor: Actor = Actor.OWNER,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Exchange:
        """Send one request. Writes are logged first, and lists are filtered by the tenant of the run.

        `query`: in a mapping, lists are repeated. Booleans are sent as `boolean_notation` has them. A signal interrupts
        a write only after its result is logged. Raises SkipCheck if the request is not allowed.
        """
        request = self._prepare(operation, path, query, body, raw, actor, headers, method)
        if request.method in UNSAFE_METHODS:
            with interrupts.deferred():
                return self._send(operation, request)
        return self._send(operation, request)

    def _send(self, operation: Operation, request: Request) -> Exchange:
        if self._pending_delay and request.method not in UNSAFE_METHODS:
            self.sleep(self._pending_delay)
            self._pending_delay = 0.0
        exchange = self._exchange(operation, request)
        query_in_other_notation = self.boolean_notation.reformat(operation, exchange)
        if request.method not in UNSAFE_METHODS and query_in_other_notation is not None:
            other = self._exchange(operation, replace(request, query=query_in_other_notation))
            exchange = other if other.response.ok else exchange
        self.boolean_notation.update(operation, exchange)
        if exchange.response.status == 429:  # after the target's own retries
            raise SkipCheck("got 429 (too many requests) after all retries: lower --rate-limit")
        self.responses.inspect(operation, exchange)
        self._log_result(operation, exchange)
        return exchange

    def _exchange(self, operation: Operation, request: Request) -> Exchange:
        exchange = Exchange(request, self.retrier.send(self.target, request, may_retry=not operation.effects))
        self.responses.record(operation, exchange)
        return exchange

    def send_together(self, calls: Sequence[Call]) -> list[Exchange]:
        """Send requests at once, each in its own thread; return the exchanges in the order of the calls.

        No request is retried after 5xx, and no response is inspected: they may differ from run to run. Raises SkipCheck
        if a request is not allowed, or has no response; then the records that others created are logged.
        """
        requests = [self._prepare(call.operation, path=call.path, query=call.query, body=call.body) for call in calls]
        exchanges, errors = [], []
        with interrupts.deferred():
            for call, request, outcome in zip(calls, requests, self._send_at_once(requests), strict=True):
                if isinstance(outcome, SuiteError):
                    errors.append(outcome)
                    continue
                exchanges.append(Exchange(request, outcome))
                self.responses.record(call.operation, exchanges[-1])
                self._log_result(call.operation, exchanges[-1])
        if errors:
            raise errors[0]
        if any(exchange.response.status == 429 for exchange in exchanges):
            raise SkipCheck("got 429 (too many requests) for requests sent at once")
        return exchanges

    def _send_at_once(self, requests: Sequence[Request]) -> list[Response | SuiteError]:
        """Send each request in its own thread; return the responses, or the errors instead, in the same order."""
        barrier = Barrier(len(requests))

        def send(request: Request) -> Response | SuiteError:
            barrier.wait()
            try:
                return self.target.send(request)
            except SuiteError as error:
                return error

        with ThreadPoolExecutor(len(requests)) as executor:
            return list(executor.map(send, requests))

    def _log_result(self, operation: Operation, exchange: Exchange) -> None:
        """Log the records that a successful write created; later reads wait until they are visible."""
        if exchange.response.ok and exchange.request.method in UNSAFE_METHODS:
            self.created_records.log_update(exchange)
            if exchange.request.method == operation.method:
                self.created_records.log_created(operation, exchange)
            self._pending_delay = self.observed_delay

    def _prepare(
        self,
        operation: Operation,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | tuple[tuple[str, str], ...] = (),
        body: Any = None,
        raw: bytes | None = None,
        actor: Actor = Actor.OWNER,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Request:
        """Build a request, and log it if it writes. Raises SkipCheck if it is not allowed."""
        self._check_is_allowed(operation, method or operation.method, path or {})
        if (
            actor in (Actor.OTHER_TENANT, Actor.MEMBER)
            and operation.security
            and not self.credentials.needs_token(operation.id)
        ):
            raise SkipCheck(NO_SEPARATE_CREDENTIAL)
        if self.tenant is not None and actor is Actor.OWNER and isinstance(query, Mapping):
            query = {**self.tenant.query_filter(operation), **query}
        pairs = tuple(_pairs(query)) if isinstance(query, Mapping) else query
        pairs = self.boolean_notation.format(operation, pairs)
        sent_headers = {**self._build_accept_header(operation), **(headers or {})}
        request = Request(
            operation.id,
            method or operation.method,
            operation.path,
            path or {},
            pairs,
            body,
            raw,
            actor,
            sent_headers,
            self.wire_formats.get(operation.id),
        )
        if request.method in UNSAFE_METHODS:
            unmarked_values = self.created_records.find_unmarked_values(operation, request)
            self.write_log.log_write(operation.id, request.target, request.token_actor, unmarked_values)
        if request.method == "delete":
            self.write_log.log_delete_request(request.target)
        return request

    def _build_accept_header(self, operation: Operation) -> Mapping[str, str]:
        """Accept any media type if the success response has no JSON; by default the target of the run asks for JSON."""
        pointer = operation.envelope.schema_pointer
        if pointer is None or JSON_CONTENT in pointer:
            return {}
        has_json = "application/json" in find_documented_content(self.responses.schemas, pointer)
        return {} if has_json else {"Accept": "*/*"}

    def _check_is_allowed(self, operation: Operation, method: str, path: Mapping[str, Any]) -> None:
        if operation.id in self.options.skipped_operations:
            raise SkipCheck(user_skipped(self.options.skipped_operations[operation.id]))
        key = self.mutable_records.keys.get(operation.resource or "")
        if method == "delete" and key is not None and str(key) in map(str, path.values()):
            reason = f"{NO_CREATE_OPERATION} {operation.resource}, and records of --mutable-record are not deleted"
            raise SkipCheck(not_testable(reason))

    def retrieve(self, resource: str, key: Any, *, actor: Actor = Actor.OWNER) -> Exchange:
        """Retrieve one record."""
        operation = self.operations.require(resource, "retrieve")
        return self.send(operation, path={operation.path_parameter_names[0]: key}, actor=actor)

    def charge_call(self, operation: Operation) -> None:
        """Count one call of an operation with external effects. Raises SkipCheck if it is not allowed."""
        self.effects.charge(operation, self.options, self.responses.count_successes(operation))

    def wait_until(self, find_problem: Callable[[], str], *, is_delay_of_write: bool = True) -> str:
        """Call `find_problem` until it returns "" or `consistency_timeout` seconds have passed; return its last result.

        The time needed is stored in `observed_delay`, and reads after later writes wait that long; not so if another
        cause is possible, such as a record that moves to another page.
        """
        timeout, waited, interval = self.options.consistency_timeout, 0.0, 0.25
        problem = find_problem()
        while problem and waited < timeout:
            self.sleep(min(interval, timeout - waited))
            waited, interval = waited + min(interval, timeout - waited), min(interval + 0.25, 1.0)
            problem = find_problem()
        if not problem and waited and is_delay_of_write:
            self.observed_delay = min(max(self.observed_delay, waited), timeout)
        return problem

    # Accounts

    def identity(self, actor: Actor = Actor.OWNER) -> Mapping[str, Any]:
        """Return the account of a token, as the target returns it. Raises SkipCheck."""
        if actor not in self._identities:
            self._identities[actor] = self._request_identity(actor)
        identity = self._identities[actor]
        if isinstance(identity, SkipReason):
            raise SkipCheck(identity)
        return identity

    def has_token(self, actor: Actor) -> bool:
        """Return whether the run has a token of an actor."""
        return actor in self.target.tokens

    def _request_identity(self, actor: Actor) -> Mapping[str, Any] | SkipReason:
        if not self.has_token(actor):
            return NO_MEMBER_TOKEN if actor is Actor.MEMBER else NO_SECOND_TOKEN
        contract = self.operations.contract
        for operation in contract.operations.values():
            if not contract.is_whoami(operation):
                continue
            exchange = self.send(operation, actor=actor)
            account = self.operations.data(operation, exchange)
            if exchange.response.ok and isinstance(account, dict):
                return account
            return SkipReason(f"{operation.id}: got {exchange.response.status}")
        return not_testable("the contract defines no operation that identifies the account of a token")


def _pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(int(item)) if isinstance(item, bool) else str(item)
