"""Mutants of lists: pages, order, filters, search. After Segura et al., "Metamorphic testing of RESTful Web APIs"."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import (
    CallNext,
    Fault,
    InterceptedRequest,
    InterceptedResponse,
    QueryParameters,
)
from conformance.mutation.mutant import Mutant
from conformance.mutation.triggers import trigger_list
from spec.extensions import PAGINATION_LINKS
from spec.loader import Contract, Operation, Parameter

SEGURA = "Segura et al., TSE 2018"
MAX_PAGE_SIZE = 100
Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ListOperation:
    """A list operation, and where in its answers and queries things stand."""

    operation: Operation
    parameters_by_role: Mapping[str, Parameter]
    pagination_fields: Mapping[str, tuple[str, str]]

    @classmethod
    def from_operation(cls, operation: Operation) -> "ListOperation":
        """What the contract says of a list."""
        parameters_by_role = {
            p.x_query.role: p
            for p in operation.query_parameters
            if p.x_query and p.x_query.role not in ("filter", "show")
        }
        pagination_fields = {
            field_name: (container, key)
            for container, fields in operation.envelope.pagination.items()
            for key, field_name in fields.items()
        }
        return cls(operation, parameters_by_role, pagination_fields)

    def parameter_name(self, role: str) -> str:
        """The name of the parameter with a role."""
        return self.parameters_by_role[role].name

    def get_rows(self, response: InterceptedResponse) -> list[Any]:
        """The rows of an answer."""
        body = response.json
        return list(body[self.operation.envelope.data_property] if self.operation.envelope.data_property else body)

    def with_rows(
        self, response: InterceptedResponse, rows: list[Any] | None = None, **changes: Change
    ) -> InterceptedResponse:
        """The answer with other rows, and page words changed."""
        return self.with_pagination(response if rows is None else self._replace_rows(response, rows), changes)

    def with_pagination(self, response: InterceptedResponse, changes: Mapping[str, Change]) -> InterceptedResponse:
        """The answer with page words changed."""
        body = dict(response.json)
        for field_name, change in changes.items():
            location = self.pagination_fields.get(field_name)
            if location is not None:
                container, key = location
                body[container] = {**body[container], key: change(body[container].get(key))}
        return response.with_json(body)

    def _replace_rows(self, response: InterceptedResponse, rows: list[Any]) -> InterceptedResponse:
        data = self.operation.envelope.data_property
        return response.with_json({**response.json, data: rows} if data else rows)


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every list of a resource."""
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


def remove_parameters(pairs: QueryParameters, *names: str) -> QueryParameters:
    """A query without some parameters, however they are spelled."""
    return tuple((n, v) for n, v in pairs if n.removesuffix("[]") not in names)


def get_value(pairs: QueryParameters, name: str) -> str | None:
    """The last value of a parameter; None when it is absent or blank."""
    values = [v for n, v in pairs if n.removesuffix("[]") == name]
    return values[-1] or None if values else None


def get_number(pairs: QueryParameters, name: str, default: int) -> int:
    """The number that a parameter says."""
    value = get_value(pairs, name)
    return int(value) if value and value.isdigit() else default


ResponseTransform = Callable[[InterceptedRequest, CallNext, InterceptedResponse], Awaitable[InterceptedResponse]]


