"""Laws on what is searched for: any text may be, and no sign in it stands for others."""

from collections.abc import Iterator, Mapping

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Evaluation, Listing, ListPage, evaluate_requirement, is_list
from conformance.checks.support.values import iter_round_trip_fields, select_least_certain
from conformance.checks.writes.text_roundtrip import accepts_any_text
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.skip_reasons import not_testable
from spec.loader import Contract, Operation

# What has a meaning in SQL, in patterns, in JSON; what has more bytes than characters.
SPECIAL_TEXTS: Mapping[str, str] = {
    "an apostrophe": "it's",
    "a quotation mark": 'so "called',
    "a percent sign": "%",
    "an underscore": "_",
    "a backslash": "\\",
    "brackets": "(a[b{c*",
    "a comment": "a'--",
    "an emoji": "ok 👍🏽",
}
MAX_TERM_CHARS = 2000  # characters of a term, at most
WILDCARDS = ("%", "_")


def _has_search(contract: Contract, operation: Operation) -> bool:
    return is_list(contract, operation) and any(
        p.x_query and p.x_query.role == "search" for p in operation.query_parameters
    )


def _check_any_search_text(case: Case) -> Iterator[CheckResult]:
    """Each kind of term, as long as the contract admits it; whatever it finds."""
    listing = Listing(case.session, case.operation)
    search_parameter = listing.require_parameter("search")
    validator = case.session.schemas.get(f"{search_parameter.pointer}/schema", "write")
    longest_term = "x" * min(MAX_TERM_CHARS, int(search_parameter.schema.get("maxLength", MAX_TERM_CHARS)))
    for kind, term in {**SPECIAL_TEXTS, "a long text": longest_term}.items():
        if not validator.is_valid(term):
            continue

        def evaluate(term: str = term) -> Evaluation:
            return "", (listing.fetch((search_parameter.name, term)).exchange,)

        yield evaluate_requirement(case, case.build_requirement(search_parameter.pointer, parameter=kind), evaluate)


def _check_wildcards_literal(case: Case) -> Iterator[CheckResult]:
    """Of two own records that differ in the sign alone, the one that has it is found, and the other is not."""
    session, listing = case.session, Listing(case.session, case.operation)
    search_parameter, resource = listing.require_parameter("search"), listing.resource
    create_operation = session.creator(resource.name)
    free_text_fields = (
        f
        for f, attribute in iter_round_trip_fields(Case(case.check, session, create_operation), resource)
        if accepts_any_text(session, f, attribute)
    )
    paths = search_parameter.x_query.paths if search_parameter.x_query else ()
    field = next((f for f in free_text_fields if (f.name,) in paths), None)
    if field is None or create_operation.path_parameter_names:
        raise SkipCheck(not_testable("the contract has no free text that is searched and that create takes"))
    number = session.payloads.random.randrange(10**8, 10**9)
    matching_record = session.create(resource.name, {field.name: f"{session.payloads.marker} {number}%q {number}_q"})
    other_record = session.create(resource.name, {field.name: f"{session.payloads.marker} {number}xq"})
    for wildcard in WILDCARDS:
        term = f"{number}{wildcard}q"

        def evaluate(term: str = term) -> Evaluation:
            pages: list[ListPage] = []

            def find_problem() -> str:
                pages[:] = [listing.fetch(*listing.build_largest_page_query(), (search_parameter.name, term))]
                keys = listing.get_keys(pages[0].rows)
                if matching_record.key not in keys:
                    return f"{search_parameter.name}={term} does not find {matching_record.key}, whose {field.name} contains it"
                matches_other = other_record.key in keys
                return (
                    f"{search_parameter.name}={term} finds {other_record.key}, whose {field.name} has {number}xq"
                    if matches_other
                    else ""
                )

            message = session.wait_until(find_problem)
            return message, (pages[0].exchange,)

        location = select_least_certain(case, (search_parameter.pointer, None), (create_operation.pointer, None))
        yield evaluate_requirement(case, case.build_requirement(*location, parameter=wildcard), evaluate)


CHECKS: tuple[Check, ...] = (
    Check(
        "any-search-text-accepted",
        "A search for any valid text succeeds.",
        Category.LISTS,
        _has_search,
        _check_any_search_text,
    ),
    Check(
        "search-wildcards-are-literal",
        "A search treats percent signs and underscores as literal characters.",
        Category.LISTS,
        _has_search,
        _check_wildcards_literal,
        writes=True,
    ),
)
