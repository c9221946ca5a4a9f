"""Creates related records in a sandbox: all of a request or none.

A property may refer to a record of the same request by its resource and position: ``$Thread.0``. Missing attributes
get values from the pools of the dataset's image. Owner and tenant are those of the first user. Another missing relation
that may not be null refers to the newest record that this user can access, or to a new one.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.control.document import (
    COUNT_PROPERTY,
    MAX_RECORDS,
    NEW_RECORD_PATTERN,
    RECORD_SCHEMA_SUFFIX,
    may_be_empty,
)
from mock_server.errors import ApiError, ErrorKind
from mock_server.query import Viewer
from mock_server.query.visibility import build_visibility_condition
from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.store import StoredRecord
from mock_server.store.pools import read_pool
from mock_server.store.schema import encode_reference, parse_key
from mock_server.web.validation import MAX_LISTED_ERRORS
from mock_server.web.validation_messages import (
    MAX_FIELD_CHARS,
    describe_error,
    describe_names,
    list_field_errors,
    required_error,
)
from mock_server.web.violations import find_violations
from spec.document import snake_case
from spec.model import Contract, Relation, Resource
from spec.record import Record, Reference
from spec.validators import SchemaValidators

_NEW_RECORD = re.compile(NEW_RECORD_PATTERN, re.ASCII)
_FILE_PATH = re.compile(r"(/storage/[^/]+/)[^/]+(\.[^/.]+)")

FieldErrors = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to create. `path`: the location of its properties in the body; `values`: its properties as sent."""

    resource: Resource
    path: tuple[str, ...]
    values: Mapping[str, Any]


async def create_records(request: ControlRequest) -> ControlResult:
    """Create the records of the body. Raises ApiError (404, 409, 422) with all errors."""
    entry = await request.find_entry()
    sandbox = entry.sandbox
    builder = add_records(sandbox, request.validators, request.body)
    body: dict[str, list[Any]] = {}
    for reference in builder.created:
        record = sandbox.store.get_existing(reference)
        body.setdefault(record.resource, []).append(describe_record(sandbox, record))
    return ControlResult(HTTPStatus.CREATED, body)


def add_records(sandbox: Sandbox, validators: SchemaValidators, body: Mapping[str, Any]) -> "RecordBuilder":
    """Add the records of a body to a sandbox. `validators`: of the document of the control API.

    Raises ApiError (404, 409, 422) with all errors; then nothing is added.
    """
    new_records = parse_records(sandbox.contract, validators, body)
    sandbox.apply_scheduled_changes(sandbox.clock.now())
    sandbox.prepare_write()
    builder = RecordBuilder.from_sandbox(sandbox, new_records)
    with sandbox.store.transaction():
        builder.add_all()
        if builder.errors:
            raise create_records_error(ErrorKind.CONTROL_NOT_FOUND, builder.errors)
    return builder


def parse_records(contract: Contract, validators: SchemaValidators, body: Any) -> dict[str, list[NewRecord]]:
    """Return the records by resource. Raises ApiError: 422 with all errors, 409 for too many records."""
    records: dict[str, list[NewRecord]] = {}
    errors: FieldErrors = {}
    for name, value in body.items():
        resource = contract.resources.get(name)
        if resource is None:
            expected = describe_names(name, sorted(contract.resources))
            message = f"The contract has no resource of this name (expected {expected})."
            errors[name[:MAX_FIELD_CHARS]] = [message]
            continue
        records[name] = list(_iter_records(resource, value, errors))
        pointer = f"#/components/schemas/{name}{RECORD_SCHEMA_SUFFIX}"
        validated_paths: set[tuple[str, ...]] = set()
        for record in records[name]:
            if record.path not in validated_paths:
                validated_paths.add(record.path)
                validate_record(validators, pointer, record, errors)
    if errors:
        raise create_records_error(ErrorKind.VALIDATION_FAILED, errors)
    total = sum(map(len, records.values()))
    if total > MAX_RECORDS:
        message = f"The request has {total} records (maximum {MAX_RECORDS})."
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message)
    return records


