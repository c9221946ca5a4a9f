"""List the records of a resource: a page in the contract's envelope."""

from dataclasses import dataclass
from typing import Any

import orjson

from mock_server.actions.showing import shape_of
from mock_server.call import Answer, Call
from mock_server.pages import Rests
from mock_server.query import Listing, Page, asked
from mock_server.representation import Shape, link_before, page_words
from mock_server.store import Tag

LONGEST_KEPT_QUERY = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What a query comes to. `resources`: those that say which records are listed.

    `url`: the list's path; `before`: what links to pages say before the page's number.
    """

    listing: Listing
    resources: tuple[str, ...]
    shape: Shape
    url: str
    before: str


def run(call: Call) -> Answer:
    """One page, filtered, sorted and shaped as the query says."""
    view, representation = call.operation.envelope.view_name, call.world.representation
    assert view is not None
    plan = _plan(call)
    page = call.world.query(call.viewer).page(plan.listing)
    tags: set[Tag] = set()
    rows = [representation.record(view, row, plan.shape, call.viewer, tags) for row in page.rows]
    return Answer(_body(call, plan, rows, page), rests=Rests(tags, plan.resources))


def _plan(call: Call) -> Plan:
    """The query's plan, kept: clients ask the same lists again and again."""
    if len(call.raw_query) > LONGEST_KEPT_QUERY:
        return _planned(call)
    named = ("list", call.operation.id, call.raw_query, call.viewer)
    found: Plan = call.world.store.remembered(named, call.world.contract.access_grant_resources, lambda: _planned(call))
    return found


def _planned(call: Call) -> Plan:
    contract, operation = call.world.contract, call.operation
    words = asked(operation.parameters, call.query)
    resource = contract.resources[operation.resource or ""]
    listing = call.world.query(call.viewer).listing(resource, words)
    read = call.world.store.mentioned(f"{listing.condition.sql} {listing.order}")
    resources = (resource.name, *read, *contract.access_grant_resources)
    url = contract.base_path + operation.path
    page_name = next((p.name for p in operation.query_parameters if p.x_query and p.x_query.role == "page"), "page")
    return Plan(listing, resources, shape_of(call), url, link_before(url, call.raw_query, page_name))


def _body(call: Call, plan: Plan, rows: list[bytes], page: Page) -> bytes:
    """Rows in the contract's envelope, with every page word that it has."""
    envelope = call.operation.envelope
    listed = b"[" + b",".join(rows) + b"]"
    if envelope.data_property is None:
        return listed
    if not envelope.pagination:
        return b"{%s:%s}" % (orjson.dumps(envelope.data_property), listed)
    words = page_words(
        page=page.page,
        size=page.size,
        total=page.total,
        on_page=len(rows),
        url=call.base + plan.url,
        before=call.base + plan.before,
    )
    said: dict[str, Any] = {
        name: {prop: words[word] for prop, word in props.items()} for name, props in envelope.pagination.items()
    }
    return b"{%s:%s,%s" % (orjson.dumps(envelope.data_property), listed, orjson.dumps(said)[1:])
