"""What a run sends, and what it notes of each answer: counts, breaches that it shows, records that were made."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.bodies import Bodies
from conformance.cause import READ_ONLY, Cause, Reason, effects, no_way, skipped
from conformance.coverage import Coverage
from conformance.errors import CannotMake
from conformance.exchange import BEARER, Exchange, Request
from conformance.ledger import Ledger, Made
from conformance.notice import Notice, notices
from conformance.sacrifice import Sacrifices
from conformance.shown import Finder, Shown
from conformance.steady import Steady
from conformance.target import Target
from conformance.tenant import Tenant
from spec.contract import Contract, Operation, Resource
from spec.document import UNSAFE_METHODS
from spec.schemas import SchemaValidators

At = tuple[str, str, str, str | None, str]  # operationId, law, place, keyword, parameter: one breach that was noticed
NONE_TO_CREATE = "the contract has no operation to create a"
SLOWEST = 30  # times that something is looked for again before it counts as not there


@dataclass(slots=True)
class Sender:
    """What a run sends by.

    `seen`: (operationId, status) -> how often. `read_only`: nothing may be written. `effects`: whether operations with
    outside effects may be used, and `max_expensive`: how often each of them, replays included. `credentials`: the
    account's own properties (login, secret) to sign in with. `settle`: seconds after which a write must be seen by
    reads, `lag`: seconds after which it was, as far as this run had to wait. `coverage`: notes what exchanges touch, if
    asked for. `skipped`: operationId -> why it is never sent. `tenant`: the one that the run works in, where one was
    said. `sacrifices`: what it may change though it is not its own. `noticed`: what answers showed by themselves, each
    breach with its first exchange. `steady`: what failed only once.
    """

    contract: Contract
    schemas: SchemaValidators
    target: Target
    ledger: Ledger
    bodies: Bodies
    read_only: bool = False
    effects: bool = False
    max_expensive: int = 1
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    settle: float = 5.0
    pause: Callable[[float], None] = time.sleep
    lag: float = 0.0
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    coverage: Coverage | None = None
    noticed: dict[At, tuple[Notice, Exchange]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    tenant: Tenant | None = None
    sacrifices: Sacrifices = field(default_factory=Sacrifices)
    steady: Steady = field(default_factory=Steady)
    _spent: Counter[str] = field(default_factory=Counter)
    _owed: float = 0.0

    def send(
        self,
        operation: Operation,
        *,
        path: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | tuple[tuple[str, str], ...] = (),
        body: Any = None,
        raw: bytes | None = None,
        as_: str = "self",
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Exchange:
        """Send one request. A mapping as query: lists are repeated, booleans are 1 and 0. Writes go into the ledger.

        A list is narrowed to the run's tenant. Raises CannotMake for what may not be sent.
        """
        self._check_may_be_sent(operation, method or operation.method, path or {})
        if self.tenant is not None and as_ == "self" and isinstance(query, Mapping):
            query = {**self.tenant.query(operation), **query}
        pairs = tuple(_pairs(query)) if isinstance(query, Mapping) else query
        request = Request(
            operation.id, method or operation.method, operation.path, path or {}, pairs, body, raw, as_, headers or {}
        )
        if request.method in UNSAFE_METHODS:
            given = any(name.lower() == BEARER.lower() for name in request.headers)
            self.ledger.writing(operation.id, request.target, "nobody" if given else as_)
        elif self._owed:
            self.pause(self._owed)
            self._owed = 0.0
        exchange = Exchange(request, self.steady.ask(self.target, request, again=not operation.effects))
        self.seen[operation.id, exchange.response.status] += 1
        if self.coverage is not None:
            self.coverage.note(operation, exchange)
        if exchange.response.status == 429:  # it was waited out by the target, in vain
            raise CannotMake("the target answers 429, too many requests, however long it is waited: --rate-limit")
        for notice in notices(self.schemas, operation, exchange):
            at = (operation.id, notice.law, notice.pointer, notice.keyword, notice.parameter)
            self.noticed.setdefault(at, (notice, exchange))
        if exchange.response.ok and request.method in UNSAFE_METHODS:
            self._wrote(operation, exchange)
        return exchange

    def _check_may_be_sent(self, operation: Operation, method: str, path: Mapping[str, Any]) -> None:
        if operation.id in self.skipped:
            raise CannotMake(skipped(self.skipped[operation.id]))
        if method == "delete" and self.sacrifices.protects(operation.resource, path):
            raise CannotMake(no_way(f"{NONE_TO_CREATE} {operation.resource}, and one of --sacrifice is not deleted"))

    def _wrote(self, operation: Operation, exchange: Exchange) -> None:
        """Note the records that an answer shows as made, asked for or not, so that they are taken away again."""
        for shown in self.made_by(operation, exchange) if exchange.request.method == operation.method else ():
            made = Made(shown.view.resource, shown.record[self.contract.resources[shown.view.resource].key_attribute])
            if made not in self.ledger.made:
                self.ledger.created(made.resource, made.key)
        self._owed = self.lag

    def made_by(self, operation: Operation, exchange: Exchange) -> list[Shown]:
        """The records that the answer to a POST shows as made: a 201's own, those that carry the run's marker, and
        those that lead to a record of the run, which nobody else knows."""
        if operation.method != "post":
            return []
        found: list[Shown] = []
        for shown in self.records(operation, exchange, inside=0):
            resource = self.contract.resources[shown.view.resource]
            key = shown.record.get(resource.key_attribute)
            if key is None:
                continue
            plain = operation.envelope.status == 201 and operation.envelope.view_name is not None
            if plain or self._marked(resource, shown.record) or self._leads_to_ours(resource, shown.record, found):
                found.append(shown)
        return found

    def _marked(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        return any(self.bodies.marker in str(record.get(name, "")) for name in resource.attributes)

    def _leads_to_ours(self, resource: Resource, record: Mapping[str, Any], also: list[Shown]) -> bool:
        ours = {(m.resource, m.key) for m in self.ledger.made}
        ours |= {(s.view.resource, s.record[self.contract.resources[s.view.resource].key_attribute]) for s in also}
        for relation in resource.relations.values():
            one = record.get(relation.name)
            if relation.is_stored and not relation.to_many and isinstance(one, dict) and len(relation.targets) == 1:
                target = self.contract.resources[relation.targets[0]]
                if (target.name, one.get(target.key_attribute)) in ours:
                    return True
        return False

    def records(self, operation: Operation, exchange: Exchange, *, inside: int = SLOWEST) -> Iterator[Shown]:
        """The records that a success shows; those in at most so many others."""
        pointer = operation.envelope.schema_pointer if exchange.response.ok else None
        if pointer is not None:
            found = Finder(self.contract, self.schemas).records(pointer, exchange.response.json)
            yield from (shown for shown in found if shown.inside <= inside)

    def spend(self, operation: Operation) -> None:
        """Count a use of an operation with outside effects that is meant to succeed. Raises CannotMake."""
        if self.read_only and operation.is_write:
            raise CannotMake(READ_ONLY)
        if not operation.effects:
            return
        if not self.effects:
            raise CannotMake(effects(operation))
        succeeded = sum(n for (name, status), n in self.seen.items() if name == operation.id and 200 <= status < 300)
        used = max(self._spent[operation.id], succeeded)
        if used >= self.max_expensive:
            said = f"{operation.id} was used {used} times, as often as it may be: --max-expensive"
            raise CannotMake(Reason(said, Cause.CHOSEN))
        self._spent[operation.id] = used + 1

    def unspend(self, operation: Operation) -> None:
        """Take back a use that did nothing: the state of the record forbade it."""
        self._spent[operation.id] -= bool(self._spent[operation.id])

    def settled(self, look: Callable[[], str]) -> str:
        """What `look` finds wrong, or "": looked at again for `settle` seconds, as a read may be behind a write.

        What was behind is noted, and later writes are given that time.
        """
        waited, wait = 0.0, 0.25
        said = look()
        while said and waited < self.settle:
            self.pause(min(wait, self.settle - waited))
            waited, wait = waited + min(wait, self.settle - waited), min(wait + 0.25, 1.0)
            said = look()
        if not said and waited:
            self.lag = min(max(self.lag, waited), self.settle)
        return said


def _pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(int(one)) if isinstance(one, bool) else str(one)
