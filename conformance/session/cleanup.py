"""Deletes what a killed run left on its target: records in its write log, and created records that were not logged.

The latter are found by the marker of the run, which every text of the run contains. A write log is a file that anybody
can write, so a record is deleted only if the target shows that it belongs to the run:

- its own text, or the text of the record that it is deleted with, contains the marker,
- it is deleted with a record that the run created, or
- it has the time of creation that the write log contains, and the values of a logged write or a reference to a record
  of the run.

Other records of the write log are reported, except those that no longer exist, or were deleted with another record.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import SkipCheck, WriteLogError, not_testable
from conformance.session.created_records import read_creation_time
from conformance.session.mutable_records import MutableRecords
from conformance.session.session import Session
from conformance.session.write_log import LoggedRun, RecordKey, is_key
from conformance.transport.messages import GONE_STATUSES, Actor, iter_texts
from spec.model import Operation, Relation, Resource

MAX_PAGES = 50  # pages of a list that are searched
OTHER_ACTORS = (Actor.OTHER_TENANT, Actor.MEMBER)
MAX_PASSES = 5  # a record may be deletable only after the records that refer to it


@dataclass(slots=True)
class RunCleanup:
    """Cleanup of one run.

    `session`: a session with the marker of that run. `unverified`: what could not be checked. `unproven`: record of the
    write log -> why it may belong to another client, so that it is not deleted. `_own`: records that belong to the run.
    """

    session: Session
    logged_run: LoggedRun
    discovered_count: int = 0
    unverified: list[str] = field(default_factory=list)
    unproven: dict[RecordKey, str] = field(default_factory=dict)
    _own: set[RecordKey] = field(default_factory=set)

    def clean_up(self) -> list[tuple[str, Any]]:
        """Delete everything; returns what remains. Raises TargetUnreachable."""
        for resource in self.session.contract.resources:
            self.discover_records(resource)
        keys = dict(self.logged_run.original_values.keys())
        original_values = {resource: values for (resource, _), values in self.logged_run.original_values.items()}
        self.session.client.mutable_records = MutableRecords(keys, original_values)
        remaining, previous = self._delete_own(), None
        for _ in range(MAX_PASSES):
            if not remaining or (remaining == previous and len(remaining) == len(self.unproven)):
                break
            remaining, previous = self._delete_own(), remaining
        return remaining

    def _delete_own(self) -> list[tuple[str, Any]]:
        """Delete the records that belong to the run, and restore the borrowed ones; returns what remains."""
        created_records = self.session.write_log.created_records
        self._verify(created_records[::-1])
        unproven = list(self.unproven)
        created_records[:] = [record for record in created_records if record in self._own]
        try:
            remaining = self.session.clean_up()
        finally:
            created_records[:0] = unproven
        for record in filter(self._is_deleted_with_parent, unproven):
            self._log_missing(record)
            del self.unproven[record]
        return [*remaining, *self.unproven]

    def _is_deleted_with_parent(self, record: RecordKey) -> bool:
        """Whether a record was deleted together with another one that the run created."""
        parent = self.logged_run.parents.get(record)
        return parent in self.logged_run.created and parent not in self.session.write_log.created_records

    def _log_missing(self, record: RecordKey) -> None:
        with suppress(WriteLogError):
            self.session.write_log.log_deleted(*record)

    def _verify(self, records: Iterable[RecordKey]) -> None:
        """Determine which records belong to the run, and why not the others; log the missing ones as deleted."""
        bodies: dict[RecordKey, Mapping[str, Any]] = {}
        reasons: dict[RecordKey, str] = {}
        for record in dict.fromkeys(records):
            try:
                body = self._retrieve(record)
            except SkipCheck as error:
                body, reasons[record] = {}, f"it could not be retrieved ({error})"
            if body is not None:
                bodies[record] = body
        while proven := {record for record in bodies.keys() - self._own if self._is_own(record, bodies[record])}:
            self._own |= proven
        default = f"it has no text with the marker {self.logged_run.marker}, or was changed since"
        self.unproven = {record: reasons.get(record, default) for record in bodies if record not in self._own}

    def _retrieve(self, record: RecordKey) -> Mapping[str, Any] | None:
        """The record as the target shows it; None if it does not exist. Raises SkipCheck."""
        operations = self.session.operations
        retrieve, list_operation = (operations.find(record.resource, action) for action in ("retrieve", "list"))
        if record.resource not in self.session.contract.resources or (retrieve is None and list_operation is None):
            raise SkipCheck(not_testable("the contract defines no operation for it"))
        if retrieve is None:
            rows = self.session.records.rows(list_operation, {}, pages=MAX_PAGES) if list_operation else ()
            key = self.session.contract.resources[record.resource].key_attribute
            body = next((row for row in rows if row.get(key) == record.key), None)
        else:
            exchange = self.session.client.retrieve(record.resource, record.key)
            body = operations.data(retrieve, exchange) if exchange.response.ok else None
            if exchange.response.status not in GONE_STATUSES and not isinstance(body, dict):
                raise SkipCheck(f"{retrieve.id}: got {exchange.response.status}")
        if body is None:
            self._delete_with_other_tokens(record)
            self._log_missing(record)
        return body

    def _delete_with_other_tokens(self, record: RecordKey) -> None:
        """Delete a record that the token of the run does not see, if another token shows that it belongs to the run."""
        session, resource = self.session, self.session.contract.resources[record.resource]
        retrieve, delete = (session.operations.find(resource.name, action) for action in ("retrieve", "delete"))
        if retrieve is None or delete is None:
            return
        for actor in filter(session.client.has_token, OTHER_ACTORS):
            exchange = session.client.retrieve(resource.name, record.key, actor=actor)
            body = session.operations.data(retrieve, exchange) if exchange.response.ok else None
            if isinstance(body, Mapping) and self._belongs_to_run(resource, body):
                path = {delete.path_parameter_names[0]: record.key}
                status = session.client.send(delete, path=path, actor=actor).response.status
                if status >= 400:
                    name = f"{record.resource} {record.key}"
                    self.unverified.append(f"{name} of another user remains: {delete.id} returned {status}")
                return

    def _is_own(self, record: RecordKey, body: Mapping[str, Any]) -> bool:
        """Whether a record as the target shows it belongs to the run; an empty `body` shows nothing."""
        resource = self.session.contract.resources.get(record.resource)
        if resource is None:
            return False
        if self._belongs_to_run(resource, body):
            return True
        referring = [relation for relation in resource.relations.values() if self._refers_to_own(relation, body)]
        if any(relation.on_delete == "cascade" for relation in referring):
            return True
        created_at = self.logged_run.creation_times.get(record)
        if not created_at or read_creation_time(resource, body) != created_at:
            return False
        written_values = self.logged_run.written_values.get(record, ())
        return bool(referring) or any(_has_values(body, values) for values in written_values)

    def _refers_to_own(self, relation: Relation, body: Mapping[str, Any]) -> bool:
        """Whether a record refers to a record that belongs to the run."""
        related = body.get(relation.name)
        if not relation.is_stored or relation.to_many or not isinstance(related, dict):
            return False
        resources = self.session.contract.resources
        keys = ((target, related.get(resources[target].key_attribute)) for target in relation.targets)
        return any(is_key(key) and RecordKey(target, key) in self._own for target, key in keys)

    def discover_records(self, resource: str) -> None:
        """Log the records of a resource that the write log lacks: those that contain the marker of the run."""
        writes = self.logged_run.write_operations
        create_operations = [name for name in writes if resource in self._resources_created_by(name)]
        is_pending = self.logged_run.pending_write[0] in create_operations
        list_operation = self.session.operations.find(resource, "list")
        if list_operation is None or self.session.operations.find(resource, "delete") is None:
            if is_pending and not self._is_covered_by_cascade(resource):
                self.unverified.append(f"a {resource} may remain: the contract defines no list or delete operation")
            return
        self._log_records_of_others(list_operation)
        if not create_operations:
            return
        try:
            may_have_created = self.logged_run.last_write in create_operations
            is_found = self._log_unlogged(list_operation, read_all_rows=may_have_created)
            if is_pending and not is_found:
                self.session.client.sleep(self.session.options.consistency_timeout)  # it may still be executed
                is_found = self._log_unlogged(list_operation, read_all_rows=True)
            if is_pending and not is_found and self.logged_run.unmarked_values is not None:
                self._report_unmarked(list_operation, self.logged_run.unmarked_values)
        except SkipCheck as error:
            self.unverified.append(f"a {resource} may remain: {error}")

    def _log_unlogged(self, list_operation: Operation, *, read_all_rows: bool, actor: Actor = Actor.OWNER) -> bool:
        """Log the records of the run that its write log lacks; returns whether there are any."""
        resource = self.session.operations.resource(list_operation).name
        known_records = set(self.session.write_log.list_remaining())
        keys = self._find_marked_keys(list_operation, read_all_rows=read_all_rows, actor=actor)
        unlogged = [key for key in keys if RecordKey(resource, key) not in known_records]
        for key in unlogged:
            self.session.write_log.log_created(resource, key)
        self.discovered_count += len(unlogged)
        return bool(unlogged)

    def _log_records_of_others(self, list_operation: Operation) -> None:
        """Log the records that the run created with another token, if it has that token."""
        resource = self.session.operations.resource(list_operation).name
        for actor, operations in self.logged_run.writes_of_others.items():
            if self.session.client.has_token(actor) and any(
                resource in self._resources_created_by(name) for name in operations
            ):
                with suppress(SkipCheck):
                    self._log_unlogged(list_operation, read_all_rows=False, actor=actor)

    def _report_unmarked(self, list_operation: Operation, values: Mapping[str, Any]) -> None:
        """Report the records that the last write may have created, whose body had no marker: they are not deleted."""
        resource = self.session.operations.resource(list_operation).name
        if not values:
            self.unverified.append(f"a {resource} may remain: the last create contained no text with the marker")
            return
        known_records = set(self.session.write_log.list_remaining())
        for row in self.session.records.rows(list_operation, {}, pages=MAX_PAGES):
            key = self.session.operations.key_of(resource, row)
            if RecordKey(resource, key) not in known_records and _has_values(row, values):
                self.unverified.append(f"{resource} {key} may belong to the run: it has the values of the last create")

    def _is_covered_by_cascade(self, resource: str) -> bool:
        """Whether the unanswered write created nothing, or only what is deleted with another record."""
        operation = self.session.contract.operations[self.logged_run.pending_write[0]]
        url_segments = self.logged_run.pending_write[1].partition("?")[0].split("/")
        segments = zip(url_segments, operation.path.split("/"), strict=False)
        path_keys = [value for value, template in segments if template[:1] == "{"]
        referenced_resources = [record.resource for record in self.logged_run.created if str(record.key) in path_keys]
        relations = self.session.contract.resources[resource].relations.values()
        cascades = {name for relation in relations if relation.on_delete == "cascade" for name in relation.targets}
        return bool(path_keys) and (not referenced_resources or bool(cascades & set(referenced_resources)))

    def _resources_created_by(self, operation_id: str) -> set[str]:
        """The resources that an operation may create."""
        operation = self.session.contract.operations.get(operation_id)
        view = self.session.contract.views.get(operation.envelope.view_name or "") if operation else None
        return {view.resource} if view and operation and operation.method == "post" else set()

    def _find_marked_keys(self, list_operation: Operation, *, read_all_rows: bool, actor: Actor) -> list[Any]:
        """Return the keys of the rows with the marker. `read_all_rows`: a search finds only some texts."""
        parameters = (p.name for p in list_operation.query_parameters if p.x_query and p.x_query.role == "search")
        search = next(parameters, None)
        queries: list[dict[str, str]] = [{}] if search is None or read_all_rows else []
        queries += [{search: self.logged_run.marker}] if search is not None else []
        resource = self.session.operations.resource(list_operation)
        keys: dict[Any, None] = {}  # in order, without duplicates
        for query in queries:
            for row in self.session.records.rows(list_operation, query, pages=MAX_PAGES, actor=actor):
                if self._belongs_to_run(resource, row):
                    keys[self.session.operations.key_of(resource.name, row)] = None
        return list(keys)

    def _belongs_to_run(self, resource: Resource, row: Mapping[str, Any]) -> bool:
        if self._has_marker({name: row[name] for name in resource.attributes if name in row}):
            return True
        references = (r for r in resource.relations.values() if r.is_stored and not r.to_many)
        parents = (row.get(r.name) for r in references if r.on_delete == "cascade")
        return any(isinstance(parent, dict) and self._has_marker(parent) for parent in parents)

    def _has_marker(self, record: Mapping[str, Any]) -> bool:
        return any(self.logged_run.marker in text for text in iter_texts(dict(record)))


def _has_values(row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a row shows the values of a create; those that it does not show are ignored."""
    names = values.keys() & row.keys()
    return bool(names) and all(_normalize(row[name]) == _normalize(values[name]) for name in names)


def _normalize(value: Any) -> Any:
    """A value as most targets store it: text without surrounding spaces, and "" as null."""
    return value.strip().casefold() or None if isinstance(value, str) else value
