"""Check that one create makes one record, by a free text field."""

from collections.abc import Iterator

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import Listing
from conformance.checks.support.parameters import find_parameter
from conformance.checks.support.values import accepts_any_text, equal, is_create, iter_round_trip_fields, new_record
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult


@check(
    "create-adds-one-record",
    "A create request creates exactly one record.",
    Category.SIDE_EFFECTS,
    is_create,
    writes=True,
)
def check_single_record(case: Case) -> Iterator[CheckResult]:
    """Create a record with a unique text: one row has it, in a search or among the newest rows."""
    session, operation = case.session, case.operation
    candidates = iter_round_trip_fields(case, session.operations.resource(operation))
    fields = [field for field, attribute in candidates if accepts_any_text(session, field, attribute)]
    if not fields:
        raise SkipCheck(not_testable("the contract defines no free text field that can identify a record"))
    name = fields[0].name
    listing = Listing(session, session.operations.require(operation.resource or "", "list"))
    record = new_record(case, {name: session.payloads.generate_value(fields[0].schema, name)})
    text = record.request_body[name]
    search = find_parameter(listing.operation, "search")
    is_searched = search is not None and search.x_query is not None and (name,) in search.x_query.paths
    pairs = ((search.name, text.split()[-1]),) if search and is_searched else ()
    page = listing.fetch(*listing.build_largest_page_query(), *pairs)
    rows = zip(page.rows, listing.get_keys(page.rows), strict=True)
    keys = [key for row, key in rows if equal(row.get(name), text)]
    if not keys:
        raise SkipCheck(f"the first page of {listing.operation.id} does not contain the new record")
    message = f"one create request made {len(keys)} records: {', '.join(map(str, keys[:3]))}" if len(keys) > 1 else ""
    yield case.build_result(case.build_requirement(), message, record.exchange, page.exchange)
