"""Finds the records that a response shows as created by the run, so that cleanup deletes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.responses.records import NestedRecord, find_records
from conformance.session.write_log import RecordKey, WriteLog, find_records_in, is_key
from conformance.transport.messages import Actor, Exchange, Request, iter_leaves, iter_texts
from spec.lenient_json import parse_leniently
from spec.model import Contract, Operation, Resource
from spec.validators import SchemaValidators

MIN_MARKER_CHARS = 4


@dataclass(frozen=True, slots=True)
class CreatedRecordFinder:
    """Finds created records in responses. `marker`: the text that all records of the run contain."""

    contract: Contract
    schemas: SchemaValidators
    write_log: WriteLog
    marker: str

    def find_records(self, operation: Operation, exchange: Exchange) -> Iterator[NestedRecord]:
        """Yield the records in a successful response that are not part of another record."""
        pointer = operation.envelope.schema_pointer if exchange.response.ok else None
        if pointer is not None:
            yield from find_records(self.contract, self.schemas, pointer, exchange.response.json)

    def find_unmarked_values(self, operation: Operation, request: Request) -> dict[str, Any] | None:
        """Return the values that a create or update sets, if none of them has the marker.

        None if one has, if the operation does neither, and if a created record is deleted with one of the run.
        """
        view = self.contract.views.get(operation.envelope.view_name or "")
        if view is None or request.method != operation.method:
            return None
        if operation.action != "update":
            is_create = (operation.method, operation.envelope.status) == ("post", 201)
            resource = self.contract.resources[view.resource]
            if not is_create or self._find_parent(resource, operation, request) is not None:
                return None
        values = {name: value for name, value in _read_fields(request).items() if name in view.property_names}
        return None if any(self.marker in text for text in iter_texts(values)) else values

    def _find_parent(self, resource: Resource, operation: Operation, request: Request) -> RecordKey | None:
        """Return a record of the run that a request refers to, and that a created record is deleted with.

        A number refers to a record only in the path and in fields that set a relation.
        """
        relations = resource.relations.values()
        cascades = {name for r in relations if r.on_delete == "cascade" for name in r.targets}
        fields = _read_fields(request)
        setters = (value for name, value in fields.items() if _sets_relation(operation, name))
        keys = {*iter_texts(fields), *map(str, (*request.path_values.values(), *iter_leaves(list(setters))))}
        records = self.write_log.created_records
        return next((record for record in records if record.resource in cascades and str(record.key) in keys), None)

    def log_created(self, operation: Operation, exchange: Exchange) -> None:
        """Log the records that the response to a POST shows as created.

        These are the result of a 201 or of a create, records with the marker of the run, and those that refer to one.
        """
        is_create = operation.envelope.status == 201 or operation.action == "create"
        is_result = is_create and operation.envelope.view_name is not None
        for nested in self.find_records(operation, exchange) if operation.method == "post" else ():
            resource, record = self.contract.resources[nested.view.resource], nested.record
            key = RecordKey(resource.name, record.get(resource.key_attribute))
            if not is_key(key.key) or key in self.write_log.created_records:
                continue
            if is_result or self._has_marker(resource, record) or self._references_own_record(resource, record):
                is_marked = is_result and self._sends_marker(resource, record, exchange.request.body)
                created_at = read_creation_time(resource, record)
                parent = self._find_parent(resource, operation, exchange.request)
                self.write_log.log_created(*key, is_marked=is_marked, created_at=created_at, parent=parent)
                if is_result and exchange.request.actor is Actor.OWNER:
                    self.write_log.references[key] = self._find_references(exchange, exchange.response.json) - {key}

    def log_update(self, exchange: Exchange) -> None:
        """Log which records of the run a successful write to another one names: it may refer to them from now on."""
        named = self._find_references(exchange)
        for record in find_records_in(exchange.request.target, self.write_log.references):
            self.write_log.references[record] |= named - {record}

    def _find_references(self, exchange: Exchange, *bodies: Any) -> set[RecordKey]:
        """Return the records of the run that the path and the fields of a request, or other bodies, name."""
        request = exchange.request
        values = [_read_fields(request), dict(request.path_values), dict(request.query), *bodies]
        return self.write_log.find_named({str(leaf) for value in values for leaf in iter_leaves(value)})

    def _has_marker(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        return any(self.marker in str(record.get(name, "")) for name in resource.attributes)

    def _sends_marker(self, resource: Resource, record: Mapping[str, Any], body: Any) -> bool:
        """Whether a request body has the marker in a text of the record, so that a retrieve shows it."""
        fields = body if isinstance(body, dict) else {}
        return any(self.marker in str(fields.get(name, "")) for name in resource.attributes if name in record)

    def is_foreign(self, record_key: RecordKey, record: Any) -> bool:
        """Whether a retrieved record that the run created with its marker has none: it belongs to another client.

        A shortened marker counts.
        """
        views = self.contract.views_by_resource[record_key.resource]
        if record_key not in self.write_log.marked_records or not isinstance(record, dict):
            return False
        if not any(self.schemas.get(view.pointer, "read").is_valid(record) for view in views):
            return False  # a wrong representation proves nothing
        attributes = self.contract.resources[record_key.resource].attributes
        texts = [text.casefold() for name in attributes for text in iter_texts(record.get(name))]
        is_shortened = any(len(text) >= MIN_MARKER_CHARS and self.marker.startswith(text) for text in texts)
        return not is_shortened and all(self.marker not in text for text in texts)

    def _references_own_record(self, resource: Resource, record: Mapping[str, Any]) -> bool:
        for relation in resource.relations.values():
            related = record.get(relation.name)
            if relation.is_stored and not relation.to_many and isinstance(related, dict) and len(relation.targets) == 1:
                target = self.contract.resources[relation.targets[0]]
                key = related.get(target.key_attribute)
                if is_key(key) and RecordKey(target.name, key) in self.write_log.created_records:
                    return True
        return False


def read_creation_time(resource: Resource, record: Mapping[str, Any]) -> str:
    """The time of creation that a record shows, or ""."""
    times = (record.get(name) for name in resource.attributes_with_stamp("created"))
    return next((time for time in times if isinstance(time, str)), "")


def _sets_relation(operation: Operation, name: str) -> bool:
    field = operation.body_fields.get(name)
    return field is not None and field.relation_setter is not None


def _read_fields(request: Request) -> dict[str, Any]:
    """The fields of a request body; empty if it is no JSON object."""
    body = request.body
    if request.raw_body is not None:
        try:
            body = parse_leniently(request.raw_body)
        except ValueError:
            return {}
    return dict(body) if isinstance(body, Mapping) else {}
