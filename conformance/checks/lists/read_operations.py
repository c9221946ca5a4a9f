"""Operations that read records: lists, retrievals and the account of the token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.listing import (
    REJECTION_STATUSES,
    Listing,
    ListRequestRejected,
    QueryPairs,
    Row,
    is_list,
)
from conformance.errors import SkipCheck
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, View

MAX_INSPECTED_ROWS = 20  # rows of a list that are inspected


def is_whoami(contract: Contract, operation: Operation) -> bool:
    """Return whether an operation returns the account of the token."""
    return contract.is_whoami(operation)


def returns_view(contract: Contract, operation: Operation) -> bool:
    """Return whether an operation reads records: a list, a retrieval or the account of the token."""
    is_read = is_list(contract, operation) or operation.action == "retrieve" or is_whoami(contract, operation)
    return operation.method == "get" and operation.envelope.view_name in contract.views and is_read


@dataclass(frozen=True, slots=True)
class ReadOperation:
    """A list, or the retrieval of the record in `path_values`."""

    session: Session
    operation: Operation
    path_values: Mapping[str, Any]

    @classmethod
    def from_case(cls, case: Case) -> "ReadOperation":
        """Select a record from the list of its resource, or create one. Raises SkipCheck."""
        session, operation = case.session, case.operation
        if is_whoami(session.contract, operation):
            return cls(session, operation, {})
        if operation.action != "retrieve":
            Listing(session, operation).sample()
            return cls(session, operation, {})
        list_operation = session.operations.find(operation.resource or "", "list")
        if list_operation is None:
            key = session.records.shared_record(operation.resource or "").key
        else:
            listing = Listing(session, list_operation)
            names = listing.resource.relations
            row = max(listing.sample(), key=lambda row: sum(bool(row.get(name)) for name in names))
            key = listing.get_keys([row])[0]
        return cls(session, operation, {operation.path_parameter_names[0]: key})

    @property
    def view(self) -> View:
        """The schema of the returned records."""
        return self.session.contract.views[self.operation.envelope.view_name or ""]

    def fetch_rows(self, query: QueryPairs = ()) -> tuple[list[Row], Exchange]:
        """Fetch the first records. Raises ListRequestRejected and SkipCheck."""
        if self.operation.envelope.is_list:
            page = Listing(self.session, self.operation).fetch(*query)
            return page.rows[:MAX_INSPECTED_ROWS], page.exchange
        exchange = self.session.client.send(self.operation, path=self.path_values, query=query)
        status = exchange.response.status
        if status in REJECTION_STATUSES or status >= 500:
            raise ListRequestRejected(exchange)
        row = self.session.operations.data(self.operation, exchange)
        if not exchange.response.ok or not isinstance(row, dict):
            raise SkipCheck(f"{self.operation.id} returned {status} without a record")
        return [row], exchange
