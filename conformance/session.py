"""One run against one target: what laws work with. Makes the records that they need, and keeps what they share."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.cause import READ_ONLY
from conformance.errors import CannotMake
from conformance.exchange import Exchange
from conformance.reader import Reader
from conformance.restoration import borrowed, restore
from spec.contract import Operation, Relation


@dataclass(frozen=True, slots=True)
class Mine:
    """A record that the run made: the resource, its key, the body that was sent, and what create answered."""

    resource: str
    key: Any
    sent: Mapping[str, Any]
    shown: Mapping[str, Any]
    exchange: Exchange


@dataclass(slots=True)
class Session(Reader):
    """What laws work with: a reader (`conformance.reader`) that also makes records, of its own alone."""

    _kept: dict[str, Mine] = field(default_factory=dict)
    _several: dict[str, list[Mine]] = field(default_factory=dict)
    _done: dict[Any, Any] = field(default_factory=dict)
    _slow: set[str] = field(default_factory=set)

    # Making records ---------------------------------------------------------------------------------------------------

    def make(self, resource: str, changes: Mapping[str, Any] | None = None) -> Mine:
        """Create a record with all that it needs; where none can be, one of `sacrifices`. Raises CannotMake."""
        if self.read_only:
            raise CannotMake(READ_ONLY)
        if resource in self.sacrifices.keys and not self._creatable(resource):
            key, seen, exchange = borrowed(self, resource)
            return Mine(resource, key, {}, seen, exchange)
        operation, path = self.creator(resource), {}
        if operation.path_parameter_names:
            path = {operation.path_parameter_names[0]: self.kept(operation.resource or "").key}
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
            raise CannotMake(f"{operation.id} answered {exchange.response.status}: {exchange.response.beginning}")
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
        for name, page in listing.envelope.pagination.items():
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

    def several(self, resource: str, number: int) -> list[Mine]:
        """Records of the run that differ in all that the contract leaves open: at least so many. Raises CannotMake."""
        there = self._several.setdefault(resource, [])
        operation = self.creator(resource)
        while len(there) < number and not operation.path_parameter_names:
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
        resource = relation.targets[0]
        if self.tenant is not None and self.tenant.is_end_of(relation):
            return resource, self.tenant.key
        if self.contract.account_resource is not None and resource == self.contract.account_resource.name:
            return resource, self.key_of(resource, self.who())
        try:
            return resource, self.kept(resource).key
        except CannotMake:
            listing = self.needed(resource, "list")
            for row in self.rows(listing, {}, pages=1):
                return resource, self.key_of(resource, row)
            raise CannotMake(f"there is no {resource}, and none can be made") from None

    def unmake(self, resource: str, key: Any) -> Exchange | None:
        """Delete a record of the run; None when the contract has no operation for it."""
        operation = self.operation(resource, "delete")
        if operation is None:
            return None
        exchange = self.send(operation, path={operation.path_parameter_names[0]: key})
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
        changed = list(restore(self))
        return [*((made.resource, made.key) for made in self.ledger.left()), *changed]

    # Lists ------------------------------------------------------------------------------------------------------------

    def required(self, operation: Operation) -> dict[str, Any]:
        """A value for each query parameter that must be sent: a record of the run's where it names one."""
        found: dict[str, Any] = {}
        for parameter in operation.query_parameters if operation.resource in self.contract.resources else ():
            if not parameter.required:
                continue
            path = parameter.x_query.paths[0] if parameter.x_query and parameter.x_query.role == "filter" else ()
            relation = self.resource(operation).relations.get(path[0]) if len(path) == 2 else None
            if relation is not None and path[1] == self.contract.resources[relation.targets[0]].key_attribute:
                found[parameter.name] = self.parent(relation)[1]
            else:
                found[parameter.name] = self.bodies.value(parameter.schema, parameter.name)
        return found

    def rows(
        self, operation: Operation, query: Mapping[str, Any], *, pages: int = 50, as_: str = "self"
    ) -> Iterator[Mapping[str, Any]]:
        """The rows of a list over its pages. Raises CannotMake when it does not answer."""
        names = {p.x_query.role: p.name for p in operation.query_parameters if p.x_query}
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

    # What laws keep for one another -----------------------------------------------------------------------------------

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

    # The same run once more -------------------------------------------------------------------------------------------

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
