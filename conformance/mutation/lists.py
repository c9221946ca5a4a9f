"""Mutants of lists: pages, order, filters, search. After Segura et al., "Metamorphic testing of RESTful Web APIs"."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, ValueChange, change_request, ignore_parameters, increment, stateless
from conformance.mutation.mutant import Mutant, Operator
from conformance.mutation.triggers import trigger_list
from spec.extensions import PAGINATION_LINKS
from spec.model import Contract, Operation, Parameter

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class ListExchange:
    """A request to a list operation and its successful response. `name`: of the mutated parameter."""

    request: InterceptedRequest
    call_next: CallNext
    response: InterceptedResponse
    name: str

    @property
    def rows(self) -> list[Any]:
        """The rows of the response."""
        return list(self.response.data(self.request.operation))

    @property
    def is_restricted(self) -> bool:
        """Whether the mutated parameter has a value."""
        return get_value(self.request, self.name) is not None

    def number(self, role: str, default: int) -> int:
        """The number that the query parameter with a role has."""
        parameter = parameters_by_role(self.request.operation).get(role)
        value = get_value(self.request, parameter.name) if parameter is not None else None
        return int(value) if value and value.isdigit() else default

    def with_rows(self, rows: list[Any], **changes: ValueChange) -> InterceptedResponse:
        """The response with other rows and changed pagination fields."""
        return replace(self, response=self.response.with_data(self.request.operation, rows)).with_pagination(**changes)

    def with_pagination(self, **changes: ValueChange) -> InterceptedResponse:
        """The response with changed pagination fields."""
        body, fields = self.response.json, pagination_fields(self.request.operation)
        for meaning, change in changes.items():
            if meaning in fields:
                body = change_value(body, fields[meaning], change)
        return self.response.with_json(body)

    async def fetch_rows(self, parameters: Mapping[str, object]) -> list[Any]:
        """Fetch the rows with other values of parameters (None removes one); empty when not successful."""
        response = await self.call_next(self.request.with_parameters(parameters))
        return list(response.data(self.request.operation) or ())

    async def fetch_unrestricted(self) -> list[Any]:
        """Fetch the first rows of the list without the mutated parameter."""
        roles = parameters_by_role(self.request.operation)
        sizes = {"page": None, "size": MAX_PAGE_SIZE}
        paging = {roles[role].name: value for role, value in sizes.items() if role in roles}
        return await self.fetch_rows({self.name: None, **paging})


def get_value(request: InterceptedRequest, name: str) -> str | None:
    """The last value of a query parameter; None when it is absent or blank."""
    values = request.parameter_values(name)
    return values[-1] or None if values else None


def parameters_by_role(operation: Operation) -> Mapping[str, Parameter]:
    """The query parameters for paging, order and search by role."""
    queries = ((p.x_query.role, p) for p in operation.query_parameters if p.x_query)
    return {role: parameter for role, parameter in queries if role not in ("filter", "show")}


def pagination_fields(operation: Operation) -> Mapping[str, tuple[str, ...]]:
    """Field meaning -> path of the property in the body."""
    return {meaning: path for path, meaning in operation.envelope.page_property_paths}


def change_value(body: Any, path: Sequence[str], change: ValueChange) -> Any:
    """Copy an object with another value of the property at `path`."""
    name, *rest = path
    value = body.get(name)
    return {**body, name: change_value(value, rest, change) if rest else change(value)}


# Combinators: each makes a function of the parameter's name

ListFault = Callable[[str], MakeFault]
RowsChange = Callable[[list[Any]], list[Any]]


def on_page(transform: Callable[[ListExchange], Awaitable[InterceptedResponse]]) -> ListFault:
    """Transform successful responses."""

    def make(name: str) -> MakeFault:
        async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
            response = await call_next(request)
            if not response.is_success or response.json is None:
                return response
            return await transform(ListExchange(request, call_next, response, name))

        return stateless(fault)

    return make


def change_page(change: Callable[[ListExchange], InterceptedResponse]) -> ListFault:
    """Change successful responses without further requests."""

    async def transform(exchange: ListExchange) -> InterceptedResponse:
        return change(exchange)

    return on_page(transform)


def replace_rows(change: RowsChange) -> ListFault:
    """Replace the rows of every page."""
    return change_page(lambda page: page.with_rows(change(page.rows)))


def replace_matches(change: RowsChange, total: ValueChange) -> ListFault:
    """Replace the rows, and the total, of pages that the parameter restricts."""

    def change_matches(page: ListExchange) -> InterceptedResponse:
        return page.with_rows(change(page.rows), total=total) if page.is_restricted and page.rows else page.response

    return change_page(change_matches)


def merge_page(select: Callable[[int], int], merge: Callable[[list[Any], list[Any]], list[Any]]) -> ListFault:
    """Merge the rows of every page with those of another. `select`: the number of the other page, given the page's."""

    async def transform(page: ListExchange) -> InterceptedResponse:
        parameter, number = parameters_by_role(page.request.operation)["page"], select(page.number("page", 1))
        return page.with_rows(merge(page.rows, await page.fetch_rows({parameter.name: number}) if number > 0 else []))

    return on_page(transform)


