"""One run against one target: creates the records that checks need and shares them between checks."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.errors import READ_ONLY, SkipCheck
from conformance.session.borrowed import borrow, restore
from conformance.session.operations import OperationClient
from conformance.transport.messages import Exchange
from spec.model import Operation, Relation


@dataclass(frozen=True, slots=True)
class CreatedRecord:
    """A record created by the run: its key, the request body, and the record in the response (`body`)."""

    resource: str
    key: Any
    request_body: Mapping[str, Any]
    body: Mapping[str, Any]
    exchange: Exchange


@dataclass(slots=True)
class Session(OperationClient):
    """What checks work with: a client that also creates and deletes records of the run."""

    _shared_records: dict[str, CreatedRecord] = field(default_factory=dict)
    _distinct_records: dict[str, list[CreatedRecord]] = field(default_factory=dict)
    _results: dict[Any, Any] = field(default_factory=dict)
    _measured_resources: set[str] = field(default_factory=set)

    # Records ---------------------------------------------------------------------------------------------------------

    def create(self, resource: str, changes: Mapping[str, Any] | None = None) -> CreatedRecord:
        """Create a record with everything it requires, or borrow one of `mutable_records`. Raises SkipCheck."""
        if self.read_only:
            raise SkipCheck(READ_ONLY)
        if resource in self.mutable_records.keys and not self._is_creatable(resource):
            key, borrowed_record, exchange = borrow(self, resource)
            return CreatedRecord(resource, key, {}, borrowed_record, exchange)
        operation, path_values = self.creator(resource), {}
        if operation.path_parameter_names:
            path_values = {operation.path_parameter_names[0]: self.shared_record(operation.resource or "").key}
        if operation.effects:
            self.charge_call(operation)
        body = {**self.payloads.build(operation, self.parent), **self._tenant_fields(operation), **(changes or {})}
        if path_values:
            body = {**self.payloads.optional_lists(operation), **body}
        previous_total = None if resource in self._measured_resources else self._list_total(resource)
        exchange = self.send(operation, path=path_values, body=body)
        key, record = self._read_created_record(resource, operation, exchange)
        self._measure_delay(resource, key, previous_total)
        return CreatedRecord(resource, key, body, record, exchange)

    def _read_created_record(
        self, resource: str, operation: Operation, exchange: Exchange
    ) -> tuple[Any, Mapping[str, Any]]:
        """Return (key, record) of a create response. Raises SkipCheck."""
        record = self.data(operation, exchange)
        if operation.path_parameter_names and isinstance(record, list) and record:
            record = record[0]
        if not exchange.response.ok:
            raise SkipCheck(f"{operation.id}: got {exchange.response.status}: {exchange.response.excerpt}")
        try:
            return self.key_of(resource, record if isinstance(record, dict) else {}), record
        except SkipCheck:
            self.creates_without_key[resource] += 1
            raise

    def _is_creatable(self, resource: str) -> bool:
        try:
            creator = self.creator(resource)
        except SkipCheck:
            return False
        return self.allow_effects or not creator.effects

    def _tenant_fields(self, operation: Operation) -> Mapping[str, Any]:
        return {} if self.tenant is None else self.tenant.create_fields(operation)

    def _measure_delay(self, resource: str, key: Any, previous_total: Any) -> None:
        """Measure, once per resource, how long a new record takes to appear in reads and in the total of its list.

        A delay is not a failure. `previous_total`: the total before the create.
        """
        if resource in self._measured_resources:
            return
        self._measured_resources.add(resource)

        def find_problem() -> str:
            if self.operation(resource, "retrieve") is not None and not self.retrieve(resource, key).response.ok:
                return "the record is missing"
            return (
                ""
                if previous_total is None or self._list_total(resource) != previous_total
                else "the record is not counted"
            )

        self.wait_until(find_problem)

    def _list_total(self, resource: str) -> Any:
        """The total that the list of a resource returns; None if it has none."""
        listing = self.operation(resource, "list")
        if listing is None:
            return None
        body = self.send(listing, query=self.required_query(listing)).response.json
        for name, roles in listing.envelope.pagination.items():
            page_object = body.get(name) if isinstance(body, dict) else None
            for property_name, role in roles.items():
                if role == "total" and isinstance(page_object, dict):
                    return page_object.get(property_name)
        return None

    def shared_record(self, resource: str) -> CreatedRecord:
        """The record that checks share and do not change. Raises SkipCheck."""
        if resource not in self._shared_records:
            with self.payloads.isolated_random(resource):
                self._shared_records[resource] = self.create(resource)
        return self._shared_records[resource]

    def distinct_records(self, resource: str, number: int) -> list[CreatedRecord]:
        """At least `number` records with different values in all optional fields. Raises SkipCheck."""
        records = self._distinct_records.setdefault(resource, [])
        operation = self.creator(resource)
        while len(records) < number and not operation.path_parameter_names:
            changes = self.payloads.build_variation(operation, len(records), self.parent)
            try:
                records.append(self.create(resource, changes))
            except SkipCheck:
                if not changes or self.read_only:
                    raise
                records.append(self.create(resource))
        return records

    @property
    def shared_records(self) -> Mapping[str, CreatedRecord]:
        """The existing shared records, by resource."""
        return self._shared_records

    def parent(self, relation: Relation) -> tuple[str, Any]:
        """(resource, key) of a record that a relation may refer to: one of the run, or else an existing one."""
        resource = relation.targets[0]
        if self.tenant is not None and self.tenant.is_target_of(relation):
            return resource, self.tenant.key
        if self.contract.account_resource is not None and resource == self.contract.account_resource.name:
            return resource, self.key_of(resource, self.identity())
        try:
            return resource, self.shared_record(resource).key
        except SkipCheck:
            listing = self.require_operation(resource, "list")
            for row in self.rows(listing, {}, pages=1):
                return resource, self.key_of(resource, row)
            raise SkipCheck(f"no {resource} exists and none can be created") from None

    def delete(self, resource: str, key: Any) -> Exchange | None:
        """Delete a record of the run; None if the contract defines no operation for it."""
        operation = self.operation(resource, "delete")
        if operation is None:
            return None
        exchange = self.send(operation, path={operation.path_parameter_names[0]: key})
        if exchange.response.ok or exchange.response.status == 404:
            self.write_log.log_deleted(resource, key)
            shared = self._shared_records.get(resource)
            if shared is not None and shared.key == key:
                del self._shared_records[resource]
            distinct = self._distinct_records.get(resource, ())
            self._distinct_records[resource] = [record for record in distinct if record.key != key]
        return exchange

    def clean_up(self) -> list[tuple[str, Any]]:
        """Delete all records of the run, newest first, and restore borrowed records. Returns what remains."""
        for created in [
            *self.write_log.list_remaining(),
            *self.write_log.list_remaining(),
        ]:  # retries failed deletes once
            if created in self.write_log.list_remaining():
                with suppress(SkipCheck):
                    self.delete(created.resource, created.key)
        unrestored = list(restore(self))
        return [*((created.resource, created.key) for created in self.write_log.list_remaining()), *unrestored]

    # Lists ------------------------------------------------------------------------------------------------------------

    def required_query(self, operation: Operation) -> dict[str, Any]:
        """A value for each required query parameter: the key of a record if the parameter refers to one."""
        query: dict[str, Any] = {}
        for parameter in operation.query_parameters if operation.resource in self.contract.resources else ():
            if not parameter.required:
                continue
            path = parameter.x_query.paths[0] if parameter.x_query and parameter.x_query.role == "filter" else ()
            relation = self.resource(operation).relations.get(path[0]) if len(path) == 2 else None
            if relation is not None and path[1] == self.contract.resources[relation.targets[0]].key_attribute:
                query[parameter.name] = self.parent(relation)[1]
            else:
                query[parameter.name] = self.payloads.generate_value(parameter.schema, parameter.name)
        return query

    def rows(
        self, operation: Operation, query: Mapping[str, Any], *, pages: int = 50, actor: str = "self"
    ) -> Iterator[Mapping[str, Any]]:
        """The rows of a list, page by page. Raises SkipCheck if the list does not respond with rows."""
        names = {p.x_query.role: p.name for p in operation.query_parameters if p.x_query}
        required = self.required_query(operation)
        number = 1
        while number <= pages:
            page_query = {**required, **query}
            if "page" in names:
                page_query[names["page"]] = number
            if "size" in names:
                page_query.setdefault(names["size"], 100)
            exchange = self.send(operation, query=page_query, actor=actor)
            rows = self.data(operation, exchange) if exchange.response.ok else None
            if not isinstance(rows, list):
                raise SkipCheck(f"{operation.id}: got {exchange.response.status} without rows")
            yield from (row for row in rows if isinstance(row, dict))
            if not rows or "page" not in names or len(rows) < int(page_query.get(names.get("size", ""), 1)):
                return
            number += 1

    # Results shared by checks ----------------------------------------------------------------------------------------

    def run_once(self, name: Any, compute: Callable[[], Any]) -> Any:
        """Compute a result once per run, for calls that must not be repeated by a rerun."""
        if name not in self._results:
            self._results[name] = compute()
        return self._results[name]

    def store_result(self, name: Any, value: Any) -> None:
        """Store a result for a later check."""
        self._results[name] = value

    def pop_result(self, name: Any) -> Any:
        """Remove and return a stored result, or None."""
        return self._results.pop(name, None)

    # Reruns ----------------------------------------------------------------------------------------------------------

    def merge(self, other: "Session") -> None:
        """Add the call counts and the observed delay of another session of the run."""
        self.call_counts.update(other.call_counts)
        self.observed_delay = max(self.observed_delay, other.observed_delay)

    def new_state(self, number: int) -> "Session":
        """A session of the same run without shared records and findings, for rerun `number`."""
        return replace(self.same_state(number), _shared_records={}, _distinct_records={})

    def same_state(self, number: int) -> "Session":
        """A session of the same run with its shared records, for rerun `number`. Its texts carry another marker, since
        some values must be unique. Call counts and findings are separate until `merge`. No sequence is reduced again.
        """
        payloads = replace(self.payloads, marker=f"{self.payloads.marker}-{number}")
        return replace(self, payloads=payloads, findings={}, call_counts=Counter(), reduction_requests=0)
