"""Whether somebody else writes to what a law looks at: seen by two looks at the lists, one before and one after.

What a list shows otherwise is no proof: a faulty list may flap. A record of others that is gone must be answered 404,
one that is new must be newer than all that were there, one that changed must have moved its stamp.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import CannotMake
from conformance.laws.law import Case
from conformance.laws.own import own
from conformance.session import Session
from spec.contract import Operation, Resource

ASKED = 3  # records that a proof is looked for with

Rows = Mapping[Any, Mapping[str, Any]]
Look = Mapping[str, Rows]


@dataclass(slots=True)
class Watch:
    """Looks at the lists that a case depends on, as the run's own session sees them."""

    session: Session

    def look(self, case: Case) -> Look:
        """The records of others on the first page of each list; nothing where a law looks at own records alone."""
        return {listing.id: self._rows(listing) for listing in self._lists(case)}

    def quiet(self, case: Case, before: Look) -> bool:
        """Whether nobody else is known to have written since."""
        return not any(self._written(listing, before[listing.id]) for listing in self._lists(case))

    def _lists(self, case: Case) -> Iterator[Operation]:
        """The list of the resource that a case is about, and of those that it leads to."""
        resource = self.session.contract.resources.get(case.operation.resource or "")
        if not case.law.shared or resource is None:
            return
        names = {resource.name: None} | {name: None for r in resource.relations.values() for name in r.targets}
        for name in names:
            listing = self.session.operation(name, "list")
            if listing is not None and not any(p.required for p in listing.query_parameters):
                yield listing

    def _rows(self, listing: Operation) -> Rows:
        size = next((p for p in listing.query_parameters if p.x_query and p.x_query.role == "size"), None)
        query = {size.name: int(size.schema.get("maximum", 100))} if size else {}
        exchange = self.session.send(listing, query=query)
        rows = self.session.data(listing, exchange) if exchange.response.ok else None
        key = self.session.resource(listing).key_attribute
        shown = rows if isinstance(rows, list) else []
        return {row[key]: row for row in shown if isinstance(row, dict) and key in row and not self._ours(row)}

    def _ours(self, row: Mapping[str, Any]) -> bool:
        """Whether a record is the run's own, or leads to one: a target may make more than was asked for."""
        text = json.dumps(row, ensure_ascii=False)
        return self.session.bodies.marker in text or any(str(made.key) in text for made in self.session.ledger.made)

    def _written(self, listing: Operation, before: Rows) -> bool:
        after, resource = self._rows(listing), self.session.resource(listing)
        gone = [key for key in before if key not in after][:ASKED]
        return (
            any(self._changed(listing, resource, before[key], after[key]) for key in before if key in after)
            or any(_newer(resource, after[key], before) for key in after if key not in before)
            or any(self._is_gone(resource, key) for key in gone)
        )

    def _changed(self, listing: Operation, resource: Resource, was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
        stamps = resource.attributes_with_stamp("updated")
        moved = any(was.get(name) != now.get(name) for name in stamps) if stamps else True
        contract = self.session.contract
        return moved and own(contract, listing, was) != own(contract, listing, now)

    def _is_gone(self, resource: Resource, key: Any) -> bool:
        try:
            return self.session.retrieve(resource.name, key).response.status in (404, 410)
        except CannotMake:
            return False


def _newer(resource: Resource, row: Mapping[str, Any], before: Rows) -> bool:
    """Whether a record was created after all that were there; where no stamp tells, it is new by being there."""
    for name in resource.attributes_with_stamp("created"):
        if isinstance(row.get(name), str):
            return all(str(row[name]) >= str(other.get(name, "")) for other in before.values())
    return True