def _iter_records(resource: Resource, value: Any, errors: FieldErrors) -> Iterator[NewRecord]:
    """Yield the records of an array, or of an object that represents `count` equal ones."""
    if isinstance(value, list):
        for index, item in enumerate(value[: MAX_RECORDS + 1]):
            yield NewRecord(resource, (resource.name, str(index)), item)
        return
    if not isinstance(value, dict):
        errors[resource.name] = [f"The {resource.name} field must be an array of records, or an object."]
        return
    values, path = {name: item for name, item in value.items() if name != COUNT_PROPERTY}, (resource.name,)
    count = value.get(COUNT_PROPERTY, 1)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_RECORDS:
        field_name = f"{resource.name}.{COUNT_PROPERTY}"
        errors[field_name] = [f"The {field_name} field must be an integer between 1 and {MAX_RECORDS}."]
        count = 1
    for _ in range(count):
        yield NewRecord(resource, path, values)


def validate_record(validators: SchemaValidators, pointer: str, record: NewRecord, errors: FieldErrors) -> None:
    """Add the violations of the schema at `pointer` to `errors`."""
    validator = validators.get(pointer, "write")
    if not validator.is_valid(record.values):
        violations = find_violations(validator, record.values)
        for error in list_field_errors(violations, pointer, path_prefix=record.path):
            is_listed = len(errors) < MAX_LISTED_ERRORS
            message = describe_error(validators.document, error) if is_listed else error.message
            errors.setdefault(error.field, []).append(message)


def create_records_error(kind: ErrorKind, errors: FieldErrors) -> ApiError:
    """Return the error for fields of records, with as many messages as a response may have."""
    listed = dict(list(errors.items())[:MAX_LISTED_ERRORS])
    unlisted_count = len(errors) - len(listed)
    if kind is ErrorKind.VALIDATION_FAILED:
        return ApiError(kind, errors=listed, unlisted_count=unlisted_count)
    first = next(iter(listed.values()))[0]
    return ApiError(kind, errors=listed, message=first)


def _create_conflict(sandbox: Sandbox, new_record: NewRecord) -> ApiError:
    """Return the error (409) for a record whose key, or whose number, another record has."""
    resource, values = new_record.resource, new_record.values
    key = values.get(resource.key_attribute)
    names = [name for name, attribute in resource.attributes.items() if attribute.stamp == "number" and name in values]
    parsed_key = None if key is None else parse_key(resource, key)
    if parsed_key is not None and (sandbox.store.get(resource.name, parsed_key) is not None or not names):
        names = [resource.key_attribute]
    field_name = ".".join((*new_record.path, *names[:1]))
    received = f" {str(values[names[0]])[:100]!r}" if names else ""
    message = f"{field_name}: the {resource.name}{received} exists (expected one that no other record has)."
    return create_records_error(ErrorKind.CONTROL_CONFLICT, {field_name: [message]})


def describe_record(sandbox: Sandbox, record: StoredRecord) -> dict[str, Any]:
    """Return the attributes and references of a record in the format of a request."""
    values = dict(record.attributes)
    for relation in sandbox.contract.resources[record.resource].relations.values():
        if relation.is_stored and relation.to_many:
            linked = sandbox.store.get_linked_references(record.resource, relation, record.key)
            values[relation.name] = [encode_reference(relation, reference) for reference in linked]
        elif relation.is_stored:
            values[relation.name] = encode_reference(relation, record.references.get(relation.name))
    return values


