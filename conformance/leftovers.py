"""What a killed run left on its target: what its ledger tells, and records whose making it did not live to note.

Those are found by the run's marker, which stands in every text that it wrote: by a list's search, or in the list
itself. A record counts as the run's when a text of its own carries the marker, or one of the record that it goes with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import CannotMake
from conformance.ledger import Entry, Made
from conformance.sacrifice import Sacrifices
from conformance.session import Session
from spec.contract import Operation, Resource

PAGES = 50  # of a list that are looked through
PASSES = 5  # a record may have to wait until others that lead to it are gone


@dataclass(slots=True)
class Leftovers:
    """The leftovers of one run. `session`: one that speaks for that run. `unseen`: where could not be looked."""

    session: Session
    entry: Entry
    found: int = 0
    unseen: list[str] = field(default_factory=list)

    def clean(self) -> list[tuple[str, Any]]:
        """Take everything away; what is left. Raises TargetLost."""
        for resource in self.session.contract.resources:
            self._look_for(resource)
        keys = dict(self.entry.changed.keys())
        before = {resource: values for (resource, _), values in self.entry.changed.items()}
        self.session.sacrifices = Sacrifices(keys, before)
        left = self.session.clean()
        for _ in range(PASSES):
            if not left:
                break
            left = self.session.clean()
        return left

    def _look_for(self, resource: str) -> None:
        """Note the records of a resource that carry the marker."""
        makers = [name for name in self.entry.wrote if resource in self._made_by(name)]
        unsure = self.entry.unanswered[0] in makers
        lists = self.session.operation(resource, "list")
        if lists is None or self.session.operation(resource, "delete") is None:
            if unsure and not self._goes_with_another(resource):
                self.unseen.append(f"a {resource} may be left: the contract has no operation to list or to delete one")
            return
        if not makers:
            return
        known = set(self.session.ledger.left())
        try:
            for key in self._marked(lists, thorough=unsure):
                if Made(resource, key) not in known:
                    self.found += 1
                    self.session.ledger.created(resource, key)
        except CannotMake as error:
            self.unseen.append(f"a {resource} may be left: {error}")

    def _goes_with_another(self, resource: str) -> bool:
        """Whether the unanswered write can have made nothing, or only what goes with a record that is taken away."""
        operation = self.session.contract.operations[self.entry.unanswered[0]]
        parts = self.entry.unanswered[1].partition("?")[0].split("/")
        named = [part for part, said in zip(parts, operation.path.split("/"), strict=False) if said[:1] == "{"]
        ours = [made.resource for made in self.entry.ever if str(made.key) in named]
        relations = self.session.contract.resources[resource].relations.values()
        cascades = {name for relation in relations if relation.on_delete == "cascade" for name in relation.targets}
        return bool(named) and (not ours or bool(cascades & set(ours)))

    def _made_by(self, name: str) -> set[str]:
        """Resources that an operation may make records of."""
        operation = self.session.contract.operations.get(name)
        view = self.session.contract.views.get(operation.envelope.view_name or "") if operation else None
        return {view.resource} if view and operation and operation.method == "post" else set()

    def _marked(self, lists: Operation, *, thorough: bool) -> Iterator[Any]:
        """Keys of the rows that carry the marker; `thorough`: a search that finds none is not believed."""
        search = next((p.name for p in lists.query_parameters if p.x_query and p.x_query.role == "search"), None)
        keys = [] if search is None else list(self._keys(lists, {search: self.entry.marker}))
        if not keys and (search is None or thorough):
            keys = list(self._keys(lists, {}))
        yield from keys

    def _keys(self, lists: Operation, query: Mapping[str, Any]) -> Iterator[Any]:
        resource = self.session.resource(lists)
        for row in self.session.rows(lists, query, pages=PAGES):
            if isinstance(row, dict) and self._is_ours(resource, row):
                yield self.session.key_of(resource.name, row)

    def _is_ours(self, resource: Resource, row: Mapping[str, Any]) -> bool:
        if self._carries(row):
            return True
        parents = (
            r.name for r in resource.relations.values() if r.is_stored and not r.to_many and r.on_delete == "cascade"
        )
        return any(isinstance(row.get(name), dict) and self._carries(row[name]) for name in parents)

    def _carries(self, record: Mapping[str, Any]) -> bool:
        return any(isinstance(value, str) and self.entry.marker in value for value in record.values())
