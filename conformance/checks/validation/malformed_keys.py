"""Check that a malformed key in the path is a client error."""

from collections.abc import Iterator, Sequence
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.values import truncate
from conformance.errors import READ_ONLY, SkipCheck
from conformance.results import CheckResult, Requirement
from conformance.transport.messages import Exchange

SUFFIXES = ("'", '"')  # of an unknown key; in SQL and in code they end a text
READ_SUFFIXES = ("ä👍", "x" * 400)
READ_KEYS = ("%", "-1", "9" * 30, "null", "$1\\1", "{{x}}", "a b;c,d")
OWN_SUFFIXES = ("x", "'", " 1")  # of an existing key; some databases ignore what follows a number


@check(
    "malformed-key-is-client-error",
    "A request with a malformed key returns a client error, and no record.",
    Category.HTTP,
    lambda c, o: bool(o.path_parameter_names) and o.resource in c.resources and 404 in o.responses,
)
def check_malformed_keys(case: Case) -> Iterator[CheckResult]:
    """Send keys with quotes; to reads, also wildcards, very long ones, and an existing key with a suffix."""
    session, operation = case.session, case.operation
    is_read = operation.method in bad_requests.SAFE_METHODS
    if session.options.read_only and not is_read:
        yield case.skip(case.build_requirement(operation.responses[404]), READ_ONLY)
        return
    body: Any = session.payloads.build_any(operation, session.records.parent)
    returned: list[tuple[str, Exchange]] = []
    failed: list[tuple[str, Exchange]] = []
    exchange = None
    for key in dict.fromkeys(_iter_keys(case, is_read=is_read)):
        exchange = session.client.send(operation, path=dict.fromkeys(operation.path_parameter_names, key), body=body)
        returned += [(key, exchange)] if exchange.response.ok else []
        failed += [(key, exchange)] if exchange.response.status >= 500 else []
    location = operation.responses[404]
    # A server may normalize keys, so a record is an error only if the contract states the 404.
    yield _evaluate(case, case.build_requirement(location), returned, exchange)
    requirement = case.build_requirement(location, None, "server error", provenance_independent=True)
    yield _evaluate(case, requirement, failed, exchange)


def _iter_keys(case: Case, *, is_read: bool) -> Iterator[str]:
    unknown = str(next(iter(bad_requests.build_unknown_path(case).values())))
    yield from (unknown + suffix for suffix in SUFFIXES)
    if is_read:
        yield from (unknown + suffix for suffix in READ_SUFFIXES)
        yield from READ_KEYS
        try:
            own = next(iter(bad_requests.build_readable_path(case).values()))
        except SkipCheck:
            return
        yield from (f"{own}{suffix}" for suffix in OWN_SUFFIXES)


def _evaluate(
    case: Case, requirement: Requirement, wrong: Sequence[tuple[str, Exchange]], last: Exchange | None
) -> CheckResult:
    """Build the result from the wrong responses, by key; `last`: the last response."""
    key, exchange = wrong[0] if wrong else ("", last)
    evidence = (exchange,) if exchange is not None else ()
    message = f"key {truncate(key)}: got {exchange.response.status}, expected 404" if wrong and exchange else ""
    return case.build_result(requirement, message, *evidence)