def change_pagination(meaning: str, change: ValueChange) -> ListFault:
    """Change a pagination field of every page."""
    return change_page(lambda page: page.with_pagination(**{meaning: change}))


# Faults


async def _invert_filter(page: ListExchange) -> InterceptedResponse:
    """Return the rows that do not match."""
    if not page.is_restricted:
        return page.response
    matching = [repr(row) for row in page.rows]
    rows = [row for row in await page.fetch_unrestricted() if repr(row) not in matching]
    return page.with_rows(rows[: page.number("size", DEFAULT_PAGE_SIZE)], total=lambda value: len(rows))


def _sort_by_next_property(request: InterceptedRequest) -> InterceptedRequest:
    """Sort by the property after the requested one."""
    sort = parameters_by_role(request.operation)["sort"]
    value, allowed = get_value(request, sort.name), tuple(sort.schema.get("enum", ()))
    if value not in allowed or len(allowed) < 2:
        return request
    return request.with_parameters({sort.name: allowed[(allowed.index(value) + 1) % len(allowed)]})


def _reverse_direction(request: InterceptedRequest) -> InterceptedRequest:
    sort, direction = map(parameters_by_role(request.operation).__getitem__, ("sort", "direction"))
    if get_value(request, sort.name) is None:
        return request
    ascending, descending = (*direction.schema.get("enum", ()), "asc", "desc")[:2]
    opposite = ascending if get_value(request, direction.name) == descending else descending
    return request.with_parameters({direction.name: opposite})


@dataclass(slots=True)
class AlternateOrder:
    """Reverses the rows of every second response. `request_count`: requests so far."""

    request_count: int = 0

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        self.request_count += 1
        if not response.is_success or self.request_count % 2:
            return response
        return response.with_data(request.operation, response.data(request.operation)[::-1])


def _remove_query(value: Any) -> Any:
    return value.partition("?")[0] if isinstance(value, str) else value


# Operators

NO_OVERLAP, COMPLETE = "Pages do not overlap.", "The pages together contain the complete list."
SORTED, REVERSED = "Rows are sorted by the requested property.", "Descending order is ascending order reversed."
EXACT_SIZE, MAX_SIZE = "A page has the requested number of rows.", "A page has at most the requested number of rows."
CONSTANT_TOTAL, STABLE = "The total does not depend on the page size.", "Equal requests return rows in the same order."
FILTER_SOUND = "Every row of a filtered list matches the filter."
FILTER_COMPLETE = "A filtered list contains every matching row."
SEARCH_SOUND, SEARCH_COMPLETE = "Every match contains the term.", "A search finds every match."

return_next_page = merge_page(lambda number: number + 1, lambda rows, following: following)
exceed_page_size = merge_page(lambda number: number + 1, lambda rows, following: [*rows, *following[:1]])
repeat_previous_row = merge_page(
    lambda number: number - 1, lambda rows, previous: [*(previous[-1:] or rows[:1]), *rows[1:]] if rows else rows
)
wrap_to_first_page = merge_page(lambda number: 1, lambda rows, first_rows: rows or first_rows)
count_page_as_total = change_page(lambda page: page.with_pagination(total=lambda value: len(page.rows)))
drop_first_match = replace_matches(lambda rows: rows[1:], total=lambda value: value - 1)

operator: Callable[..., Operator[ListFault]] = Operator

