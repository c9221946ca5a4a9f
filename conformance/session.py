"""One run against one target: sends requests, makes the records that laws need, and remembers what was seen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.bodies import Bodies
from conformance.coverage import Coverage
from conformance.errors import CannotMake
from conformance.exchange import BEARER, Exchange, Request
from conformance.ledger import Ledger
from conformance.notice import Notice, notices
from conformance.sacrifice import Sacrifices
from conformance.target import Target
from conformance.tenant import Tenant
from spec.contract import Contract, Operation, Relation, Resource
from spec.schemas import Schemas

WRITES = ("post", "put", "patch", "delete")
SKIPPED = "skipped: "  # how it begins why an operation is not sent that a user left out
NONE_TO_CREATE = "the contract has no operation to create a"


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
    outside effects may be used. `skipped`: operationId -> why it is never sent. `tenant`: the one that the run works
    in, where one was said. `sacrifices`: what it may change though it is not its own. `coverage`: notes what
    exchanges touch, if asked for. `noticed`: what answers showed by
    themselves, each breach with its first exchange, by (operationId, law, place, keyword).
    """

    contract: Contract
    schemas: Schemas
    target: Target
    ledger: Ledger
    bodies: Bodies
    read_only: bool = False
    effects: bool = False
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    coverage: Coverage | None = None
    noticed: dict[tuple[str, str, str, str | None], tuple[Notice, Exchange]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    tenant: Tenant | None = None
    sacrifices: Sacrifices = field(default_factory=Sacrifices)
    _kept: dict[str, Mine] = field(default_factory=dict)

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
        exchange = Exchange(request, self.target.send(request))
        self.seen[operation.id, exchange.response.status] += 1
        if self.coverage is not None:
            self.coverage.note(operation, exchange)
        for notice in notices(self.schemas, operation, exchange):
            at = (operation.id, notice.law, notice.pointer, notice.keyword)
            self.noticed.setdefault(at, (notice, exchange))
        if exchange.response.ok and operation.result.status == 201:
            self._created(operation, exchange)
        return exchange

    def _created(self, operation: Operation, exchange: Exchange) -> None:
        """Note a record that an answer shows as made, asked for or not, so that it is taken away again."""
        view = self.contract.views.get(operation.result.view or "")
        shown = self.data(operation, exchange)
        if view is None or not isinstance(shown, dict):
            return
        key = shown.get(self.contract.resources[view.resource].key)
        if key is not None:
            self.ledger.created(view.resource, key)

    def _check_may_be_sent(self, operation: Operation, method: str, path: Mapping[str, Any]) -> None:
        if operation.id in self.skipped:
            raise CannotMake(f"{SKIPPED}{self.skipped[operation.id]}")
        if method == "delete" and self.sacrifices.protects(operation.resource, path):
            raise CannotMake(f"{NONE_TO_CREATE} {operation.resource}, and one of --sacrifice is not deleted")

    # Finding operations -----------------------------------------------------------------------------------------

    def operation(self, resource: str, action: str) -> Operation | None:
        """The operation that does a generic action on a resource."""
        found = (o for o in self.contract.operations.values() if (o.resource, o.action) == (resource, action))
        return next(found, None)

    def needed(self, resource: str, action: str) -> Operation:
        """The same. Raises CannotMake when the contract has none."""
        found = self.operation(resource, action)
        if found is None:
            raise CannotMake(f"the contract has no operation to {action} a {resource}")
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

    def rows(self, operation: Operation, query: Mapping[str, Any], *, pages: int = 50) -> Iterator[Mapping[str, Any]]:
        """The rows of a list over its pages. Raises CannotMake when it does not answer."""
        names = {p.word.role: p.name for p in operation.query if p.word}
        number = 1
        while number <= pages:
            asked = dict(query)
            if "page" in names:
                asked[names["page"]] = number
            if "size" in names:
                asked.setdefault(names["size"], 100)
            exchange = self.send(operation, query=asked)
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
            raise CannotMake("the run is read-only")
        if resource in self.sacrifices.keys and not self._creatable(resource):
            key, seen, exchange = self.sacrifices.use(self, resource)
            return Mine(resource, key, {}, seen, exchange)
        operation = self.creator(resource)
        if operation.effects and not self.effects:
            raise CannotMake(f"{operation.id} has effects outside ({', '.join(operation.effects)}): --allow-effects")
        body = {**self.bodies.body(operation, self.parent), **self._in_tenant(operation), **(changes or {})}
        exchange = self.send(operation, body=body)
        shown = self.data(operation, exchange)
        if not exchange.response.ok or not isinstance(shown, dict):
            raise CannotMake(f"{operation.id} answered {exchange.response.status}: {exchange.response.content[:200]!r}")
        key = self.key_of(resource, shown)
        return Mine(resource, key, body, shown, exchange)

    def _creatable(self, resource: str) -> bool:
        try:
            creator = self.creator(resource)
        except CannotMake:
            return False
        return self.effects or not creator.effects

    def _in_tenant(self, operation: Operation) -> Mapping[str, Any]:
        return {} if self.tenant is None else self.tenant.body(operation)

    def kept(self, resource: str) -> Mine:
        """A record of the run that laws share and do not change. Raises CannotMake."""
        if resource not in self._kept:
            self._kept[resource] = self.make(resource)
        return self._kept[resource]

    @property
    def shared(self) -> Mapping[str, Mine]:
        """The records of the run that laws share, by resource, as far as there are any."""
        return self._kept

    def parent(self, relation: Relation) -> tuple[str, Any]:
        """(resource, key) of a record that a relation may lead to: the run's own, or else one that is there."""
        resource = relation.to[0]
        if self.tenant is not None and self.tenant.is_end_of(relation):
            return resource, self.tenant.key
        try:
            return resource, self.kept(resource).key
        except CannotMake:
            listing = self.needed(resource, "list")
            for row in self.rows(listing, {}, pages=1):
                return resource, self.key_of(resource, row)
            raise CannotMake(f"there is no {resource}, and none can be made") from None

    def creator(self, resource: str) -> Operation:
        """What creates a resource: `create`, or a POST on the collection itself that answers it. Raises CannotMake."""
        plain = self.operation(resource, "create")
        if plain is not None:
            return plain
        for operation in self.contract.operations.values():
            view = self.contract.views.get(operation.result.view or "")
            creates = operation.method == "post" and not operation.path_parameters and operation.resource == resource
            if creates and view is not None and view.resource == resource and operation.path.count("/") == 1:
                return operation
        raise CannotMake(f"{NONE_TO_CREATE} {resource}")

    def unmake(self, resource: str, key: Any) -> Exchange | None:
        """Delete a record of the run; None when the contract has no operation for it."""
        operation = self.operation(resource, "delete")
        if operation is None:
            return None
        exchange = self.send(operation, path={operation.path_parameters[0]: key})
        if exchange.response.ok or exchange.response.status == 404:
            self.ledger.gone(resource, key)
            self._kept = {name: mine for name, mine in self._kept.items() if (name, mine.key) != (resource, key)}
        return exchange

    def clean(self) -> list[tuple[str, Any]]:
        """Delete everything that the run made, the last first, and restore what it was lent; what is left over."""
        for made in list(self.ledger.left()):
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
