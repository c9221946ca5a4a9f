"""Mutants of lists: pages, order, filters, search. After Segura et al., "Metamorphic testing of RESTful Web APIs"."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse, QueryParameters
from conformance.mutation.faults import MakeFault, ignore_parameters, remove_parameters
from conformance.mutation.mutant import Mutant
from conformance.mutation.triggers import trigger_list
from spec.extensions import PAGINATION_LINKS
from spec.model import Contract, Operation, Parameter

SEGURA = "Segura et al., TSE 2018"
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20
Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ListOperation:
    """A list operation. `parameters`: by role. `pagination`: field meaning -> (container property, key in it)."""

    operation: Operation
    parameters: Mapping[str, Parameter]
    pagination: Mapping[str, tuple[str, str]]

    @classmethod
    def from_operation(cls, operation: Operation) -> "ListOperation":
        """Read roles and pagination fields from the contract."""
        queries = [(p.x_query.role, p) for p in operation.query_parameters if p.x_query]
        pagination = {
            meaning: (container, key)
            for container, fields in operation.envelope.pagination.items()
            for key, meaning in fields.items()
        }
        return cls(operation, {role: p for role, p in queries if role not in ("filter", "show")}, pagination)

    def mutant(
        self,
        family: str,
        detail: str,
        requirement: str,
        make_fault: MakeFault,
        parameter: Parameter | None,
        supporting_locations: tuple[tuple[str, str | None], ...] = (),
    ) -> Mutant:
        """Build a mutant that is located at `parameter` and triggered with its values."""
        head = (family, self.operation.id, detail, requirement, (parameter or self.operation).pointer)
        trigger, support = partial(trigger_list, parameter=parameter), supporting_locations
        return Mutant(*head, make_fault, trigger, source=SEGURA, supporting_locations=support)


@dataclass(frozen=True, slots=True)
class ListExchange:
    """A request to a list operation and its successful response."""

    list_operation: ListOperation
    request: InterceptedRequest
    call_next: CallNext
    response: InterceptedResponse

    @property
    def rows(self) -> list[Any]:
        """The rows of the response."""
        return self._read_rows(self.response)

    @property
    def page_number(self) -> int:
        """The requested page."""
        return self.number("page", 1)

    def value(self, name: str) -> str | None:
        """The last value of a query parameter; None when it is absent or blank."""
        return get_value(self.request.query, name)

    def number(self, role: str, default: int) -> int:
        """The number that the query parameter with a role has."""
        parameter = self.list_operation.parameters.get(role)
        value = self.value(parameter.name) if parameter is not None else None
        return int(value) if value and value.isdigit() else default

    def with_rows(self, rows: list[Any], **changes: Change) -> InterceptedResponse:
        """The response with other rows and changed pagination fields."""
        data = self.list_operation.operation.envelope.data_property
        body = {**self.response.json, data: rows} if data else rows
        return replace(self, response=self.response.with_json(body)).with_pagination(**changes)

    def with_pagination(self, **changes: Change) -> InterceptedResponse:
        """The response with changed pagination fields."""
        body = self.response.json
        for meaning, change in changes.items():
            location = self.list_operation.pagination.get(meaning)
            if location is not None:
                container, key = location
                body = {**body, container: {**body[container], key: change(body[container].get(key))}}
        return self.response.with_json(body)

    async def fetch_page(self, number: int) -> list[Any]:
        """Fetch the rows of another page."""
        page = self.list_operation.parameters["page"].name
        query = (*remove_parameters(self.request.query, page), (page, str(number)))
        return self._read_rows(await self.call_next(self.request.with_query(query)))

    async def fetch_without(self, name: str) -> list[Any]:
        """Fetch the first rows of the list without a filter."""
        parameters = self.list_operation.parameters
        paging = [parameters[role].name for role in ("page", "size") if role in parameters]
        size = ((parameters["size"].name, str(MAX_PAGE_SIZE)),) if "size" in parameters else ()
        query = (*remove_parameters(self.request.query, name, *paging), *size)
        response = await self.call_next(self.request.with_query(query))
        return self._read_rows(response) if response.is_success else []

    def _read_rows(self, response: InterceptedResponse) -> list[Any]:
        data = self.list_operation.operation.envelope.data_property
        return list(response.json[data] if data else response.json)


Transform = Callable[[ListExchange], Awaitable[InterceptedResponse]]


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every list of a resource."""
    for operation in contract.operations.values():
        if operation.action == "list" and operation.envelope.is_list and operation.resource in contract.resources:
            list_operation = ListOperation.from_operation(operation)
            yield from _derive_page_mutants(list_operation)
            yield from _derive_pagination_mutants(list_operation)
            yield from _derive_order_mutants(list_operation)
            yield from _derive_search_mutants(list_operation)
            for parameter in operation.query_parameters:
                if parameter.x_query is not None and parameter.x_query.role == "filter":
                    yield from _derive_filter_mutants(list_operation, parameter)


