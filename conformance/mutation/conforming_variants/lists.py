"""Variants of list order: other collations and another default order."""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from conformance.mutation.conforming_variants.responses import VariantFactory
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse

MAX_PAGES = 59
PAGE_SIZE = 100


def strip_accents(text: str) -> str:
    """Fold case and remove accents."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def sort_by_collation(collation_key: Callable[[str], str] | None) -> VariantFactory:
    """Sort texts by another collation; None: reverse the default order instead."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        roles = {p.x_query.role: p.name for p in request.operation.query_parameters if p.x_query}
        response = await call_next(request)
        if request.operation.action != "list" or not {"sort", "direction", "page", "size"} <= roles.keys():
            return response
        query_values = {name: value for name, value in request.query if value}
        sort_property, data = query_values.get(roles["sort"]), request.operation.envelope.data_property
        if not response.is_success or data is None or (sort_property is None) == (collation_key is not None):
            return response
        rows = await _fetch_all_pages(request, call_next, roles, data)
        if collation_key is None:
            rows.reverse()
        elif all(isinstance(row.get(sort_property), (str, type(None))) for row in rows):
            rows.sort(
                key=lambda row: (row.get(sort_property) is not None, collation_key(row.get(sort_property) or "")),
                reverse=query_values.get(roles["direction"]) == "desc",
            )
        size = len(response.json[data]) if not rows else int(query_values.get(roles["size"], "20"))
        offset = (int(query_values.get(roles["page"], "1")) - 1) * size
        return response.with_json({**response.json, data: rows[offset : offset + size]})

    return lambda contract, clock: fault


async def _fetch_all_pages(
    request: InterceptedRequest, call_next: CallNext, roles: Mapping[str, str], data: str
) -> list[Any]:
    other_pairs = tuple((n, v) for n, v in request.query if n not in (roles["page"], roles["size"]))
    rows: list[Any] = []
    for page in range(1, MAX_PAGES + 1):
        query = (*other_pairs, (roles["page"], str(page)), (roles["size"], str(PAGE_SIZE)))
        response = await call_next(request.with_query(query))
        page_rows = response.json[data] if response.is_success else []
        rows += page_rows
        if len(page_rows) < PAGE_SIZE:
            break
    return rows