def _on_success(transform: ResponseTransform) -> Callable[[], Fault]:
    """A fault that changes successes; `transform` gets the sound answer."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return (
            await transform(request, call_next, response)
            if response.is_success and response.json is not None
            else response
        )

    return lambda: fault


def _ignore_parameters(*names: str) -> Callable[[], Fault]:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        return await call_next(request.with_query(remove_parameters(request.query, *names)))

    return lambda: fault


def _build_mutant(
    list_operation: ListOperation,
    family: str,
    detail: str,
    requirement: str,
    make_fault: Callable[[], Fault],
    parameter: Parameter | None,
    supporting_locations: tuple[tuple[str, str | None], ...] = (),
) -> Mutant:
    operation = list_operation.operation
    pointer = parameter.pointer if parameter is not None else operation.pointer
    return Mutant(
        family,
        operation.id,
        detail,
        requirement,
        pointer,
        make_fault,
        partial(trigger_list, parameter=parameter),
        source=SEGURA,
        supporting_locations=supporting_locations,
    )


# Pages ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PageFaults:
    """Wrong ways to turn the pages of a list."""

    list_operation: ListOperation

    def _get_page_number(self, request: InterceptedRequest) -> int:
        return get_number(request.query, self.list_operation.parameter_name("page"), 1)

    async def _fetch_page(self, request: InterceptedRequest, call_next: CallNext, number: int) -> list[Any]:
        page = self.list_operation.parameter_name("page")
        return self.list_operation.get_rows(
            await call_next(request.with_query((*remove_parameters(request.query, page), (page, str(number)))))
        )

    async def return_next_page(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """The rows of the page after."""
        return self.list_operation.with_rows(
            response, await self._fetch_page(request, call_next, self._get_page_number(request) + 1)
        )

    async def overlap_previous_page(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """The last row of the page before in place of the first."""
        page_number, rows = self._get_page_number(request), self.list_operation.get_rows(response)
        previous_rows = await self._fetch_page(request, call_next, page_number - 1) if page_number > 1 else []
        return (
            self.list_operation.with_rows(response, [previous_rows[-1], *rows[1:]])
            if previous_rows and rows
            else response
        )

    async def wrap_to_first_page(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """The first page where there is none."""
        if self.list_operation.get_rows(response):
            return response
        return self.list_operation.with_rows(response, await self._fetch_page(request, call_next, 1))

    async def exceed_page_size(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """One row of the page after too."""
        next_rows = await self._fetch_page(request, call_next, self._get_page_number(request) + 1)
        return self.list_operation.with_rows(response, [*self.list_operation.get_rows(response), *next_rows[:1]])

    async def drop_last_row(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """Without the last row."""
        return self.list_operation.with_rows(response, self.list_operation.get_rows(response)[:-1])

    async def duplicate_first_row(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """The first row in place of the last."""
        rows = self.list_operation.get_rows(response)
        return self.list_operation.with_rows(response, [*rows[:-1], rows[0]]) if len(rows) > 1 else response

    async def count_page_as_total(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """The number of its rows as the total."""
        return self.list_operation.with_rows(response, total=lambda value: len(self.list_operation.get_rows(response)))


def _derive_page_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    if not {"page", "size"} <= list_operation.parameters_by_role.keys():
        return
    page, size, faults = (
        list_operation.parameters_by_role["page"],
        list_operation.parameters_by_role["size"],
        PageFaults(list_operation),
    )
    no_overlap, complete = "Pages do not overlap.", "All pages together are the list."
    yield _build_mutant(list_operation, "page", "ignored", no_overlap, _ignore_parameters(page.name), page)
    operators: Mapping[str, tuple[str, ResponseTransform]] = {
        "off by one": (complete, faults.return_next_page),
        "begins with the last row of the one before": (no_overlap, faults.overlap_previous_page),
        "after the last is the first": ("A page past the end is empty.", faults.wrap_to_first_page),
        "misses its last row": (complete, faults.drop_last_row),
        "shows a row twice": (no_overlap, faults.duplicate_first_row),
    }
    for detail, (requirement, transform) in operators.items():
        yield _build_mutant(list_operation, "page", detail, requirement, _on_success(transform), page)
    yield _build_mutant(
        list_operation,
        "page-size",
        "ignored",
        "A page has as many rows as asked for.",
        _ignore_parameters(size.name),
        size,
    )
    requirement = "A page has no more rows than asked for."
    yield _build_mutant(
        list_operation, "page-size", "one too many", requirement, _on_success(faults.exceed_page_size), size
    )
    requirement = "The total does not depend on the page's size."
    yield _build_mutant(
        list_operation, "page-meta", "total counts the page", requirement, _on_success(faults.count_page_as_total), size
    )


def _increment(value: Any) -> Any:
    return value + 1 if isinstance(value, int) else value


def _remove_query(value: Any) -> Any:
    return value.partition("?")[0] if isinstance(value, str) else value


def _remove_value(value: Any) -> Any:
    return None


# Page word -> (what is done to it, the change).
PAGINATION_CHANGES: Mapping[str, tuple[tuple[str, Change], ...]] = {
    "total": (("wrong", _increment),),
    "last-page": (("wrong", _increment),),
    "current-page": (("wrong", _increment),),
    "size": (("wrong", _increment),),
    "first-item": (("wrong", _increment),),
    "last-item": (("wrong", _increment),),
    "path": (("wrong", lambda value: f"{value}/elsewhere"),),
    "first": (("gone", _remove_value),),
    "last": (("gone", _remove_value), ("loses the query", _remove_query)),
    "next": (("gone", _remove_value), ("loses the query", _remove_query)),
    "previous": (("gone", _remove_value),),
}


def _derive_pagination_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    """Each page word wrong by itself."""
    for field_name, changes in PAGINATION_CHANGES.items():
        for detail, change in changes if field_name in list_operation.pagination_fields else ():
            family = "page-links" if field_name in PAGINATION_LINKS else "page-meta"
            requirement = f"The page word {field_name} says what it means."
            make_fault = _on_success(_change_pagination(list_operation, field_name, change))
            yield _build_mutant(
                list_operation,
                family,
                f"{field_name} {detail}",
                requirement,
                make_fault,
                list_operation.parameters_by_role.get("page"),
            )


def _change_pagination(list_operation: ListOperation, field_name: str, change: Change) -> ResponseTransform:
    async def transform(
        request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        return list_operation.with_pagination(response, {field_name: change})

    return transform


# Order ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class OrderFaults:
    """Wrong ways to order a list. `request_count`: how often it was asked."""

    list_operation: ListOperation
    request_count: int = 0

    async def sort_by_other_property(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """By another property than the one asked for."""
        sort = self.list_operation.parameters_by_role["sort"]
        sort_value, allowed_values = get_value(request.query, sort.name), tuple(sort.schema.get("enum", ()))
        if sort_value not in allowed_values or len(allowed_values) < 2:
            return await call_next(request)
        replacement = allowed_values[(allowed_values.index(sort_value) + 1) % len(allowed_values)]
        return await call_next(
            request.with_query((*remove_parameters(request.query, sort.name), (sort.name, replacement)))
        )

    async def reverse_direction(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """The other way round."""
        direction = self.list_operation.parameters_by_role["direction"]
        if get_value(request.query, self.list_operation.parameter_name("sort")) is None:
            return await call_next(request)
        ascending, descending = (*direction.schema.get("enum", ()), "asc", "desc")[:2]
        replacement = ascending if get_value(request.query, direction.name) == descending else descending
        return await call_next(
            request.with_query((*remove_parameters(request.query, direction.name), (direction.name, replacement)))
        )

    async def alternate_order(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        """Backwards every other time."""
        response = await call_next(request)
        self.request_count += 1
        if not response.is_success or self.request_count % 2:
            return response
        return self.list_operation.with_rows(response, self.list_operation.get_rows(response)[::-1])


def _derive_order_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    if "sort" not in list_operation.parameters_by_role:
        return
    sort, direction = list_operation.parameters_by_role["sort"], list_operation.parameters_by_role.get("direction")
    sorted_requirement = "Rows come in the order of the property that was asked for."
    supporting_locations = ((f"{sort.pointer}/schema", "enum"),)  # without a name the usual order is right
    yield _build_mutant(
        list_operation,
        "order",
        "ignored",
        sorted_requirement,
        _ignore_parameters(sort.name),
        sort,
        supporting_locations,
    )
    yield _build_mutant(
        list_operation,
        "order",
        "by another property",
        sorted_requirement,
        lambda: OrderFaults(list_operation).sort_by_other_property,
        sort,
        supporting_locations,
    )
    stable_requirement = "The same request gives the same order."
    yield _build_mutant(
        list_operation,
        "order",
        "differs each time",
        stable_requirement,
        lambda: OrderFaults(list_operation).alternate_order,
        sort,
    )
    if direction is not None:
        reverse_requirement = "Descending is ascending reversed."
        yield _build_mutant(
            list_operation,
            "order",
            "direction ignored",
            reverse_requirement,
            _ignore_parameters(direction.name),
            direction,
        )
        yield _build_mutant(
            list_operation,
            "order",
            "the other way round",
            reverse_requirement,
            lambda: OrderFaults(list_operation).reverse_direction,
            sort,
        )


# Filters and search --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FilterFaults:
    """Wrong ways to narrow a list by the parameter `parameter_name`."""

    list_operation: ListOperation
    parameter_name: str

    async def _fetch_unfiltered(self, request: InterceptedRequest, call_next: CallNext) -> list[Any]:
        paging_names = [
            self.list_operation.parameter_name(role)
            for role in ("page", "size")
            if role in self.list_operation.parameters_by_role
        ]
        size_parameter = (
            ((self.list_operation.parameter_name("size"), str(MAX_PAGE_SIZE)),)
            if "size" in self.list_operation.parameters_by_role
            else ()
        )
        response = await call_next(
            request.with_query((*remove_parameters(request.query, self.parameter_name, *paging_names), *size_parameter))
        )
        return self.list_operation.get_rows(response) if response.is_success else []

    async def invert(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """The rows that do not satisfy it."""
        if get_value(request.query, self.parameter_name) is None:
            return response
        matching = [repr(row) for row in self.list_operation.get_rows(response)]
        rows = [row for row in await self._fetch_unfiltered(request, call_next) if repr(row) not in matching]
        page_size = (
            get_number(request.query, self.list_operation.parameter_name("size"), 20)
            if "size" in self.list_operation.parameters_by_role
            else 20
        )
        return self.list_operation.with_rows(response, rows[:page_size], total=lambda value: len(rows))

    async def drop_first_row(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """Without the first row."""
        rows = self.list_operation.get_rows(response)
        if get_value(request.query, self.parameter_name) is None or not rows:
            return response
        return self.list_operation.with_rows(response, rows[1:], total=lambda value: value - 1)

    async def return_no_rows(
        self, request: InterceptedRequest, call_next: CallNext, response: InterceptedResponse
    ) -> InterceptedResponse:
        """No row at all."""
        if get_value(request.query, self.parameter_name) is None:
            return response
        return self.list_operation.with_rows(response, [], total=lambda value: 0)


def _derive_filter_mutants(list_operation: ListOperation, parameter: Parameter) -> Iterator[Mutant]:
    name, faults = parameter.name, FilterFaults(list_operation, parameter.name)
    soundness = "Every row of a filtered list satisfies the filter."
    yield _build_mutant(list_operation, "filter", f"{name} ignored", soundness, _ignore_parameters(name), parameter)
    yield _build_mutant(list_operation, "filter", f"{name} inverted", soundness, _on_success(faults.invert), parameter)
    completeness = "A filtered list has every row that satisfies the filter."
    yield _build_mutant(
        list_operation, "filter", f"{name} incomplete", completeness, _on_success(faults.drop_first_row), parameter
    )


def _derive_search_mutants(list_operation: ListOperation) -> Iterator[Mutant]:
    if "search" not in list_operation.parameters_by_role:
        return
    search = list_operation.parameters_by_role["search"]
    faults, requirement = FilterFaults(list_operation, search.name), "A search finds what contains the term."
    yield _build_mutant(
        list_operation,
        "search",
        "ignored",
        "What a search finds contains the term.",
        _ignore_parameters(search.name),
        search,
    )
    yield _build_mutant(
        list_operation, "search", "finds nothing", requirement, _on_success(faults.return_no_rows), search
    )
    yield _build_mutant(
        list_operation, "search", "misses the first", requirement, _on_success(faults.drop_first_row), search
    )
