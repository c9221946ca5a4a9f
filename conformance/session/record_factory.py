"""Creates and deletes the records that checks need, and shares them between checks."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.errors import READ_ONLY, SkipCheck
from conformance.session.borrowed import borrow
from conformance.session.client import TrackedClient
from conformance.session.example_values import ExampleValues
from conformance.session.payloads import PayloadFactory
from conformance.transport.messages import Actor, Exchange
from spec.extensions import POSITION_ROLES
from spec.model import Operation, Relation

MAX_PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class CreatedRecord:
    """A record that the run created or borrowed: its key, the request body, and the record in the response (`body`).

    `request_body` is empty if the record is borrowed.
    """

    resource: str
    key: Any
    request_body: Mapping[str, Any]
    body: Mapping[str, Any]
    exchange: Exchange


@dataclass(slots=True)
class RecordFactory:
    """Creates records with valid values.

    `shared`: the records that checks share and do not change, by resource. `creates_without_key`: resource -> number of
    successful creates whose response has no key: cleanup cannot delete these records.
    `_measured`: resources whose delay is known. `_accepted_values`: (resource, key) -> fields that the target accepted.
    """

    client: TrackedClient
    payloads: PayloadFactory
    shared: dict[str, CreatedRecord] = field(default_factory=dict)
    creates_without_key: Counter[str] = field(default_factory=Counter)
    _distinct: dict[str, list[CreatedRecord]] = field(default_factory=dict)
    _measured: set[str] = field(default_factory=set)
    _accepted_values: dict[tuple[str, Any], Mapping[str, Any]] = field(default_factory=dict)

    @property
    def examples(self) -> ExampleValues:
        """Values for operations without an action."""
        return ExampleValues(self.payloads, self.client.responses.schemas)

    # Creates

    def create(
        self, resource: str, changes: Mapping[str, Any] | None = None, *, parent_key: Any = None
    ) -> CreatedRecord:
        """Create a record with everything it requires, or borrow one of `mutable_records`. Raises SkipCheck.

        `parent_key`: key of the record in the path of the create operation; by default that of the shared record.
        """
        client = self.client
        if client.options.read_only:
            raise SkipCheck(READ_ONLY)
        if resource in client.mutable_records.keys and not self._is_creatable(resource):
            key, borrowed_record, exchange = borrow(client, resource)
            self.log_accepted(resource, key, client.mutable_records.original_values[resource])
            return CreatedRecord(resource, key, {}, borrowed_record, exchange)
        operation, path_values = client.operations.creator(resource), {}
        if operation.path_parameter_names:
            key = self.shared_record(operation.resource or "").key if parent_key is None else parent_key
            path_values = {operation.path_parameter_names[0]: key}
        if operation.effects:
            client.charge_call(operation)
        tenant_fields = client.tenant.create_fields(operation) if client.tenant else {}
        body = {**self.payloads.build(operation, self.parent), **tenant_fields, **(changes or {})}
        if path_values:
            body = {**self.payloads.optional_lists(operation), **body}
        body = self.payloads.ensure_marker(operation, body)
        previous_total = None if resource in self._measured else self._list_total(resource)
        exchange = client.send(operation, path=path_values, body=body)
        key, record = self._read_created(resource, operation, exchange)
        self.log_accepted(resource, key, body)
        self._measure_delay(resource, key, previous_total)
        return CreatedRecord(resource, key, body, record, exchange)

    def _read_created(self, resource: str, operation: Operation, exchange: Exchange) -> tuple[Any, Mapping[str, Any]]:
        """Return (key, record) of a create response. Raises SkipCheck."""
        record = self.client.operations.data(operation, exchange)
        is_list_expected = bool(operation.path_parameter_names)  # a POST on another record that creates several
        if isinstance(record, list) and record and (is_list_expected or len(record) == 1):
            record = record[0]  # some backends return a list of one key
        if not exchange.response.ok:
            raise SkipCheck(f"{operation.id}: got {exchange.response.status}: {exchange.response.excerpt}")
        try:
            return self.client.operations.key_of(resource, record if isinstance(record, dict) else {}), record
        except SkipCheck:
            self.creates_without_key[resource] += 1
            raise

    def log_accepted(self, resource: str, key: Any, body: Mapping[str, Any]) -> None:
        """Record the body of a successful write of a record."""
        self._accepted_values[resource, key] = {**self._accepted_values.get((resource, key), {}), **body}

    def build_update(self, operation: Operation, resource: str, key: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
        """An update with `changes`, and with the other fields that its schema requires.

        These have the values that the target accepted last, or else generated ones. Raises SkipCheck.
        """
        accepted, body = self._accepted_values.get((resource, key), {}), dict(changes)
        for missing in self.payloads.missing_fields(operation, body):
            setter = missing.relation_setter
            names = (missing.name, *([setter.discriminator] if setter and setter.discriminator else []))
            if all(name in accepted for name in names):
                body |= {name: accepted[name] for name in names if name not in body}
            elif missing.name not in body:
                body = {**self.payloads.build_field(operation, missing, self.parent), **body}
        return body

    def _is_creatable(self, resource: str) -> bool:
        creator = self.client.operations.contract.find_create_operation(resource)
        return creator is not None and (self.client.options.allow_effects or not creator.effects)

    def _measure_delay(self, resource: str, key: Any, previous_total: Any) -> None:
        """Measure, once per resource, how long a new record takes to appear in reads and in the total of its list.

        A delay is not a failure. `previous_total`: the total before the create.
        """
        if resource in self._measured:
            return
        self._measured.add(resource)

        def find_problem() -> str:
            retrieve = self.client.operations.find(resource, "retrieve")
            if retrieve is not None and not self.client.retrieve(resource, key).response.ok:
                return "the record is missing"
            is_counted = previous_total is None or self._list_total(resource) != previous_total
            return "" if is_counted else "the record is not counted"

        self.client.wait_until(find_problem)

    def _list_total(self, resource: str) -> Any:
        """Return the total that the list of a resource returns; None if it has none."""
        listing = self.client.operations.find(resource, "list")
        if listing is None:
            return None
        body = self.client.send(listing, query=self.required_query(listing)).response.json
        return listing.envelope.read_page_values(body).get("total")

    # Records that checks share

    def shared_record(self, resource: str) -> CreatedRecord:
        """Return the record that checks share and do not change. Raises SkipCheck."""
        if resource not in self.shared:
            with self.payloads.isolated_random(resource):
                self.shared[resource] = self.create(resource)
        return self.shared[resource]

    def distinct_records(self, resource: str, number: int) -> list[CreatedRecord]:
        """Return at least `number` records whose optional fields vary; none if creation requires a parent in the path.

        Raises SkipCheck.
        """
        records = self._distinct.setdefault(resource, [])
        operation = self.client.operations.creator(resource)
        while len(records) < number and not operation.path_parameter_names:
            records.append(self.create_variation(resource, len(records)))
        return records

    def create_variation(self, resource: str, number: int) -> CreatedRecord:
        """Create a record whose optional fields depend on `number`; without them if they are rejected.

        Raises SkipCheck.
        """
        operation = self.client.operations.find(resource, "create")
        changes = self.payloads.build_variation(operation, number, self.parent) if operation is not None else {}
        try:
            return self.create(resource, changes)
        except SkipCheck:
            if not changes or self.client.options.read_only:
                raise
            return self.create(resource)

    def parent(self, relation: Relation) -> tuple[str, Any]:
        """Return (resource, key) of a record that a relation may refer to.

        It is one of the run, or else an existing one. Raises SkipCheck.
        """
        client, resource = self.client, relation.targets[0]
        account = client.operations.contract.account_resource
        if client.tenant is not None and relation.targets == (client.tenant.resource.name,):
            return resource, client.tenant.key
        if account is not None and resource == account.name:
            return resource, client.operations.key_of(resource, client.identity())
        try:
            return resource, self.shared_record(resource).key
        except SkipCheck:
            listing = client.operations.require(resource, "list")
            for row in self.rows(listing, {}, pages=1):
                return resource, client.operations.key_of(resource, row)
            raise SkipCheck(f"no {resource} exists and none can be created") from None

    # Deletes

    def delete(self, resource: str, key: Any) -> Exchange | None:
        """Delete a record of the run; None if the contract defines no operation for it."""
        operation = self.client.operations.find(resource, "delete")
        if operation is None:
            return None
        exchange = self.client.send(operation, path={operation.path_parameter_names[0]: key})
        if exchange.response.ok or exchange.response.status == 404:
            self.client.write_log.log_deleted(resource, key)
            shared = self.shared.get(resource)
            if shared is not None and shared.key == key:
                del self.shared[resource]
            self._distinct[resource] = [record for record in self._distinct.get(resource, ()) if record.key != key]
        return exchange

    # Lists

    def required_query(self, operation: Operation) -> dict[str, Any]:
        """Return a value for each required query parameter: a key if the parameter refers to a record."""
        if operation.is_static:
            return self.examples.encode_parameters(operation, "query")
        query: dict[str, Any] = {}
        resources = self.client.operations.contract.resources
        resource = resources.get(operation.resource or "")
        for parameter in operation.query_parameters:
            if not parameter.required:
                continue
            path = parameter.x_query.paths[0] if parameter.x_query and parameter.x_query.role == "filter" else ()
            relation = resource.relations.get(path[0]) if resource is not None and len(path) == 2 else None
            if relation is not None and path[1] == resources[relation.targets[0]].key_attribute:
                query[parameter.name] = self.parent(relation)[1]
            else:
                query[parameter.name] = self.payloads.generate_value(parameter.schema, parameter.name)
        return query

    def rows(
        self, operation: Operation, query: Mapping[str, Any], *, pages: int = 50, actor: Actor = Actor.OWNER
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of at most `pages` pages of a list. Raises SkipCheck if a response has no rows."""
        names = {p.x_query.role: p.name for p in operation.query_parameters if p.x_query}
        size = next((p for p in operation.query_parameters if p.x_query and p.x_query.role == "size"), None)
        role = next((role for role in POSITION_ROLES if role in names), "")
        required, row_count = self.required_query(operation), 0
        positions: dict[str, Any] = {names["page"]: 1} if role == "page" else {}
        for number in range(1, pages + 1):
            page_query = {**required, **query, **positions}
            if size is not None:
                page_query.setdefault(size.name, min(MAX_PAGE_ROWS, int(size.schema.get("maximum", MAX_PAGE_ROWS))))
            exchange = self.client.send(operation, query=page_query, actor=actor)
            rows = self.client.operations.data(operation, exchange) if exchange.response.ok else None
            if not isinstance(rows, list):
                raise SkipCheck(f"{operation.id}: got {exchange.response.status} without rows")
            yield from (row for row in rows if isinstance(row, dict))
            row_count += len(rows)
            cursor = operation.envelope.read_page_values(exchange.response.json).get("next-cursor")
            position = {"page": number + 1, "offset": row_count, "cursor": cursor}.get(role)
            if not rows or not position or len(rows) < int(page_query[size.name] if size else 1):
                return
            positions = {names[role]: position}

    # Reruns

    def for_rerun(self, client: TrackedClient, number: int) -> "RecordFactory":
        """Create a factory with the same records, whose texts carry another marker: some values must be unique."""
        payloads = replace(self.payloads, marker=f"{self.payloads.marker}-{number}")
        return replace(self, client=client, payloads=payloads)

    def without_records(self) -> "RecordFactory":
        """Create a factory that shares no records."""
        return replace(self, shared={}, _distinct={})
