"""Detects writes by other clients to the lists that a check depends on, by comparing snapshots before and after it.

A difference between two responses is not enough, since a faulty list may vary. A missing record must return 404, a new
record must be newer than all others, and a changed record must have a new update timestamp.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.values import get_stored_attributes
from conformance.errors import SkipCheck
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import GONE_STATUSES
from spec.model import Operation, Resource

MAX_DELETION_PROBES = 3  # missing records that are retrieved

RowsByKey = Mapping[Any, Mapping[str, Any]]
ListSnapshot = Mapping[str, RowsByKey]


@dataclass(slots=True)
class InterferenceMonitor:
    """Takes snapshots of the lists that a case depends on, with the session of the run."""

    session: Session

    def snapshot(self, case: Case) -> ListSnapshot:
        """Fetch the records of other clients on the first page of each list; none if the check depends on no list."""
        return {listing.id: self._rows(listing) for listing in self._lists(case)}

    def is_unchanged(self, case: Case, before: ListSnapshot) -> bool:
        """Whether no write by another client is detected since a snapshot."""
        return not any(self._was_modified(listing, before[listing.id]) for listing in self._lists(case))

    def _lists(self, case: Case) -> Iterator[Operation]:
        """The list operations of the resource of a case and of its related resources."""
        resource = self.session.contract.resources.get(case.operation.resource or "")
        if not case.check.affected_by_other_clients or resource is None:
            return
        related = (name for relation in resource.relations.values() for name in relation.targets)
        for name in dict.fromkeys([resource.name, *related]):
            listing = self.session.operations.find(name, "list")
            if listing is not None and not any(p.required for p in listing.query_parameters):
                yield listing

    def _rows(self, listing: Operation) -> RowsByKey:
        size_parameter = next((p for p in listing.query_parameters if p.x_query and p.x_query.role == "size"), None)
        query = {size_parameter.name: int(size_parameter.schema.get("maximum", 100))} if size_parameter else {}
        exchange = self.session.client.send(listing, query=query)
        rows = self.session.operations.data(listing, exchange) if exchange.response.ok else None
        key = self.session.operations.resource(listing).key_attribute
        dict_rows = rows if isinstance(rows, list) else []
        keyed_rows = [row for row in dict_rows if isinstance(row, dict) and is_key(row.get(key))]
        return {row[key]: row for row in keyed_rows if not self._is_own_row(row)}

    def _is_own_row(self, row: Mapping[str, Any]) -> bool:
        """Whether a record belongs to the run or refers to a record of the run."""
        text = json.dumps(row, ensure_ascii=False)
        keys = (str(record.key) for record in self.session.write_log.created_records)
        return self.session.payloads.marker in text or any(key in text for key in keys)

    def _was_modified(self, listing: Operation, before: RowsByKey) -> bool:
        after, resource = self._rows(listing), self.session.operations.resource(listing)
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
        if stamps and all(before.get(name) == after.get(name) for name in stamps):
            return False
        old, new = (get_stored_attributes(self.session.contract, listing, row) for row in (before, after))
        return old != new

    def _is_deleted(self, resource: Resource, key: Any) -> bool:
        try:
            return self.session.client.retrieve(resource.name, key).response.status in GONE_STATUSES
        except SkipCheck:
            return False


def _is_new_row(resource: Resource, row: Mapping[str, Any], before: RowsByKey) -> bool:
    """Whether a record was created after all previous ones; without a timestamp, every unknown record is new."""
    for name in resource.attributes_with_stamp("created"):
        if isinstance(row.get(name), str):
            return all(str(row[name]) >= str(other.get(name, "")) for other in before.values())
    return True
