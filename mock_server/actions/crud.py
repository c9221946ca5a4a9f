"""The generic actions: list, retrieve, create, update and delete."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mock_server.actions.access import find_in_path
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.request_mapping import extract_attributes, resolve_references
from mock_server.actions.responses import render_record, select_projection
from mock_server.errors import ApiError, ErrorKind
from mock_server.query import ListQuery, ResultPage, collect_query_arguments
from mock_server.sandbox.record_defaults import RecordDefaults
from mock_server.sandbox.sandbox import Sandbox
from mock_server.serialization.layout import Projection
from mock_server.serialization.pagination import PageUrls, build_pagination_values
from mock_server.store import DeleteRestricted, Dependencies, StoredRecord, Tag
from mock_server.store.schema import RelationValue
from spec.model import Resource
from spec.record import Record, Reference

MAX_CACHED_QUERY_CHARS = 500


@dataclass(frozen=True, slots=True)
class ListPlan:
    """A parsed list request. `url`: the list's path."""

    listing: ListQuery
    projection: Projection
    url: str
    page_urls: PageUrls


def list_records(request: ActionRequest) -> ActionResult:
    """Return one page of records, filtered, sorted and projected as the query specifies."""
    view, encoder = request.operation.envelope.view_name, request.sandbox.encoder
    assert view is not None
    plan = _get_plan(request)
    page = request.viewer_query.fetch_page(plan.listing)
    tags: set[Tag] = set()
    rows = encoder.encode_rows(view, page.rows, plan.projection, request.viewer, tags)
    dependencies = Dependencies(request.store.generation, tags, plan.listing.read_resources)
    return ActionResult(_encode_page(request, plan, rows, page), dependencies=dependencies)


def _get_plan(request: ActionRequest) -> ListPlan:
    """Return the query's plan from the cache: clients repeat the same list requests."""
    if len(request.raw_query) > MAX_CACHED_QUERY_CHARS:
        return _create_plan(request)
    cache_key = ("list", request.operation.id, request.raw_query, request.viewer)
    grants = request.contract.access_grant_resources
    return request.store.memoize(cache_key, grants, lambda: _create_plan(request))


def _create_plan(request: ActionRequest) -> ListPlan:
    contract, operation, resource = request.contract, request.operation, request.resource
    arguments = collect_query_arguments(operation.parameters, request.query)
    listing = request.viewer_query.create_list_query(resource, arguments)
    url = (operation.base_paths or contract.base_paths)[0] + operation.path
    return ListPlan(listing, select_projection(request), url, PageUrls.from_request(operation, url, request.raw_query))


def _encode_page(request: ActionRequest, plan: ListPlan, rows: list[bytes], page: ResultPage) -> bytes:
    """Encode rows in the contract's envelope, with all of its pagination properties."""
    envelope = request.operation.envelope
    data = b"[" + b",".join(rows) + b"]"
    if envelope.data_property is None:
        return data
    if not (any(envelope.pagination.values()) or envelope.page_properties):
        return b"{%s:%s}" % (orjson.dumps(envelope.data_property), data)
    values = build_pagination_values(
        offset=plan.listing.offset,
        page_size=plan.listing.page_size,
        total=page.total,
        row_count=len(rows),
        base_url=request.base_url,
        url=plan.url,
        page_urls=plan.page_urls,
    )
    meta: dict[str, Any] = {
        name: {key: values[role] for key, role in roles.items()} for name, roles in envelope.pagination.items()
    }
    meta |= {name: values[role] for name, role in envelope.page_properties.items()}
    return b"{%s:%s,%s" % (orjson.dumps(envelope.data_property), data, orjson.dumps(meta)[1:])


def retrieve_record(request: ActionRequest) -> ActionResult:
    sandbox, tags = request.sandbox, set[Tag]()
    record, projection = find_in_path(request), select_projection(request)
    body = sandbox.encoder.encode_body(request.operation.envelope, record, request.viewer, projection, tags)
    grants = sandbox.contract.access_grant_resources
    return ActionResult(body, dependencies=Dependencies(sandbox.store.generation, tags, grants))


