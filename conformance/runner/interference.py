"""Whether somebody else writes to what a law looks at: seen by two looks at the lists, one before and one after.

What a list shows otherwise is no proof: a faulty list may flap. A record of others that is gone must be answered 404,
one that is new must be newer than all that were there, one that changed must have moved its stamp.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.values import get_stored_attributes
from conformance.errors import SkipCheck
from conformance.session.session import Session
from spec.loader import Operation, Resource

MAX_DELETION_PROBES = 3  # records that a proof is looked for with

RowsByKey = Mapping[Any, Mapping[str, Any]]
ListSnapshot = Mapping[str, RowsByKey]


@dataclass(slots=True)
class InterferenceMonitor:
    """Looks at the lists that a case depends on, as the run's own session sees them."""

    session: Session

    def snapshot(self, case: Case) -> ListSnapshot:
        """The records of others on the first page of each list; nothing where a law looks at own records alone."""
        return {listing.id: self._rows(listing) for listing in self._lists(case)}

    def unchanged(self, case: Case, before: ListSnapshot) -> bool:
        """Whether nobody else is known to have written since."""
        return not any(self._was_modified(listing, before[listing.id]) for listing in self._lists(case))

    def _lists(self, case: Case) -> Iterator[Operation]:
        """The list of the resource that a case is about, and of those that it leads to."""
        resource = self.session.contract.resources.get(case.operation.resource or "")
        if not case.check.affected_by_other_clients or resource is None:
            return
        names = {resource.name: None} | {
            name: None for relation in resource.relations.values() for name in relation.targets
        }
        for name in names:
            listing = self.session.operation(name, "list")
            if listing is not None and not any(p.required for p in listing.query_parameters):
                yield listing

    def _rows(self, listing: Operation) -> RowsByKey:
        size_parameter = next(
            (
                parameter
                for parameter in listing.query_parameters
                if parameter.x_query and parameter.x_query.role == "size"
            ),
            None,
        )
        query = {size_parameter.name: int(size_parameter.schema.get("maximum", 100))} if size_parameter else {}
        exchange = self.session.send(listing, query=query)
        rows = self.session.data(listing, exchange) if exchange.response.ok else None
        key = self.session.resource(listing).key_attribute
        dict_rows = rows if isinstance(rows, list) else []
        return {
            row[key]: row for row in dict_rows if isinstance(row, dict) and key in row and not self._is_own_row(row)
        }

    def _is_own_row(self, row: Mapping[str, Any]) -> bool:
        """Whether a record is the run's own, or leads to one: a target may make more than was asked for."""
        text = json.dumps(row, ensure_ascii=False)
        return self.session.payloads.marker in text or any(
            str(record.key) in text for record in self.session.write_log.created_records
        )

    def _was_modified(self, listing: Operation, before: RowsByKey) -> bool:
        after, resource = self._rows(listing), self.session.resource(listing)
        missing_keys = [key for key in before if key not in after][:MAX_DELETION_PROBES]
        return (
            any(self._row_changed(listing, resource, before[key], after[key]) for key in before if key in after)
            or any(_is_new_row(resource, after[key], before) for key in after if key not in before)
            or any(self._is_deleted(resource, key) for key in missing_keys)
        )

    def _row_changed(
        self, listing: Operation, resource: Resource, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> bool:
        stamps = resource.attributes_with_stamp("updated")
        has_moved_timestamp = any(before.get(name) != after.get(name) for name in stamps) if stamps else True
        contract = self.session.contract
        return has_moved_timestamp and get_stored_attributes(contract, listing, before) != get_stored_attributes(
            contract, listing, after
        )

    def _is_deleted(self, resource: Resource, key: Any) -> bool:
        try:
            return self.session.retrieve(resource.name, key).response.status in (404, 410)
        except SkipCheck:
            return False


def _is_new_row(resource: Resource, row: Mapping[str, Any], before: RowsByKey) -> bool:
    """Whether a record was created after all that were there; where no stamp tells, it is new by being there."""
    for name in resource.attributes_with_stamp("created"):
        if isinstance(row.get(name), str):
            return all(str(row[name]) >= str(other.get(name, "")) for other in before.values())
    return True
