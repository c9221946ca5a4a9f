"""List the records of a resource: a page in the contract's envelope."""

from dataclasses import dataclass
from typing import Any

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.responses import select_projection
from mock_server.query.query import ListQuery, ResultPage, collect_query_arguments
from mock_server.sandbox.response_cache import CacheDependencies
from mock_server.serialization.encoder import Projection, build_page_url_prefix, build_pagination_values
from mock_server.store import Tag

MAX_CACHED_QUERY_CHARS = 500


@dataclass(frozen=True, slots=True)
class ListPlan:
    """What a query comes to. `dependencies`: those that say which records are listed.

    `url`: the list's path; `page_url_prefix`: what links to pages say before the page's number.
    """

    listing: ListQuery
    dependencies: tuple[str, ...]
    projection: Projection
    url: str
    page_url_prefix: str


def list_records(request: ActionRequest) -> ActionResult:
    """One page, filtered, sorted and shaped as the query says."""
    view, representation = request.operation.envelope.view_name, request.sandbox.encoder
    assert view is not None
    plan = _get_plan(request)
    page = request.sandbox.create_query(request.viewer).fetch_page(plan.listing)
    tags: set[Tag] = set()
    rows = [representation.encode_record(view, row, plan.projection, request.viewer, tags) for row in page.rows]
    return ActionResult(_encode_page(request, plan, rows, page), depends_on=CacheDependencies(tags, plan.dependencies))


def _get_plan(request: ActionRequest) -> ListPlan:
    """The query's plan, kept: clients ask the same lists again and again."""
    if len(request.raw_query) > MAX_CACHED_QUERY_CHARS:
        return _create_plan(request)
    cache_key = ("list", request.operation.id, request.raw_query, request.viewer)
    plan: ListPlan = request.sandbox.store.memoize(
        cache_key, request.sandbox.contract.access_grant_resources, lambda: _create_plan(request)
    )
    return plan


def _create_plan(request: ActionRequest) -> ListPlan:
    contract, operation = request.sandbox.contract, request.operation
    extensions = collect_query_arguments(operation.parameters, request.query)
    resource = contract.resources[operation.resource or ""]
    listing = request.sandbox.create_query(request.viewer).create_list_query(resource, extensions)
    read_resources = request.sandbox.store.find_mentioned_resources(f"{listing.condition.sql} {listing.order}")
    resources = (resource.name, *read_resources, *contract.access_grant_resources)
    url = contract.base_path + operation.path
    page_name = next((p.name for p in operation.query_parameters if p.x_query and p.x_query.role == "page"), "page")
    return ListPlan(
        listing, resources, select_projection(request), url, build_page_url_prefix(url, request.raw_query, page_name)
    )


def _encode_page(request: ActionRequest, plan: ListPlan, rows: list[bytes], page: ResultPage) -> bytes:
    """Rows in the contract's envelope, with every page word that it has."""
    envelope = request.operation.envelope
    encoded_rows = b"[" + b",".join(rows) + b"]"
    if envelope.data_property is None:
        return encoded_rows
    if not envelope.pagination:
        return b"{%s:%s}" % (orjson.dumps(envelope.data_property), encoded_rows)
    pagination = build_pagination_values(
        page_number=page.number,
        page_size=page.size,
        total=page.total,
        row_count=len(rows),
        url=request.base_url + plan.url,
        url_prefix=request.base_url + plan.page_url_prefix,
    )
    meta: dict[str, Any] = {
        name: {prop: pagination[role] for prop, role in props.items()} for name, props in envelope.pagination.items()
    }
    return b"{%s:%s,%s" % (orjson.dumps(envelope.data_property), encoded_rows, orjson.dumps(meta)[1:])