# Roles of the parameters that the fault needs -> operators. The first parameter has the requirement; {name}: its name.
OperatorTable = Mapping[tuple[str, ...], tuple[Operator[ListFault], ...]]
PAGE_OPERATORS: OperatorTable = {
    ("page", "size"): (
        operator("page", "ignored", NO_OVERLAP, ignore_parameters),
        operator("page", "off by one", COMPLETE, return_next_page),
        operator("page", "begins with the last row of the one before", NO_OVERLAP, repeat_previous_row),
        operator("page", "after the last is the first", "A page past the end is empty.", wrap_to_first_page),
        operator("page", "misses its last row", COMPLETE, replace_rows(lambda rows: rows[:-1])),
        operator("page", "shows a row twice", NO_OVERLAP, replace_rows(lambda rows: [*rows[:-1], *rows[:1]])),
    ),
    ("offset", "size"): (operator("page", "{name} ignored", NO_OVERLAP, ignore_parameters),),
    ("cursor", "size"): (operator("page", "{name} ignored", NO_OVERLAP, ignore_parameters),),
    ("size", "page"): (
        operator("page-size", "ignored", EXACT_SIZE, ignore_parameters),
        operator("page-size", "one too many", MAX_SIZE, exceed_page_size),
        operator("page-meta", "total counts the page", CONSTANT_TOTAL, count_page_as_total),
    ),
}
ORDER_AND_SEARCH_OPERATORS: OperatorTable = {
    ("sort",): (
        operator("order", "ignored", SORTED, ignore_parameters),
        operator("order", "by another property", SORTED, lambda _: change_request(_sort_by_next_property)),
        operator("order", "differs each time", STABLE, lambda _: AlternateOrder),
    ),
    ("direction", "sort"): (operator("order", "direction ignored", REVERSED, ignore_parameters),),
    ("sort", "direction"): (
        operator("order", "the other way round", REVERSED, lambda _: change_request(_reverse_direction)),
    ),
    ("search",): (
        operator("search", "ignored", SEARCH_SOUND, ignore_parameters),
        operator("search", "finds nothing", SEARCH_COMPLETE, replace_matches(lambda rows: [], total=lambda value: 0)),
        operator("search", "misses the first", SEARCH_COMPLETE, drop_first_match),
    ),
}
FILTER_OPERATORS: OperatorTable = {
    ("filter",): (
        operator("filter", "{name} ignored", FILTER_SOUND, ignore_parameters),
        operator("filter", "{name} inverted", FILTER_SOUND, on_page(_invert_filter)),
        operator("filter", "{name} incomplete", FILTER_COMPLETE, drop_first_match),
    ),
}

PaginationChange = tuple[str, ValueChange]  # (detail, change)
GONE: PaginationChange = ("gone", lambda value: None)
WITHOUT_QUERY: PaginationChange = ("loses the query", _remove_query)
NUMBER_FIELDS = ("total", "last-page", "current-page", "size", "first-item", "last-item")
PAGINATION_CHANGES: Mapping[str, tuple[PaginationChange, ...]] = {
    **dict.fromkeys(NUMBER_FIELDS, (("wrong", increment),)),
    "path": (("wrong", lambda value: f"{value}/elsewhere"),),
    "first": (GONE,),
    "last": (GONE, WITHOUT_QUERY),
    "next": (GONE, WITHOUT_QUERY),
    "previous": (GONE,),
}


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every list of a resource."""
    for operation in contract.operations.values():
        if operation.action == "list" and operation.envelope.is_list and operation.resource in contract.resources:
            parameters = parameters_by_role(operation)
            yield from _derive_from_table(operation, PAGE_OPERATORS, parameters)
            yield from _derive_pagination_mutants(operation, parameters.get("page"))
            yield from _derive_from_table(operation, ORDER_AND_SEARCH_OPERATORS, parameters)
            for parameter in operation.query_parameters:
                if parameter.x_query is not None and parameter.x_query.role == "filter":
                    yield from _derive_from_table(operation, FILTER_OPERATORS, {"filter": parameter})


def _derive_from_table(
    operation: Operation, table: OperatorTable, parameters: Mapping[str, Parameter]
) -> Iterator[Mutant]:
    for roles, rows in table.items():
        for row in rows if set(roles) <= parameters.keys() else ():
            parameter = parameters[roles[0]]
            name, pointer, trigger = parameter.name, parameter.pointer, partial(trigger_list, parameter=parameter)
            # without the list of names, the default order is correct
            support = ((f"{pointer}/schema", "enum"),) if row.requirement == SORTED else ()
            named_row = row.named(name=name)
            yield named_row.mutant(operation, row.fault(name), trigger, pointer, supporting_locations=support)


def _derive_pagination_mutants(operation: Operation, page: Parameter | None) -> Iterator[Mutant]:
    present, trigger = pagination_fields(operation), partial(trigger_list, parameter=page)
    for meaning, changes in PAGINATION_CHANGES.items():
        for detail, change in changes if meaning in present else ():
            family = "page-links" if meaning in PAGINATION_LINKS else "page-meta"
            requirement, fault = f"The pagination field {meaning} is correct.", change_pagination(meaning, change)
            row = operator(family, f"{meaning} {detail}", requirement, fault)
            yield row.mutant(operation, fault(""), trigger, (page or operation).pointer)
