"""What the contract's words promise, one small function each. `CHECKS` are all of them, cheap and reading ones first."""

from dataclasses import replace

from conformance.checks.access import leaks, sessions
from conformance.checks.actions import actions, relations
from conformance.checks.lists import default_order, filters, includes, pagination, pagination_filtered, search, sorting
from conformance.checks.support.check import Case, Check
from conformance.checks.validation import accepted_input, rejected_input, responses
from conformance.checks.writes import crud

CHECKS: tuple[Check, ...] = (
    *(
        replace(law, affected_by_other_clients=True)
        for law in (*pagination.CHECKS, *sorting.CHECKS, *filters.CHECKS, *pagination_filtered.CHECKS, *includes.CHECKS)
    ),
    *rejected_input.CHECKS,
    *sessions.CHECKS,
    *accepted_input.CHECKS,
    *crud.CHECKS,
    *relations.CHECKS,
    *actions.CHECKS,
    *default_order.CHECKS,
    *search.CHECKS,
    *leaks.CHECKS,
    *responses.CHECKS,  # the last: they judge what the others have seen
)

__all__ = ["CHECKS", "Case", "Check"]
