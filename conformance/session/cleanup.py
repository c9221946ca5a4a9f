"""What a killed run left on its target: what its ledger tells, and records whose making it did not live to note.

Those are found by the run's marker, which stands in every text that it wrote: by a list's search, or in the list
itself. A record counts as the run's when a text of its own carries the marker, or one of the record that it goes with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import SkipCheck
from conformance.session.mutable_records import MutableRecords
from conformance.session.session import Session
from conformance.session.write_log import LoggedRun, RecordKey
from spec.loader import Operation, Resource

MAX_PAGES = 50  # of a list that are looked through
MAX_PASSES = 5  # a record may have to wait until others that lead to it are gone


@dataclass(slots=True)
class RunCleanup:
    """The leftovers of one run. `session`: one that speaks for that run. `unverified`: where could not be looked."""

    session: Session
    logged_run: LoggedRun
    discovered_count: int = 0
    unverified: list[str] = field(default_factory=list)

    def clean_up(self) -> list[tuple[str, Any]]:
        """Take everything away; what is left. Raises TargetLost."""
        for resource in self.session.contract.resources:
            self._discover(resource)
        keys = dict(self.logged_run.original_values.keys())
        original_values = {resource: values for (resource, _), values in self.logged_run.original_values.items()}
        self.session.mutable_records = MutableRecords(keys, original_values)
        remaining = self.session.clean_up()
        for _ in range(MAX_PASSES):
            if not remaining:
                break
            remaining = self.session.clean_up()
        return remaining

    def _discover(self, resource: str) -> None:
        """Note the records of a resource that carry the marker."""
        create_operations = [
            operation_id
            for operation_id in self.logged_run.write_operations
            if resource in self._resources_created_by(operation_id)
        ]
        is_uncertain = self.logged_run.pending_write[0] in create_operations
        list_operation = self.session.operation(resource, "list")
        if list_operation is None or self.session.operation(resource, "delete") is None:
            if is_uncertain and not self._is_covered_by_cascade(resource):
                self.unverified.append(
                    f"a {resource} may be left: the contract has no operation to list or to delete one"
                )
            return
        if not create_operations:
            return
        known_records = set(self.session.write_log.remaining())
        try:
            for key in self._keys_with_marker(list_operation, verify_empty_search=is_uncertain):
                if RecordKey(resource, key) not in known_records:
                    self.discovered_count += 1
                    self.session.write_log.log_created(resource, key)
        except SkipCheck as error:
            self.unverified.append(f"a {resource} may be left: {error}")

    def _is_covered_by_cascade(self, resource: str) -> bool:
        """Whether the unanswered write can have made nothing, or only what goes with a record that is taken away."""
        operation = self.session.contract.operations[self.logged_run.pending_write[0]]
        url_segments = self.logged_run.pending_write[1].partition("?")[0].split("/")
        path_keys = [
            url_segment
            for url_segment, template_segment in zip(url_segments, operation.path.split("/"), strict=False)
            if template_segment[:1] == "{"
        ]
        referenced_resources = [record.resource for record in self.logged_run.created if str(record.key) in path_keys]
        relations = self.session.contract.resources[resource].relations.values()
        cascades = {
            resource_name
            for relation in relations
            if relation.on_delete == "cascade"
            for resource_name in relation.targets
        }
        return bool(path_keys) and (not referenced_resources or bool(cascades & set(referenced_resources)))

    def _resources_created_by(self, operation_id: str) -> set[str]:
        """Resources that an operation may make records of."""
        operation = self.session.contract.operations.get(operation_id)
        view = self.session.contract.views.get(operation.envelope.view_name or "") if operation else None
        return {view.resource} if view and operation and operation.method == "post" else set()

    def _keys_with_marker(self, list_operation: Operation, *, verify_empty_search: bool) -> Iterator[Any]:
        """Keys of the rows that carry the marker; `verify_empty_search`: a search that finds none is not believed."""
        search = next(
            (
                parameter.name
                for parameter in list_operation.query_parameters
                if parameter.x_query and parameter.x_query.role == "search"
            ),
            None,
        )
        keys = [] if search is None else list(self._matching_keys(list_operation, {search: self.logged_run.marker}))
        if not keys and (search is None or verify_empty_search):
            keys = list(self._matching_keys(list_operation, {}))
        yield from keys

    def _matching_keys(self, list_operation: Operation, query: Mapping[str, Any]) -> Iterator[Any]:
        resource = self.session.resource(list_operation)
        for row in self.session.rows(list_operation, query, pages=MAX_PAGES):
            if isinstance(row, dict) and self._belongs_to_run(resource, row):
                yield self.session.key_of(resource.name, row)

    def _belongs_to_run(self, resource: Resource, row: Mapping[str, Any]) -> bool:
        if self._has_marker(row):
            return True
        parents = (
            relation.name
            for relation in resource.relations.values()
            if relation.is_stored and not relation.to_many and relation.on_delete == "cascade"
        )
        return any(isinstance(row.get(name), dict) and self._has_marker(row[name]) for name in parents)

    def _has_marker(self, record: Mapping[str, Any]) -> bool:
        return any(isinstance(value, str) and self.logged_run.marker in value for value in record.values())
