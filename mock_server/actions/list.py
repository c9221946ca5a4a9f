"""List the records of a resource: a page in the contract's envelope."""

from typing import Any

import orjson

from mock_server.call import Answer, Call
from mock_server.query import Page, Query, asked
from mock_server.representation import BASE, Shape, page_words
from spec.contract import Contract, Envelope, Operation
from spec.words import QueryWord


def run(call: Call) -> Answer:
    """One page, filtered, sorted and shaped as the query says."""
    world, operation = call.world, call.operation
    resource = world.contract.resources[operation.resource or ""]
    words = asked(operation.parameters, call.query)
    query = world.query(call.viewer)
    page = query.page(resource, words)
    envelope = operation.result
    assert envelope.view is not None
    shape = shape_of(query, operation, call)
    rows = [world.representation.record(envelope.view, row, shape, call.viewer) for row in page.rows]
    return Answer(body(world.contract, operation, rows, page, call))


def shape_of(query: Query, operation: Operation, call: Call) -> Shape:
    """What the query's include and count words make of the answer's records."""
    shapes, view = call.world.representation.shapes, operation.result.view
    resource = query.contract.resources[query.contract.views[view or ""].resource]
    paths, shown = query.included(resource, asked(operation.parameters, call.query))
    return shapes.default(view or "", shown) if paths is None else shapes.named(view or "", paths, shown)


def body(contract: Contract, operation: Operation, rows: list[bytes], page: Page, call: Call) -> bytes:
    """Rows in the contract's envelope, with every page word that it has."""
    envelope = operation.result
    listed = b"[" + b",".join(rows) + b"]"
    if envelope.data is None:
        return listed
    parts = [b'"%s":%s' % (envelope.data.encode(), listed)]
    if envelope.pages:
        parts += _pages(contract, envelope, operation, page, call)
    return b"{" + b",".join(parts) + b"}"


def _pages(contract: Contract, envelope: Envelope, operation: Operation, page: Page, call: Call) -> list[bytes]:
    names: dict[str, str] = {p.word.role: p.name for p in operation.query if isinstance(p.word, QueryWord)}
    words = page_words(
        page=page.page,
        size=page.size,
        total=page.total,
        on_page=len(page.rows),
        url=contract.base_path + operation.path,
        raw_query=call.raw_query,
        page_name=names.get("page", "page"),
    )
    return [
        b'"%s":{%s}' % (name.encode(), b",".join(_page_word(prop, word, words) for prop, word in said.items()))
        for name, said in envelope.pages.items()
    ]


def _page_word(prop: str, word: str, words: dict[str, Any]) -> bytes:
    value = words[word]
    encoded = orjson.dumps(value)
    if isinstance(value, str):
        encoded = b'"' + BASE + encoded[1:]
    return b'"%s":%s' % (prop.encode(), encoded)
