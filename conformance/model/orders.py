"""Orders that a list can be requested in, and whether rows are in them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support.listing import Row
from conformance.checks.support.parameters import find_parameter, get_enum_values
from conformance.model.queries import find_inversion
from spec.extensions import DESCENDING_SIGN, split_sort_name
from spec.model import Operation, Parameter

DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Order:
    """A requested order: the parameters, and their values. `direction` and `chosen` are None if not in the request."""

    sort: Parameter
    value: str
    direction: Parameter | None = None
    chosen: str | None = None

    @property
    def name(self) -> str:
        """The property to sort by."""
        return split_sort_name(self.value)[0]

    @property
    def query(self) -> dict[str, Any]:
        """The query parameters that request the order."""
        direction = {} if self.direction is None else {self.direction.name: self.chosen}
        return {self.sort.name: self.value, **direction}

    @property
    def is_descending(self) -> bool | None:
        """Whether the order is descending; None if the contract leaves that open.

        A property without a sign is in ascending order if the parameter also has its name with a sign.
        """
        if self.value.startswith(DESCENDING_SIGN) or self.chosen == "desc":
            return True
        has_sign = f"{DESCENDING_SIGN}{self.name}" in get_enum_values(self.sort)
        return False if has_sign or self.chosen is not None else None

    def find_inversion(self, rows: Sequence[Row]) -> tuple[Any, Any] | None:
        """Return two values in the wrong order; None if the rows are in this order."""
        values = [row.get(self.name) for row in rows]
        if self.is_descending is not None:
            return find_inversion(values, descending=self.is_descending)
        ascending = find_inversion(values, descending=False)
        return None if find_inversion(values, descending=True) is None else ascending

    def is_shown_by(self, rows: Sequence[Row]) -> bool:
        """Whether rows are in this order, and not in the opposite one."""
        values = [row.get(self.name) for row in rows]
        is_either = all(find_inversion(values, descending=flag) is None for flag in (True, False))
        return not is_either and self.find_inversion(rows) is None

    def is_opposite_of(self, rows: Sequence[Row]) -> bool:
        """Whether the rows are in the opposite order although the request has a direction."""
        values = [row.get(self.name) for row in rows]
        return self.chosen is not None and find_inversion(values, descending=self.chosen != "desc") is None


def parse_order(operation: Operation, query: Mapping[str, Any]) -> Order | None:
    """Return the order that a query requests; None without one."""
    sort, direction = find_parameter(operation, "sort"), find_parameter(operation, "direction")
    value = query.get(sort.name) if sort is not None else None
    if sort is None or not value:
        return None
    chosen = query.get(direction.name) if direction is not None else None
    return Order(sort, str(value)) if not chosen else Order(sort, str(value), direction, str(chosen))


def iter_orders(operation: Operation) -> Iterator[Order]:
    """Yield each property in each direction, and the first property without a direction."""
    sort, direction = find_parameter(operation, "sort"), find_parameter(operation, "direction")
    if sort is None:
        return
    orders = [Order(sort, value) for value in get_enum_values(sort)]
    if direction is None:
        yield from orders
        return
    yield from (replace(order, direction=direction, chosen=chosen) for order in orders for chosen in DIRECTIONS)
    yield from orders[:1]