def create_record(request: ActionRequest) -> ActionResult:
    return create_from_attributes(request, request.resource, extract_attributes(request, request.resource))


def create_from_attributes(request: ActionRequest, resource: Resource, attributes: Mapping[str, Any]) -> ActionResult:
    """Create a record with these attributes and the request's relations, and return it."""
    references = resolve_references(request, resource)
    with request.store.transaction():
        record = insert_record(request, resource, attributes, references)
    return render_record(request, record)


def insert_record(
    request: ActionRequest, resource: Resource, attributes: Mapping[str, Any], references: Mapping[str, RelationValue]
) -> StoredRecord:
    """Store a new record with the attributes and references that the server adds."""
    sandbox = request.sandbox
    defaults = sandbox.get_record_defaults(resource)
    key = sandbox.create_key(resource)
    values = build_attributes(request, resource, defaults, key, attributes)
    relations: dict[str, Reference | tuple[Reference, ...]] = {
        **defaults.get_references(request.contract, request.viewer)
    }
    relations |= {name: target for name, target in references.items() if target is not None}
    # An integer key can be the key of an existing record.
    return sandbox.store.add(Record(resource.name, key, values, relations), has_new_key=not resource.has_integer_key)


def build_attributes(
    request: ActionRequest, resource: Resource, defaults: RecordDefaults, key: Any, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all attributes in schema order: the sent value, else the server-managed value, else the default."""
    values = {**defaults.attributes}
    for name, value in attributes.items():
        if name in values:
            default = defaults.object_defaults.get(name)
            values[name] = value if default is None else merge_defaults(default, default, value)
    timestamp = request.timestamp
    for name, stamp in defaults.managed_attributes:
        values[name] = request.store.next_number(resource.name) if stamp == "number" else timestamp
    values[resource.key_attribute] = key
    for name in defaults.optional_attributes:
        if name not in attributes:
            del values[name]
    return values


def merge_defaults(default: Any, current: Any, new_value: Any) -> Any:
    """Merge a sent object into the current one, where the contract has defaults for the object's keys.

    Any other value replaces the current one.
    """
    if not (isinstance(default, dict) and default and isinstance(current, dict) and isinstance(new_value, dict)):
        return new_value
    retained = {name: value for name, value in current.items() if name not in new_value}
    merged = {name: merge_defaults(default.get(name), current.get(name), value) for name, value in new_value.items()}
    return {**retained, **merged}


def update_record(request: ActionRequest) -> ActionResult:
    """Change the attributes and relations that were sent, and return the record."""
    resource = request.resource
    record = find_in_path(request, for_write=True)
    attributes = dict(record.attributes)
    for name, value in extract_attributes(request, resource).items():
        default = resource.attributes[name].default
        attributes[name] = merge_defaults(default, attributes.get(name), value)
    attributes |= dict.fromkeys(resource.attributes_with_stamp("updated"), request.timestamp)
    references = resolve_references(request, resource)
    with request.store.transaction():
        request.store.update(resource.name, record.key, attributes, references)
    return render_record(request, request.store.get_existing(record.reference))


def can_delete(sandbox: Sandbox, record: StoredRecord) -> bool:
    """Whether no other record restricts the deletion of this one. Cascaded deletions are not checked."""
    return not sandbox.store.is_restricted(record.reference)


def delete_record(request: ActionRequest) -> ActionResult:
    """Delete the record with all cascaded deletions; return it if the contract documents a body.

    Raises ApiError (409) if the contract restricts the deletion.
    """
    record = find_in_path(request, for_write=True, allow_shared=False)
    result = ActionResult(None) if request.operation.envelope.schema_pointer is None else render_record(request, record)
    try:
        with request.store.transaction():
            request.store.delete(record.resource, record.key)
    except DeleteRestricted as error:
        relation = error.relation.replace("_", " ")
        message = f"This {error.resource} cannot be deleted while it is any {error.referring_resource}'s {relation}."
        raise ApiError(ErrorKind.CONFLICT, message=message) from None
    return result
