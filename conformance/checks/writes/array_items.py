"""Check that each item of an array in a create is processed, not only the first."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation

MAX_ITEMS = 3


def _list_item_fields(contract: Contract, operation: Operation) -> list[BodyField]:
    """Return the optional arrays in the body of a create that are neither attributes nor relations."""
    resource = contract.find_created_resource(operation)
    if resource is None or operation.effects or operation.path_parameter_names:
        return []
    attributes = contract.resources[resource].attributes
    return [
        f
        for f in operation.body_fields.values()
        if f.schema.get("type") == "array" and f.name not in attributes and f.relation_setter is None and not f.required
    ]


@check(
    "array-items-create-records",
    "If one item of an array in a create adds a number of related records, three items add three times as many.",
    Category.WRITES,
    lambda contract, operation: bool(_list_item_fields(contract, operation)),
    writes=True,
)
def check_items(case: Case) -> Iterator[CheckResult]:
    """Create records without items, with one and with several; compare the numbers of their related records."""
    for field in _list_item_fields(case.session.contract, case.operation):
        requirement = case.build_requirement(field.pointer, None, field.name)
        try:
            values = [_build_items(case.session, field, number) for number in (0, 1, MAX_ITEMS)]
            none, one, several = (_create_and_count(case, field, items) for items in values)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        added = {name: one[0][name] - none[0].get(name, 0) for name in one[0]}
        shown = {name: number for name, number in added.items() if number > 0}
        if not shown:
            yield case.skip(requirement, insufficient_data(f"no related record shows an item of {field.name}"))
            continue
        message = ""
        for name, number in shown.items():
            expected, actual = none[0].get(name, 0) + MAX_ITEMS * number, several[0].get(name)
            if actual != expected:
                message = f"{name} with {MAX_ITEMS} items in {field.name}: got {actual} records, expected {expected}"
        result = case.build_result(requirement, message, one[1], several[1])
        yield replace(result, is_contradiction=bool(message))


def _build_items(session: Session, field: BodyField, number: int) -> list[Any]:
    """Return different items. Raises SkipCheck if the schema does not permit as many."""
    items = [session.payloads.generate_value(field.schema.get("items", {}), field.name) for _ in range(number)]
    if not session.schemas.get_field(field, "write").is_valid(items) or any(items.count(item) > 1 for item in items):
        raise SkipCheck(insufficient_data(f"the schema of {field.name} does not permit {number} different items"))
    return items


def _create_and_count(case: Case, field: BodyField, items: list[Any]) -> tuple[Mapping[str, int], Exchange]:
    """Create a record; return the number of records in each of its relations to several. Raises SkipCheck."""
    session = case.session
    resource = session.operations.resource(case.operation)
    record = session.records.create(resource.name, {field.name: items} if items else {})
    retrieve = session.operations.require(resource.name, "retrieve")
    numbers: dict[str, int] = {}
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        body, exchange = retrieve_with_relations(session, retrieve, record.key)
        exchanges.append(exchange)
        related = body if isinstance(body, Mapping) else {}
        numbers.clear()
        numbers.update({n: len(related[n]) for n in resource.relations if isinstance(related.get(n), list)})
        is_expected = not items or not numbers or any(number >= len(items) for number in numbers.values())
        return "" if is_expected else "an item is missing"

    session.client.wait_until(find_problem)
    return dict(numbers), exchanges[-1]
