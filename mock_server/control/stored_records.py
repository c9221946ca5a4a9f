"""Operations on the records of a sandbox: list, search, retrieve with related records, change and delete."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.control.document import RECORD_SCHEMA_SUFFIX
from mock_server.control.records import (
    FieldErrors,
    NewRecord,
    RecordBuilder,
    create_records_error,
    describe_record,
    validate_record,
)
from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import DeleteRestricted, StoredRecord
from mock_server.store.expressions import MATCH_ALL, SqlExpression
from mock_server.store.schema import RelationValue, parse_key
from mock_server.web.validation_messages import describe_names
from spec.model import Relation, Resource
from spec.record import Reference

DEFAULT_PAGE_SIZE = 50
MAX_RELATED_RECORDS = 20  # listed for each relation
MAX_CAPTION_CHARS = 100


async def list_resources(request: ControlRequest) -> ControlResult:
    """Return the resources of the contract with the number of their records."""
    sandbox = await _find_sandbox(request)
    counts = sandbox.store.count_by_resource()
    resources = [
        {
            "name": resource.name,
            "key": resource.key_attribute,
            "has_owner": bool(resource.owner_path),
            "records": counts[resource.name],
        }
        for resource in sandbox.contract.resources.values()
    ]
    return ControlResult(HTTPStatus.OK, {"resources": resources})


async def list_records(request: ControlRequest) -> ControlResult:
    """Return a page of the records of a resource, newest first."""
    sandbox = await _find_sandbox(request)
    resource, condition = _find_resource(request, sandbox), MATCH_ALL
    if text := request.query.get("search"):
        condition = SqlExpression("instr(lower(own || ' ' || key), lower(?)) > 0", (text,))
    limit, offset = request.query.get("limit", DEFAULT_PAGE_SIZE), request.query.get("offset", 0)
    records = sandbox.store.select(resource.name, condition, "n DESC", f"LIMIT {limit} OFFSET {offset}")
    total = sandbox.store.aggregate(resource.name, "COUNT(*)", condition)
    return ControlResult(HTTPStatus.OK, {"records": [_identify(sandbox, r, True) for r in records], "total": total})


async def retrieve_record(request: ControlRequest) -> ControlResult:
    """Return a record with the records that it refers to and those that refer to it."""
    sandbox = await _find_sandbox(request)
    return ControlResult(HTTPStatus.OK, _describe_with_relations(sandbox, _find_record(request, sandbox)))


async def update_record(request: ControlRequest) -> ControlResult:
    """Change the attributes and references of the body, also those that the server manages.

    Raises ApiError (404, 422) with all errors.
    """
    sandbox = await _find_sandbox(request)
    record = _find_record(request, sandbox)
    resource, values, errors = sandbox.contract.resources[record.resource], request.body, FieldErrors()
    validate_record(request.validators, _get_schema_pointer(resource), NewRecord(resource, (), values), errors)
    if values.get(resource.key_attribute, record.key) != record.key:
        errors[resource.key_attribute] = [f"The key cannot be changed (expected {record.key})."]
    if errors:
        raise create_records_error(ErrorKind.VALIDATION_FAILED, errors)
    references = _resolve_references(sandbox, resource, values)
    sent = {name: value for name, value in values.items() if name in resource.attributes}
    attributes = {**record.attributes, **sent}
    sandbox.prepare_write()
    with sandbox.store.transaction():
        ordered = {name: attributes[name] for name in resource.attributes if name in attributes}
        sandbox.store.update(resource.name, record.key, ordered, references)
    return ControlResult(HTTPStatus.OK, _describe_with_relations(sandbox, sandbox.store.get_existing(record.reference)))


async def delete_record(request: ControlRequest) -> ControlResult:
    """Delete a record with all that the contract deletes with it. Raises ApiError (404, 409)."""
    sandbox = await _find_sandbox(request)
    record = _find_record(request, sandbox)
    sandbox.prepare_write()
    try:
        with sandbox.store.transaction():
            sandbox.store.delete(record.resource, record.key)
    except DeleteRestricted as error:
        referrer = f"{error.referring_resource} {error.referring_key}"
        message = f"{referrer} refers to {error.resource} {error.key} ({error.relation}): delete {referrer} first."
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=message) from None
    return ControlResult(HTTPStatus.NO_CONTENT)


async def _find_sandbox(request: ControlRequest) -> Sandbox:
    """Return the sandbox in the path, with the changes that were scheduled up to its time."""
    sandbox = (await request.find_entry()).sandbox
    sandbox.apply_scheduled_changes(sandbox.clock.now())
    return sandbox


def _find_resource(request: ControlRequest, sandbox: Sandbox) -> Resource:
    name, resources = request.path_parameters["resource"], sandbox.contract.resources
    if name not in resources:
        expected = describe_names(name, sorted(resources))
        message = f'The contract has no resource "{name[:100]}" (expected {expected}).'
        raise ApiError(ErrorKind.CONTROL_NOT_FOUND, message=message)
    return resources[name]


def _find_record(request: ControlRequest, sandbox: Sandbox) -> StoredRecord:
    resource, text = _find_resource(request, sandbox), request.path_parameters["key"]
    key = parse_key(resource, text)
    record = None if key is None else sandbox.store.get(resource.name, key)
    if record is None:
        message = f'The sandbox {sandbox.name} has no {resource.name} "{text[:100]}".'
        raise ApiError(ErrorKind.CONTROL_NOT_FOUND, message=message)
    return record


def _resolve_references(sandbox: Sandbox, resource: Resource, values: Mapping[str, Any]) -> dict[str, RelationValue]:
    """Return the references of a body. Raises ApiError (404) for records that do not exist."""
    builder = RecordBuilder.from_sandbox(sandbox, {})
    references: dict[str, RelationValue] = {}
    for relation in resource.relations.values():
        if not relation.is_stored or relation.name not in values:
            continue
        value = values[relation.name]
        if relation.to_many:
            found = [builder.resolve_reference(relation, v, (relation.name, str(i))) for i, v in enumerate(value)]
            references[relation.name] = tuple(reference for reference in found if reference is not None)
        else:
            references[relation.name] = (
                None if value is None else builder.resolve_reference(relation, value, (relation.name,))
            )
    if builder.errors:
        raise create_records_error(ErrorKind.CONTROL_NOT_FOUND, builder.errors)
    return references


def _get_schema_pointer(resource: Resource) -> str:
    return f"#/components/schemas/{resource.name}{RECORD_SCHEMA_SUFFIX}"


def _describe_with_relations(sandbox: Sandbox, record: StoredRecord) -> dict[str, Any]:
    resource = sandbox.contract.resources[record.resource]
    relations = [_describe_relation(sandbox, record, relation) for relation in resource.relations.values()]
    referrers = list(_iter_referrers(sandbox, record))
    return {**_identify(sandbox, record, True), "relations": relations, "referrers": referrers}


def _describe_relation(sandbox: Sandbox, record: StoredRecord, relation: Relation) -> dict[str, Any]:
    references: tuple[Reference, ...]
    if not relation.is_stored:
        references = sandbox.store.find_inverse(relation, record.reference)
    elif relation.to_many:
        references = sandbox.store.get_linked_references(record.resource, relation, record.key)
    else:
        target = record.references.get(relation.name)
        references = () if target is None else (target,)
    return {"name": relation.name, "is_stored": relation.is_stored, **_list_related(sandbox, references)}


def _iter_referrers(sandbox: Sandbox, record: StoredRecord) -> Iterator[dict[str, Any]]:
    """Yield the relations of other resources whose records refer to a record, unless its own relations show them."""
    own = sandbox.contract.resources[record.resource].relations.values()
    shown = {(target, relation.inverse) for relation in own if not relation.is_stored for target in relation.targets}
    for source, relation in sandbox.contract.find_relations_to(record.resource):
        if (source.name, relation.name) in shown:
            continue
        references = sandbox.store.find_referrers(source.name, relation.name, record.reference)
        if references:
            yield {"resource": source.name, "name": relation.name, **_list_related(sandbox, references)}


def _list_related(sandbox: Sandbox, references: tuple[Reference, ...]) -> dict[str, Any]:
    records = [sandbox.store.get_existing(reference) for reference in references[:MAX_RELATED_RECORDS]]
    return {"total": len(references), "records": [_identify(sandbox, record) for record in records]}


def _identify(sandbox: Sandbox, record: StoredRecord, with_values: bool = False) -> dict[str, Any]:
    """Return resource, key and caption of a record; with its owner, and its values in the format of `createRecords`."""
    resource = sandbox.contract.resources[record.resource]
    caption = create_caption(resource, record.attributes, record.key)
    identity = {"resource": record.resource, "key": record.key, "caption": caption}
    if not with_values:
        return identity
    return {**identity, "owner": _identify_owner(sandbox, record), "record": describe_record(sandbox, record)}


def _identify_owner(sandbox: Sandbox, record: StoredRecord) -> dict[str, Any] | None:
    """Return resource, key and caption of the owner of a record; None without one."""
    path = sandbox.contract.resources[record.resource].owner_path
    owner = sandbox.store.resolve(sandbox.encoder.follow_path(record, path, set())) if path else None
    return None if owner is None else _identify(sandbox, owner)


def create_caption(resource: Resource, values: Mapping[str, Any], key: Any) -> str:
    """Return the first text of a record that is not a key, an enumeration or a text of a format; else its key."""
    for attribute in resource.attributes.values():
        value = values.get(attribute.name)
        is_text = attribute.type == "string" and not attribute.format and not attribute.enum_values
        if is_text and isinstance(value, str) and value.strip():
            return value[:MAX_CAPTION_CHARS]
    return str(key)
