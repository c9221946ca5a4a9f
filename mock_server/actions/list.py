"""List the records of a resource: a page in the contract's envelope."""

from typing import Any

import orjson

from mock_server.actions.showing import shape_of
from mock_server.call import Answer, Call
from mock_server.query import Page, asked
from mock_server.representation import BASE, page_words


def run(call: Call) -> Answer:
    """One page, filtered, sorted and shaped as the query says."""
    world, operation = call.world, call.operation
    resource = world.contract.resources[operation.resource or ""]
    words = asked(operation.parameters, call.query)
    query = world.query(call.viewer)
    page = query.page(resource, words)
    envelope = operation.result
    assert envelope.view is not None
    shape = shape_of(call)
    rows = [world.representation.record(envelope.view, row, shape, call.viewer) for row in page.rows]
    return Answer(_body(call, rows, page))


def _body(call: Call, rows: list[bytes], page: Page) -> bytes:
    """Rows in the contract's envelope, with every page word that it has."""
    envelope = call.operation.result
    listed = b"[" + b",".join(rows) + b"]"
    if envelope.data is None:
        return listed
    parts = [b"%s:%s" % (orjson.dumps(envelope.data), listed)]
    if envelope.pages:
        parts += _pages(call, page)
    return b"{" + b",".join(parts) + b"}"


def _pages(call: Call, page: Page) -> list[bytes]:
    operation = call.operation
    names = {p.word.role: p.name for p in operation.query if p.word}
    url = call.world.contract.base_path + operation.path
    words = page_words(
        page=page.page,
        size=page.size,
        total=page.total,
        on_page=len(page.rows),
        url=url,
        before=call.world.representation.before_page(url, call.raw_query, names.get("page", "page")),
    )
    return [
        b"%s:{%s}" % (orjson.dumps(name), b",".join(_page_word(prop, word, words) for prop, word in said.items()))
        for name, said in operation.result.pages.items()
    ]


def _page_word(prop: str, word: str, words: dict[str, Any]) -> bytes:
    value = words[word]
    encoded = orjson.dumps(value)
    if isinstance(value, str):
        encoded = b'"' + BASE + encoded[1:]
    return b"%s:%s" % (orjson.dumps(prop), encoded)
