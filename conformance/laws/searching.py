"""Laws on what is searched for: any text may be, and no sign in it stands for others."""

from collections.abc import Iterator, Mapping

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.laws.law import Case, Law
from conformance.laws.lists import Answer, Finding, Listing, found, is_list
from conformance.laws.own import weakest, writable
from conformance.laws.texts import takes_any_text
from conformance.outcome import CheckResult
from spec.contract import Contract, Operation

# What has a meaning in SQL, in patterns, in JSON; what has more bytes than characters.
ODD: Mapping[str, str] = {
    "an apostrophe": "it's",
    "a quotation mark": 'so "called',
    "a percent sign": "%",
    "an underscore": "_",
    "a backslash": "\\",
    "brackets": "(a[b{c*",
    "a comment": "a'--",
    "an emoji": "ok 👍🏽",
}
LONG = 2000  # characters of a term, at most
WILD = ("%", "_")


def _searches(contract: Contract, operation: Operation) -> bool:
    return is_list(contract, operation) and any(
        p.x_query and p.x_query.role == "search" for p in operation.query_parameters
    )


def _any_text(case: Case) -> Iterator[CheckResult]:
    """Each kind of term, as long as the contract admits it; whatever it finds."""
    listing = Listing(case.session, case.operation)
    search = listing.needed("search")
    validator = case.session.schemas.get(f"{search.pointer}/schema", "write")
    longest = "x" * min(LONG, int(search.schema.get("maxLength", LONG)))
    for kind, term in {**ODD, "a long text": longest}.items():
        if not validator.is_valid(term):
            continue

        def find(term: str = term) -> Finding:
            return "", (listing.ask((search.name, term)).exchange,)

        yield found(case, case.promise(search.pointer, parameter=kind), find)


def _literal(case: Case) -> Iterator[CheckResult]:
    """Of two own records that differ in the sign alone, the one that has it is found, and the other is not."""
    session, listing = case.session, Listing(case.session, case.operation)
    search, resource = listing.needed("search"), listing.resource
    creating = session.creator(resource.name)
    free = (
        f for f, named in writable(Case(case.law, session, creating), resource) if takes_any_text(session, f, named)
    )
    paths = search.x_query.paths if search.x_query else ()
    field = next((f for f in free if (f.name,) in paths), None)
    if field is None or creating.path_parameter_names:
        raise SkipCheck(not_testable("the contract has no free text that is searched and that create takes"))
    number = session.payloads.random.randrange(10**8, 10**9)
    signed = session.create(resource.name, {field.name: f"{session.payloads.marker} {number}%q {number}_q"})
    plain = session.create(resource.name, {field.name: f"{session.payloads.marker} {number}xq"})
    for sign in WILD:
        term = f"{number}{sign}q"

        def find(term: str = term) -> Finding:
            shown: list[Answer] = []

            def look() -> str:
                shown[:] = [listing.ask(*listing.largest(), (search.name, term))]
                keys = listing.keys(shown[0].rows)
                if signed.key not in keys:
                    return f"{search.name}={term} does not find {signed.key}, whose {field.name} contains it"
                wild = plain.key in keys
                return f"{search.name}={term} finds {plain.key}, whose {field.name} has {number}xq" if wild else ""

            said = session.wait_until(look)
            return said, (shown[0].exchange,)

        place = weakest(case, (search.pointer, None), (creating.pointer, None))
        yield found(case, case.promise(*place, parameter=sign), find)


LAWS: tuple[Law, ...] = (
    Law("any-text-may-be-searched", "A search for any text is answered with a success.", _searches, _any_text),
    Law(
        "searched-signs-stand-for-themselves",
        "A percent sign or an underscore in a search stands for itself alone.",
        _searches,
        _literal,
        writes=True,
    ),
)
