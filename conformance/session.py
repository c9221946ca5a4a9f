"""One run against one target: sends requests, makes the records that laws need, and remembers what was seen."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.bodies import Bodies
from conformance.cause import NO_OTHER, READ_ONLY, Cause, Reason, effects, no_way, skipped
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
from spec.contract import Contract, Operation, Relation, Resource
from spec.schemas import Schemas

At = tuple[str, str, str, str | None, str]  # operationId, law, place, keyword, parameter: one breach that was noticed
WRITES = ("post", "put", "patch", "delete")
NONE_TO_CREATE = "the contract has no operation to create a"
SLOWEST = 30  # times that something is looked for again before it counts as not there


@dataclass(frozen=True, slots=True)
class Mine:
    """A record that the run made: the resource, its key, the body that was sent, and what create answered."""

    resource: str
    key: Any
    sent: Mapping[str, Any]
    shown: Mapping[str, Any]
    exchange: Exchange


@dataclass(slots=True)
class Session:
    """What laws work with.

    `seen`: (operationId, status) -> how often. `read_only`: nothing may be written. `effects`: whether operations with
    outside effects may be used, and `max_expensive`: how often each of them, replays included. `credentials`: the
    account's own properties (login, secret) to sign in with. `settle`: seconds after which a write must be seen by
    reads, `lag`: seconds after which it was, as far as this run had to wait. `coverage`: notes what exchanges touch, if
    asked for. `skipped`: operationId -> why it is never sent. `tenant`: the one that the run works in, where one was
    said. `sacrifices`: what it may change though it is not its own. `noticed`: what answers showed by themselves, each
    breach with its first exchange. `steady`: what failed only once.
    """

    contract: Contract
    schemas: Schemas
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
    _kept: dict[str, Mine] = field(default_factory=dict)
    _several: dict[str, list[Mine]] = field(default_factory=dict)
    _spent: Counter[str] = field(default_factory=Counter)
    _done: dict[Any, Any] = field(default_factory=dict)
    _who: dict[str, Mapping[str, Any] | Reason] = field(default_factory=dict)
    _slow: set[str] = field(default_factory=set)
    _owed: float = 0.0

    # Sending ----------------------------------------------------------------------------------------------------

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
        if request.method in WRITES:
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
        if exchange.response.ok and request.method in WRITES:
            self._wrote(operation, exchange)
        return exchange

    def _wrote(self, operation: Operation, exchange: Exchange) -> None:
        """Note the records that an answer shows as made, asked for or not, so that they are taken away again."""
        for shown in self.made_by(operation, exchange) if exchange.request.method == operation.method else ():
            made = Made(shown.view.resource, shown.record[self.contract.resources[shown.view.resource].key])
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
            key = shown.record.get(resource.key)
            if key is None:
                continue
            plain = operation.result.status == 201 and operation.result.view is not None
            if plain or self._marked(resource, shown.record) or self._leads_to_ours(resource, shown.record, found):
                found.append(shown)
        return found

    def _marked(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        return any(self.bodies.marker in str(record.get(name, "")) for name in resource.own)

    def _leads_to_ours(self, resource: Resource, record: Mapping[str, Any], also: list[Shown]) -> bool:
        ours = {(m.resource, m.key) for m in self.ledger.made}
        ours |= {(s.view.resource, s.record[self.contract.resources[s.view.resource].key]) for s in also}
        for relation in resource.relations.values():
            one = record.get(relation.name)
            if relation.stored and not relation.many and isinstance(one, dict) and len(relation.to) == 1:
                target = self.contract.resources[relation.to[0]]
                if (target.name, one.get(target.key)) in ours:
                    return True
        return False

    def records(self, operation: Operation, exchange: Exchange, *, inside: int = SLOWEST) -> Iterator[Shown]:
        """The records that a success shows; those in at most so many others."""
        pointer = operation.result.schema if exchange.response.ok else None
        if pointer is not None:
            found = Finder(self.contract, self.schemas).records(pointer, exchange.response.json)
            yield from (shown for shown in found if shown.inside <= inside)

    def spend(self, operation: Operation) -> None:
        """Count a use of an operation with outside effects that is meant to succeed. Raises CannotMake."""
        if self.read_only and operation.method in WRITES:
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

    def once(self, name: Any, do: Callable[[], Any]) -> Any:
        """What `do` gives, done once in a run: for what may not be done again only to be judged again."""
        if name not in self._done:
            self._done[name] = do()
        return self._done[name]

    def remember(self, name: Any, found: Any) -> None:
        """Keep something for the law that comes next."""
        self._done[name] = found

    def recall(self, name: Any) -> Any:
        """What was kept, once; None when there is nothing."""
        return self._done.pop(name, None)

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

    # Who asks ---------------------------------------------------------------------------------------------------

    def who(self, as_: str = "self") -> Mapping[str, Any]:
        """The account whose token it is, as the target shows it. Raises CannotMake."""
        if as_ not in self._who:
            self._who[as_] = self._asked_who(as_)
        said = self._who[as_]
        if isinstance(said, Reason):
            raise CannotMake(said)
        return said

    def _asked_who(self, as_: str) -> Mapping[str, Any] | Reason:
        if as_ not in getattr(self.target, "tokens", {as_: ""}):
            return NO_OTHER
        for operation in self.contract.operations.values():
            if not self.says_who(operation):
                continue
            exchange = self.send(operation, as_=as_)
            shown = self.data(operation, exchange)
            if exchange.response.ok and isinstance(shown, dict):
                return shown
            return Reason(f"{operation.id} answered {exchange.response.status}")
        return no_way("the contract has no operation that says whose token it is")

    def says_who(self, operation: Operation) -> bool:
        """Whether an operation shows the account that asks: one account, without being told which."""
        view = self.contract.views.get(operation.result.view or "")
        account = self.contract.account
        asks_nothing = operation.method == "get" and not operation.path_parameters and not operation.result.many
        return asks_nothing and view is not None and account is not None and view.resource == account.name

    def neighbours(self) -> Reason | None:
        """Why the other token is of no other tenant, or None: it is the same account's, or enters the same tenant."""
        account, tenant = self.contract.account, self.contract.tenant
        try:
            mine, theirs = self.who(), self.who("other")
        except CannotMake:
            return None
        if account is not None and account.key in mine and mine.get(account.key) == theirs.get(account.key):
            return Reason(f"the other token is the same {account.name}'s: --other-token-env")
        homes = self._homes(mine)
        if tenant is None or not homes:
            return None
        entered = self._homes(theirs) | self._entered(tenant)
        return Reason(f"the other token enters the same {tenant.name}: --other-token-env") if homes & entered else None

    def _homes(self, account: Mapping[str, Any]) -> set[Any]:
        """Keys of the tenants that an account shows as its own."""
        resource, tenant = self.contract.account, self.contract.tenant
        if resource is None or tenant is None:
            return set()
        shown = [account.get(r.name) for r in resource.relations.values() if r.to == (tenant.name,)]
        return {one[tenant.key] for one in shown if isinstance(one, dict) and tenant.key in one}

    def _entered(self, tenant: Resource) -> set[Any]:
        listing = self.operation(tenant.name, "list")
        try:
            return {row.get(tenant.key) for row in self.rows(listing, {}, as_="other")} if listing else set()
        except CannotMake:
            return set()

    def _check_may_be_sent(self, operation: Operation, method: str, path: Mapping[str, Any]) -> None:
        if operation.id in self.skipped:
            raise CannotMake(skipped(self.skipped[operation.id]))
        if method == "delete" and self.sacrifices.protects(operation.resource, path):
            raise CannotMake(no_way(f"{NONE_TO_CREATE} {operation.resource}, and one of --sacrifice is not deleted"))

    # Finding operations -----------------------------------------------------------------------------------------

    def operation(self, resource: str, action: str) -> Operation | None:
        """The operation that does a generic action on a resource."""
        found = (o for o in self.contract.operations.values() if (o.resource, o.action) == (resource, action))
        return next(found, None)

    def needed(self, resource: str, action: str) -> Operation:
        """The same. Raises CannotMake when the contract has none."""
        found = self.operation(resource, action)
        if found is None:
            raise CannotMake(no_way(f"the contract has no operation to {action} a {resource}"))
        return found

    def key_of(self, resource: str, shown: Mapping[str, Any]) -> Any:
        """The key of a shown record. Raises CannotMake when it shows none."""
        name = self.contract.resources[resource].key
        if name not in shown:
            raise CannotMake(f"the answer shows no {name} of the {resource}")
        return shown[name]

    # Reading ----------------------------------------------------------------------------------------------------

    def data(self, operation: Operation, exchange: Exchange) -> Any:
        """The record or rows of a success, out of the contract's envelope; None where they are not."""
        body = exchange.response.json
        name = operation.result.data
        if name is None:
            return body
        return body.get(name) if isinstance(body, dict) else None

    def retrieve(self, resource: str, key: Any, *, as_: str = "self") -> Exchange:
        """Retrieve one record."""
        operation = self.needed(resource, "retrieve")
        return self.send(operation, path={operation.path_parameters[0]: key}, as_=as_)

    def required(self, operation: Operation) -> dict[str, Any]:
        """A value for each query parameter that must be sent: a record of the run's where it names one."""
        found: dict[str, Any] = {}
        for parameter in operation.query if operation.resource in self.contract.resources else ():
            if not parameter.required:
                continue
            path = parameter.word.paths[0] if parameter.word and parameter.word.role == "filter" else ()
            relation = self.resource(operation).relations.get(path[0]) if len(path) == 2 else None
            if relation is not None and path[1] == self.contract.resources[relation.to[0]].key:
                found[parameter.name] = self.parent(relation)[1]
            else:
                found[parameter.name] = self.bodies.value(parameter.schema, parameter.name)
        return found

    def rows(
        self, operation: Operation, query: Mapping[str, Any], *, pages: int = 50, as_: str = "self"
    ) -> Iterator[Mapping[str, Any]]:
        """The rows of a list over its pages. Raises CannotMake when it does not answer."""
        names = {p.word.role: p.name for p in operation.query if p.word}
        required = self.required(operation)
        number = 1
        while number <= pages:
            asked = {**required, **query}
            if "page" in names:
                asked[names["page"]] = number
            if "size" in names:
                asked.setdefault(names["size"], 100)
            exchange = self.send(operation, query=asked, as_=as_)
            rows = self.data(operation, exchange) if exchange.response.ok else None
            if not isinstance(rows, list):
                raise CannotMake(f"{operation.id} answered {exchange.response.status} and no rows")
            yield from rows
            if not rows or "page" not in names or len(rows) < int(asked.get(names.get("size", ""), 1)):
                return
            number += 1

    # Making records ---------------------------------------------------------------------------------------------

    def make(self, resource: str, changes: Mapping[str, Any] | None = None) -> Mine:
        """Create a record with all that it needs; where none can be, one of `sacrifices`. Raises CannotMake."""
        if self.read_only:
            raise CannotMake(READ_ONLY)
        if resource in self.sacrifices.keys and not self._creatable(resource):
            key, seen, exchange = self.sacrifices.use(self, resource)
            return Mine(resource, key, {}, seen, exchange)
        operation, path = self.creator(resource), {}
        if operation.path_parameters:
            path = {operation.path_parameters[0]: self.kept(operation.resource or "").key}
        if operation.effects:
            self.spend(operation)
        body = {**self.bodies.body(operation, self.parent), **self._in_tenant(operation), **(changes or {})}
        if path:
            body = {**self.bodies.lists(operation), **body}
        counted = None if resource in self._slow else self._total(resource)
        exchange = self.send(operation, path=path, body=body)
        shown = self.data(operation, exchange)
        if path and isinstance(shown, list) and shown:
            shown = shown[0]
        if not exchange.response.ok or not isinstance(shown, dict):
            raise CannotMake(f"{operation.id} answered {exchange.response.status}: {exchange.response.content[:200]!r}")
        key = self.key_of(resource, shown)
        self._await(resource, key, counted)
        return Mine(resource, key, body, shown, exchange)

    def _creatable(self, resource: str) -> bool:
        try:
            creator = self.creator(resource)
        except CannotMake:
            return False
        return self.effects or not creator.effects

    def _in_tenant(self, operation: Operation) -> Mapping[str, Any]:
        return {} if self.tenant is None else self.tenant.body(operation)

    def _await(self, resource: str, key: Any, counted: Any) -> None:
        """Look once for each resource how long a new record takes to be seen and counted (`counted`: the total of the
        list before): what is late is no fault by itself."""
        if resource in self._slow:
            return
        self._slow.add(resource)

        def look() -> str:
            if self.operation(resource, "retrieve") is not None and not self.retrieve(resource, key).response.ok:
                return "it is not there"
            return "" if counted is None or self._total(resource) != counted else "it is not counted"

        self.settled(look)

    def _total(self, resource: str) -> Any:
        """What the list of a resource names as its total; None where it names none."""
        listing = self.operation(resource, "list")
        if listing is None:
            return None
        body = self.send(listing, query=self.required(listing)).response.json
        for name, page in listing.result.pages.items():
            said = body.get(name) if isinstance(body, dict) else None
            for shown, word in page.items():
                if word == "total" and isinstance(said, dict):
                    return said.get(shown)
        return None

    def kept(self, resource: str) -> Mine:
        """A record of the run that laws share and do not change. Raises CannotMake."""
        if resource not in self._kept:
            with self.bodies.aside(resource):
                self._kept[resource] = self.make(resource)
        return self._kept[resource]

    def take(self, other: "Session") -> None:
        """Take over what another session of the run has seen."""
        self.seen.update(other.seen)
        self.lag = max(self.lag, other.lag)

    def fresh(self, number: int) -> "Session":
        """The same run without its shared records and without what it noticed, to judge again: the `number`th time."""
        return replace(self.again(number), _kept={}, _several={})

    def again(self, number: int) -> "Session":
        """The same run with its shared records, to judge again: texts differ, as some may stand only once.

        What it sees and notices is its own until it is told (`take`).
        """
        marked = replace(self.bodies, marker=f"{self.bodies.marker}-{number}")
        return replace(self, bodies=marked, noticed={}, seen=Counter())

    def several(self, resource: str, number: int) -> list[Mine]:
        """Records of the run that differ in all that the contract leaves open: at least so many. Raises CannotMake."""
        there = self._several.setdefault(resource, [])
        operation = self.creator(resource)
        while len(there) < number and not operation.path_parameters:
            changes = self.bodies.varied(operation, len(there), self.parent)
            try:
                there.append(self.make(resource, changes))
            except CannotMake:
                if not changes or self.read_only:
                    raise
                there.append(self.make(resource))
        return there

    @property
    def shared(self) -> Mapping[str, Mine]:
        """The records of the run that laws share, by resource, as far as there are any."""
        return self._kept

    def parent(self, relation: Relation) -> tuple[str, Any]:
        """(resource, key) of a record that a relation may lead to: the run's own, or else one that is there."""
        resource = relation.to[0]
        if self.tenant is not None and self.tenant.is_end_of(relation):
            return resource, self.tenant.key
        if self.contract.account is not None and resource == self.contract.account.name:
            return resource, self.key_of(resource, self.who())
        try:
            return resource, self.kept(resource).key
        except CannotMake:
            listing = self.needed(resource, "list")
            for row in self.rows(listing, {}, pages=1):
                return resource, self.key_of(resource, row)
            raise CannotMake(f"there is no {resource}, and none can be made") from None

    def creator(self, resource: str) -> Operation:
        """What creates a resource: `create`, a POST on the collection itself that answers it, or one on a record of
        another resource that answers the new ones. Raises CannotMake."""
        plain = self.operation(resource, "create")
        if plain is not None:
            return plain
        for operation in self.contract.operations.values():
            view = self.contract.views.get(operation.result.view or "")
            creates = operation.method == "post" and not operation.path_parameters and operation.resource == resource
            if creates and view is not None and view.resource == resource and operation.path.count("/") == 1:
                return operation
        for operation in self.contract.operations.values():
            view = self.contract.views.get(operation.result.view or "")
            grows = operation.method == "post" and operation.result.many and operation.resource != resource
            if grows and view is not None and view.resource == resource and len(operation.path_parameters) == 1:
                return operation
        raise CannotMake(no_way(f"{NONE_TO_CREATE} {resource}"))

    def unmake(self, resource: str, key: Any) -> Exchange | None:
        """Delete a record of the run; None when the contract has no operation for it."""
        operation = self.operation(resource, "delete")
        if operation is None:
            return None
        exchange = self.send(operation, path={operation.path_parameters[0]: key})
        if exchange.response.ok or exchange.response.status == 404:
            self.ledger.gone(resource, key)
            self._kept = {name: mine for name, mine in self._kept.items() if (name, mine.key) != (resource, key)}
            self._several[resource] = [mine for mine in self._several.get(resource, ()) if mine.key != key]
        return exchange

    def clean(self) -> list[tuple[str, Any]]:
        """Delete everything that the run made, the last first, and restore what it was lent; what is left over."""
        for made in [*self.ledger.left(), *self.ledger.left()]:  # once more what was not answered
            if made in self.ledger.left():
                with suppress(CannotMake):
                    self.unmake(made.resource, made.key)
        changed = list(self.sacrifices.restore(self))
        return [*((made.resource, made.key) for made in self.ledger.left()), *changed]

    def resource(self, operation: Operation) -> Resource:
        """The resource that an operation is about."""
        return self.contract.resources[operation.resource or ""]


def _pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(int(one)) if isinstance(one, bool) else str(one)
