"""Variants of list order: other collations and another default order."""

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from conformance.mutation.conforming_variants.responses import VariantFactory, always
from conformance.mutation.conforming_variants.stated_properties import keep_stated
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import change_response, stateless
from conformance.mutation.lists import pagination_fields, parameters_by_role

MAX_PAGES = 59
PAGE_SIZE = 100
TOTAL_ROLES = frozenset({"total", "last-page", "last"})


def strip_accents(text: str) -> str:
    """Fold case and remove accents."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def sort_by_collation(collation_key: Callable[[str], str] | None) -> VariantFactory:
    """Sort texts by another collation; None: reverse the default order instead."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        operation = request.operation
        roles = {role: p.name for role, p in parameters_by_role(operation).items()}
        response = await call_next(request)
        if operation.action != "list" or not {"sort", "direction", "page", "size"} <= roles.keys():
            return response
        query_values = {name: value for name, value in request.query if value}
        sort_property = query_values.get(roles["sort"])
        if not response.is_success or (sort_property is None) == (collation_key is not None):
            return response
        rows = await _fetch_all_pages(request, call_next, roles)
        if collation_key is None:
            rows.reverse()
        elif all(isinstance(row.get(sort_property), (str, type(None))) for row in rows):
            rows.sort(
                key=lambda row: (row.get(sort_property) is not None, collation_key(row.get(sort_property) or "")),
                reverse=query_values.get(roles["direction"]) == "desc",
            )
        size = len(response.data(operation)) if not rows else int(query_values.get(roles["size"], "20"))
        offset = (int(query_values.get(roles["page"], "1")) - 1) * size
        return response.with_data(operation, rows[offset : offset + size])

    return always(stateless(fault))


def _remove_totals(
    kept: Collection[str], request: InterceptedRequest, response: InterceptedResponse
) -> InterceptedResponse:
    """Leave out what needs the number of all rows, as `simplePaginate` does, except the properties in `kept`."""
    fields = pagination_fields(request.operation)
    body = response.json
    if not response.is_success or not isinstance(body, dict):
        return response
    for role in TOTAL_ROLES & fields.keys():
        *containers, name = fields[role]
        body = body if name in kept else _without_value(body, containers, name)
    return response.with_json(body)


def _without_value(body: Any, containers: Sequence[str], name: str) -> Any:
    """Copy an object without a property in nested objects."""
    if not isinstance(body, dict):
        return body
    if not containers:
        return {key: value for key, value in body.items() if key != name}
    first, *rest = containers
    return {**body, first: _without_value(body.get(first), rest, name)}


remove_totals = keep_stated(lambda kept: change_response(partial(_remove_totals, kept)))


async def _fetch_all_pages(request: InterceptedRequest, call_next: CallNext, roles: Mapping[str, str]) -> list[Any]:
    rows: list[Any] = []
    for page in range(1, MAX_PAGES + 1):
        response = await call_next(request.with_parameters({roles["page"]: page, roles["size"]: PAGE_SIZE}))
        page_rows = response.data(request.operation) or []
        rows += page_rows
        if len(page_rows) < PAGE_SIZE:
            break
    return rows