@dataclass(slots=True)
class RecordBuilder:
    """Adds records to the store of a sandbox, in the order of their references.

    Args:
        new_records: The records of the request by resource.
        viewer: The first user.
        timestamp: Sandbox time of the request.
        added: By resource and index, the reference of each record of the request; None if it has an error.
        in_progress: Resource and index of the records whose references are being resolved.
        created: All new records in the order of their creation.
        errors: References that cannot be resolved.
        pools: By resource, the values for missing attributes.
        pending_resources: Resources of all records whose references are being resolved.
    """

    sandbox: Sandbox
    new_records: Mapping[str, list[NewRecord]]
    viewer: Viewer | None
    timestamp: str
    added: dict[tuple[str, int], Reference | None] = field(default_factory=dict)
    in_progress: set[tuple[str, int]] = field(default_factory=set)
    created: list[Reference] = field(default_factory=list)
    errors: FieldErrors = field(default_factory=dict)
    pools: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pending_resources: list[str] = field(default_factory=list)

    @classmethod
    def from_sandbox(cls, sandbox: Sandbox, new_records: Mapping[str, list[NewRecord]]) -> "RecordBuilder":
        now = sandbox.clock.now()
        viewer = sandbox.resolve_token(next(iter(BUILTIN_TOKENS)), now)
        return cls(sandbox, new_records, viewer, format_timestamp(now))

    def add_all(self) -> None:
        for name, records in self.new_records.items():
            for index in range(len(records)):
                self.add_new(name, index)

    def add_new(self, name: str, index: int) -> Reference | None:
        """Add a record of the request unless it is added already; None after an error."""
        position = (name, index)
        if position not in self.added:
            self.in_progress.add(position)
            self.added[position] = self.add_record(self.new_records[name][index])
            self.in_progress.remove(position)
        return self.added[position]

    def add_record(self, new_record: NewRecord) -> Reference | None:
        """Add a record after those that it refers to; None after an error."""
        resource, store = new_record.resource, self.sandbox.store
        self.pending_resources.append(resource.name)
        references = self.build_references(new_record)
        self.pending_resources.pop()
        if self.errors:
            return None
        raw_key = new_record.values.get(resource.key_attribute)
        key = self.sandbox.create_key(resource) if raw_key is None else parse_key(resource, raw_key)
        attributes = self.build_attributes(new_record, key)
        self.set_discriminators(resource, references, new_record.values, attributes)
        try:
            store.add(Record(resource.name, key, attributes, references))
        except sqlite3.IntegrityError:
            raise _create_conflict(self.sandbox, new_record) from None
        self.created.append(Reference(resource.name, key))
        return self.created[-1]

    def build_attributes(self, new_record: NewRecord, key: Any) -> dict[str, Any]:
        """Return all attributes in the order of the schema: sent, managed by the server, from a pool, or default."""
        resource, values = new_record.resource, new_record.values
        defaults, number = self.sandbox.get_record_defaults(resource), self.sandbox.store.next_number(resource.name)
        pooled = self._get_pooled_attributes(resource, number, key)
        times = [values[name] for name, stamp in defaults.managed_attributes if stamp == "created" and values.get(name)]
        timestamp = times[0] if times else self.timestamp
        managed = {name: number if stamp == "number" else timestamp for name, stamp in defaults.managed_attributes}
        sent = {name: value for name, value in values.items() if name in resource.attributes}
        attributes = {**defaults.attributes, **pooled, **managed, **sent, resource.key_attribute: key}
        omitted = set(defaults.optional_attributes) - pooled.keys() - sent.keys()
        return {name: attributes[name] for name in resource.attributes if name not in omitted}

    def _get_pooled_attributes(self, resource: Resource, number: int, key: Any) -> dict[str, Any]:
        """Return attributes from the pool of a resource, with file paths and login that no other record has."""
        if resource.name not in self.pools:
            self.pools[resource.name] = read_pool(self.sandbox.store.connection, resource.name)
        pool = self.pools[resource.name]
        if not pool:
            return {}
        values = dict(pool[(number - 1) % len(pool)])
        for name, value in values.items():
            if resource.attributes[name].is_file and isinstance(value, str):
                values[name] = _FILE_PATH.sub(rf"\g<1>{key}\g<2>", value)
        login = resource.credentials.login if resource.credentials else None
        if login is not None and isinstance(values.get(login), str):
            local_part, at, domain = values[login].partition("@")
            values[login] = f"{local_part}.{number}{at}{domain}"
        return values

    # References

    def build_references(self, new_record: NewRecord) -> dict[str, Reference | tuple[Reference, ...] | None]:
        """Return the references of a record. Adds the ones that cannot be resolved to `errors`."""
        resource, sent = new_record.resource, new_record.values
        defaults = self.sandbox.get_record_defaults(resource).get_references(self.sandbox.contract, self.viewer)
        references: dict[str, Reference | tuple[Reference, ...] | None] = {}
        for relation in resource.relations.values():
            if not relation.is_stored:
                continue
            path = (*new_record.path, relation.name)
            if relation.to_many:
                texts = enumerate(sent.get(relation.name) or ())
                resolved = [self.resolve_reference(relation, text, (*path, str(index))) for index, text in texts]
                references[relation.name] = tuple(reference for reference in resolved if reference is not None)
            elif relation.name in sent and sent[relation.name] is not None:
                references[relation.name] = self.resolve_reference(relation, sent[relation.name], path)
            elif relation.name in defaults and relation.name not in sent:
                references[relation.name] = defaults[relation.name]
            elif not may_be_empty(relation):
                references[relation.name] = self.find_or_add_record(relation, path)
        return references

    def resolve_reference(self, relation: Relation, text: Any, path: tuple[str, ...]) -> Reference | None:
        """Return the reference that a property contains; None after an error. Adds a new record that it refers to."""
        match = _NEW_RECORD.fullmatch(text) if isinstance(text, str) else None
        if match and match[1] in relation.targets and int(match[2]) < len(self.new_records.get(match[1], ())):
            position = (match[1], int(match[2]))
            if position in self.in_progress:
                self.errors[".".join(path)] = [f"The record {text} refers to this one."]
                return None
            return self.add_new(*position)
        reference = None if match else self.find_reference(relation, text)
        if reference is None:
            expected = f"the key of {' or '.join(relation.targets)}"
            if self.new_records.get(relation.targets[0]):
                expected += f", or ${relation.targets[0]}.0"
            self.errors[".".join(path)] = [f"The record {str(text)[:100]!r} does not exist (expected {expected})."]
        return reference

    def find_reference(self, relation: Relation, text: Any) -> Reference | None:
        """Return the reference of an existing record by its key, or by ``Resource/key``; None if it does not exist."""
        target, separator, raw_key = str(text).partition("/")
        candidates = [(name, text) for name in relation.targets]
        if separator and target in relation.targets:
            candidates = [(target, raw_key)]
        for name, candidate in candidates:
            key = parse_key(self.sandbox.contract.resources[name], candidate)
            record = None if key is None else self.sandbox.store.get(name, key)
            if record is not None:
                return record.reference
        return None

    def find_or_add_record(self, relation: Relation, path: tuple[str, ...]) -> Reference | None:
        """Return the newest record that the first user can access, or a new one; None after an error."""
        for name in relation.targets:
            resource = self.sandbox.contract.resources[name]
            condition = build_visibility_condition(self.sandbox.store, self.viewer, resource)
            records = self.sandbox.store.select(name, condition, "n DESC", "LIMIT 1")
            if records:
                return records[0].reference
        name = relation.targets[0]
        if name in self.pending_resources:
            self.errors[".".join(path)] = [required_error(".".join(path), "").message]
            return None
        return self.add_record(NewRecord(self.sandbox.contract.resources[name], path, {}))

    def set_discriminators(
        self, resource: Resource, references: Mapping[str, Any], sent: Mapping[str, Any], attributes: dict[str, Any]
    ) -> None:
        """Set the attributes that contain the resource of a polymorphic reference, in the format of API requests."""
        for operation in self.sandbox.contract.operations.values():
            for body_field in operation.body_fields.values():
                setter = body_field.relation_setter
                discriminator = setter.discriminator if setter else None
                if setter is None or discriminator not in attributes or discriminator in sent:
                    continue
                reference = references.get(setter.relation)
                if isinstance(reference, Reference) and len(resource.relations[setter.relation].targets) > 1:
                    attributes[discriminator] = snake_case(reference.resource)