def get_value(pairs: QueryParameters, name: str) -> str | None:
    """The last value of a query parameter; None when it is absent or blank."""
    values = [v for n, v in pairs if n.removesuffix("[]") == name]
    return values[-1] or None if values else None


def on_success(list_operation: ListOperation, transform: Transform) -> MakeFault:
    """Transform successful responses."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if not response.is_success or response.json is None:
            return response
        return await transform(ListExchange(list_operation, request, call_next, response))

    return lambda: fault


# Pages


async def _return_next_page(exchange: ListExchange) -> InterceptedResponse:
    return exchange.with_rows(await exchange.fetch_page(exchange.page_number + 1))


async def _repeat_previous_row(exchange: ListExchange) -> InterceptedResponse:
    """Replace the first row with the last row of the previous page."""
    number, rows = exchange.page_number, exchange.rows
    previous = await exchange.fetch_page(number - 1) if number > 1 else []
    return exchange.with_rows([previous[-1], *rows[1:]]) if previous and rows else exchange.response


async def _wrap_to_first_page(exchange: ListExchange) -> InterceptedResponse:
    return exchange.response if exchange.rows else exchange.with_rows(await exchange.fetch_page(1))


async def _exceed_page_size(exchange: ListExchange) -> InterceptedResponse:
    following = await exchange.fetch_page(exchange.page_number + 1)
    return exchange.with_rows([*exchange.rows, *following[:1]])


async def _drop_last_row(exchange: ListExchange) -> InterceptedResponse:
    return exchange.with_rows(exchange.rows[:-1])


async def _duplicate_first_row(exchange: ListExchange) -> InterceptedResponse:
    rows = exchange.rows
    return exchange.with_rows([*rows[:-1], rows[0]]) if len(rows) > 1 else exchange.response


async def _count_page_as_total(exchange: ListExchange) -> InterceptedResponse:
    return exchange.with_pagination(total=lambda value: len(exchange.rows))


def _derive_page_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    if not {"page", "size"} <= list_operation.parameters.keys():
        return
    page, size = list_operation.parameters["page"], list_operation.parameters["size"]
    mutant, transformed = list_operation.mutant, partial(on_success, list_operation)
    no_overlap, complete = "Pages do not overlap.", "The pages together contain the complete list."
    past_end = "A page past the end is empty."
    first_repeated = "begins with the last row of the one before"
    yield mutant("page", "ignored", no_overlap, ignore_parameters(page.name), page)
    yield mutant("page", "off by one", complete, transformed(_return_next_page), page)
    yield mutant("page", first_repeated, no_overlap, transformed(_repeat_previous_row), page)
    yield mutant("page", "after the last is the first", past_end, transformed(_wrap_to_first_page), page)
    yield mutant("page", "misses its last row", complete, transformed(_drop_last_row), page)
    yield mutant("page", "shows a row twice", no_overlap, transformed(_duplicate_first_row), page)
    exact, maximum = "A page has the requested number of rows.", "A page has at most the requested number of rows."
    yield mutant("page-size", "ignored", exact, ignore_parameters(size.name), size)
    yield mutant("page-size", "one too many", maximum, transformed(_exceed_page_size), size)
    total = "The total does not depend on the page size."
    yield mutant("page-meta", "total counts the page", total, transformed(_count_page_as_total), size)


def _increment(value: Any) -> Any:
    return value + 1 if isinstance(value, int) else value


def _remove_query(value: Any) -> Any:
    return value.partition("?")[0] if isinstance(value, str) else value


def _set_none(value: Any) -> Any:
    return None


# Pagination field -> (detail, change).
PAGINATION_CHANGES: Mapping[str, tuple[tuple[str, Change], ...]] = {
    "total": (("wrong", _increment),),
    "last-page": (("wrong", _increment),),
    "current-page": (("wrong", _increment),),
    "size": (("wrong", _increment),),
    "first-item": (("wrong", _increment),),
    "last-item": (("wrong", _increment),),
    "path": (("wrong", lambda value: f"{value}/elsewhere"),),
    "first": (("gone", _set_none),),
    "last": (("gone", _set_none), ("loses the query", _remove_query)),
    "next": (("gone", _set_none), ("loses the query", _remove_query)),
    "previous": (("gone", _set_none),),
}


def _derive_pagination_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    page = list_operation.parameters.get("page")
    for meaning, changes in PAGINATION_CHANGES.items():
        for detail, change in changes if meaning in list_operation.pagination else ():
            family = "page-links" if meaning in PAGINATION_LINKS else "page-meta"
            make_fault = on_success(list_operation, partial(_change_pagination, meaning, change))
            requirement = f"The pagination field {meaning} is correct."
            yield list_operation.mutant(family, f"{meaning} {detail}", requirement, make_fault, page)


async def _change_pagination(meaning: str, change: Change, exchange: ListExchange) -> InterceptedResponse:
    return exchange.with_pagination(**{meaning: change})


# Order


@dataclass(slots=True)
class OrderFaults:
    """Wrong ways to order a list. `request_count`: requests so far."""

    list_operation: ListOperation
    request_count: int = 0

    async def sort_by_other_property(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Sort by the property after the requested one."""
        sort = self.list_operation.parameters["sort"]
        value, allowed = get_value(request.query, sort.name), tuple(sort.schema.get("enum", ()))
        if value not in allowed or len(allowed) < 2:
            return await call_next(request)
        next_value = allowed[(allowed.index(value) + 1) % len(allowed)]
        return await _replace_parameter(sort.name, next_value, request, call_next)

    async def reverse_direction(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Sort in the opposite direction."""
        direction = self.list_operation.parameters["direction"]
        if get_value(request.query, self.list_operation.parameters["sort"].name) is None:
            return await call_next(request)
        ascending, descending = (*direction.schema.get("enum", ()), "asc", "desc")[:2]
        opposite = ascending if get_value(request.query, direction.name) == descending else descending
        return await _replace_parameter(direction.name, opposite, request, call_next)

    async def alternate_order(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Reverse the rows of every second response."""
        response = await call_next(request)
        self.request_count += 1
        if not response.is_success or self.request_count % 2:
            return response
        exchange = ListExchange(self.list_operation, request, call_next, response)
        return exchange.with_rows(exchange.rows[::-1])


async def _replace_parameter(
    name: str, value: Any, request: InterceptedRequest, call_next: CallNext
) -> InterceptedResponse:
    return await call_next(request.with_query((*remove_parameters(request.query, name), (name, value))))


def _derive_order_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    if "sort" not in list_operation.parameters:
        return
    sort, direction = list_operation.parameters["sort"], list_operation.parameters.get("direction")
    mutant = partial(list_operation.mutant, "order")
    sorted_rows, stable = "Rows are sorted by the requested property.", "Equal requests return rows in the same order."
    names = ((f"{sort.pointer}/schema", "enum"),)  # without the list of names, the default order is correct
    yield mutant("ignored", sorted_rows, ignore_parameters(sort.name), sort, names)
    other_property, alternate = "by another property", "differs each time"
    yield mutant(other_property, sorted_rows, lambda: OrderFaults(list_operation).sort_by_other_property, sort, names)
    yield mutant(alternate, stable, lambda: OrderFaults(list_operation).alternate_order, sort)
    if direction is not None:
        reverse, opposite = "Descending order is ascending order reversed.", "the other way round"
        yield mutant("direction ignored", reverse, ignore_parameters(direction.name), direction)
        yield mutant(opposite, reverse, lambda: OrderFaults(list_operation).reverse_direction, sort)


# Filters and search


@dataclass(frozen=True, slots=True)
class FilterFaults:
    """Wrong ways to filter a list by the parameter `name`."""

    name: str

    async def invert(self, exchange: ListExchange) -> InterceptedResponse:
        """Return the rows that do not match."""
        if exchange.value(self.name) is None:
            return exchange.response
        matching = [repr(row) for row in exchange.rows]
        rows = [row for row in await exchange.fetch_without(self.name) if repr(row) not in matching]
        return exchange.with_rows(rows[: exchange.number("size", DEFAULT_PAGE_SIZE)], total=lambda value: len(rows))

    async def drop_first_row(self, exchange: ListExchange) -> InterceptedResponse:
        """Omit the first match."""
        rows = exchange.rows
        if exchange.value(self.name) is None or not rows:
            return exchange.response
        return exchange.with_rows(rows[1:], total=lambda value: value - 1)

    async def return_no_rows(self, exchange: ListExchange) -> InterceptedResponse:
        """Return an empty list."""
        has_value = exchange.value(self.name) is not None
        return exchange.with_rows([], total=lambda value: 0) if has_value else exchange.response


def _derive_filter_mutants(list_operation: ListOperation, parameter: Parameter) -> Iterator[Mutant]:
    name, faults = parameter.name, FilterFaults(parameter.name)
    mutant, transformed = partial(list_operation.mutant, "filter"), partial(on_success, list_operation)
    sound, complete = "Every row of a filtered list matches the filter.", "A filtered list contains every matching row."
    yield mutant(f"{name} ignored", sound, ignore_parameters(name), parameter)
    yield mutant(f"{name} inverted", sound, transformed(faults.invert), parameter)
    yield mutant(f"{name} incomplete", complete, transformed(faults.drop_first_row), parameter)


def _derive_search_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    search = list_operation.parameters.get("search")
    if search is None:
        return
    mutant, transformed = partial(list_operation.mutant, "search"), partial(on_success, list_operation)
    sound, complete, faults = "Every match contains the term.", "A search finds every match.", FilterFaults(search.name)
    yield mutant("ignored", sound, ignore_parameters(search.name), search)
    yield mutant("finds nothing", complete, transformed(faults.return_no_rows), search)
    yield mutant("misses the first", complete, transformed(faults.drop_first_row), search)
