"""The state of one run against one target."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.errors import SkipCheck, WriteLogError
from conformance.responses.sums import find_sum_rules
from conformance.session.borrowed import restore
from conformance.session.client import TrackedClient
from conformance.session.coverage import Coverage
from conformance.session.created_records import CreatedRecordFinder
from conformance.session.mutable_records import MutableRecords
from conformance.session.operation_lookup import OperationLookup
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.record_factory import RecordFactory
from conformance.session.response_log import ResponseLog
from conformance.session.tenant import TenantScope
from conformance.session.write_log import RecordKey, WriteLog
from conformance.transport.client import Target
from conformance.transport.credentials import OperationCredentials
from conformance.transport.messages import GONE_STATUSES
from conformance.transport.retry import Retrier
from conformance.transport.wire_format import list_wire_formats
from spec.model import Contract
from spec.validators import SchemaValidators


@dataclass(slots=True)
class Session:
    """A client, the records that it created, and the values of fixtures by name and operationId ("" for all).

    `is_rerun`: whether it repeats a check that failed.
    """

    client: TrackedClient
    records: RecordFactory
    fixture_values: dict[tuple[str, str], Any] = field(default_factory=dict)
    is_rerun: bool = False

    @classmethod
    def create(
        cls,
        contract: Contract,
        schemas: SchemaValidators,
        target: Target,
        write_log: WriteLog,
        payloads: PayloadFactory,
        options: RunOptions | None = None,
        *,
        coverage: Coverage | None = None,
        tenant: TenantScope | None = None,
        mutable_records: MutableRecords | None = None,
        retrier: Retrier | None = None,
        credentials: OperationCredentials | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> "Session":
        """Create a session without records."""
        client = TrackedClient(
            OperationLookup(contract),
            target,
            write_log,
            CreatedRecordFinder(contract, schemas, write_log, payloads.marker),
            ResponseLog(schemas, coverage, find_sum_rules(contract.document)),
            options or RunOptions(),
            tenant=tenant,
            mutable_records=mutable_records or MutableRecords(),
            retrier=retrier or Retrier(),
            sleep=sleep,
            wire_formats=list_wire_formats(contract),
            credentials=credentials or OperationCredentials.from_contract(contract),
        )
        return cls(client, RecordFactory(client, payloads))

    @property
    def contract(self) -> Contract:
        """The contract that the target must satisfy."""
        return self.client.operations.contract

    @property
    def schemas(self) -> SchemaValidators:
        """The validators of the contract."""
        return self.client.responses.schemas

    @property
    def operations(self) -> OperationLookup:
        """The operations of the contract by what they do."""
        return self.client.operations

    @property
    def options(self) -> RunOptions:
        """The options of the run."""
        return self.client.options

    @property
    def responses(self) -> ResponseLog:
        """The log of all responses: counts, coverage and contract violations."""
        return self.client.responses

    @property
    def payloads(self) -> PayloadFactory:
        """Builds request bodies."""
        return self.records.payloads

    @property
    def write_log(self) -> WriteLog:
        """The writes of the run, and the records that it created."""
        return self.client.write_log

    def update_options(self, **changes: Any) -> None:
        """Change options of the run."""
        self.client.options = replace(self.client.options, **changes)

    def clean_up(self) -> list[tuple[str, Any]]:
        """Delete all records of the run, newest first, and restore borrowed records. Return what remains."""
        for _ in range(2):  # retries failed deletes once
            for created in self.write_log.list_remaining():
                if created in self.write_log.list_remaining():  # not deleted together with another one
                    with suppress(SkipCheck, WriteLogError):
                        self._delete_if_own(created)
        for created in reversed(self.write_log.list_remaining()):
            if self._was_deleted_with_parent(created):
                self.write_log.log_deleted(*created)
        unrestored = list(restore(self.client))
        return [*self.write_log.list_remaining(), *unrestored]

    def _delete_if_own(self, created: RecordKey) -> None:
        """Delete a record, unless a retrieve shows that a create returned the key of a record of another client."""
        retrieve = self.operations.find(created.resource, "retrieve")
        if created in self.write_log.marked_records and retrieve is not None:
            exchange = self.client.retrieve(created.resource, created.key)
            record = self.operations.data(retrieve, exchange)
            if exchange.response.ok and self.client.created_records.is_foreign(created, record):
                return
        self.records.delete(created.resource, created.key)

    def _was_deleted_with_parent(self, created: RecordKey) -> bool:
        """Whether a record that no operation deletes is gone with its parent. Without a retrieve, it is assumed."""
        parent = self.write_log.parents.get(created)
        if parent is None or parent in self.write_log.created_records:
            return False
        if self.operations.find(created.resource, "delete") is not None:
            return False
        retrieve = self.operations.find(created.resource, "retrieve")
        return retrieve is None or self.client.retrieve(*created).response.status in GONE_STATUSES

    # Reruns

    def merge(self, other: "Session") -> None:
        """Add the call counts and the observed delay of another session of the run."""
        self.responses.call_counts.update(other.responses.call_counts)
        self.client.observed_delay = max(self.client.observed_delay, other.client.observed_delay)

    def new_state(self, number: int) -> "Session":
        """Create a session of the same run that shares no records, for rerun `number`."""
        session = self.same_state(number)
        return replace(session, records=session.records.without_records())

    def same_state(self, number: int) -> "Session":
        """Create a session of the same run with its shared records, for rerun `number`.

        Call counts are separate until `merge`, findings until the rerunner collects them. Fixtures are built again.
        Failing sequences are not reduced.
        """
        client = replace(self.client, responses=self.responses.new())
        session = Session(client, self.records.for_rerun(client, number), is_rerun=True)
        session.update_options(reduction_requests=0)
        return session

    def with_timeout(self, seconds: float) -> "Session":
        """Create a session of the same run with another consistency timeout."""
        client = replace(self.client, options=replace(self.options, consistency_timeout=seconds))
        return replace(self, client=client, records=replace(self.records, client=client))
