"""What the contract's words promise, one small function each. `CHECKS` are all of them, cheap and reading ones first."""

from dataclasses import replace

from conformance.laws import (
    accepted,
    accounts,
    actions,
    answers,
    filters,
    hidden,
    includes,
    narrowed,
    order,
    pages,
    refusals,
    relations,
    searching,
    standing,
    writes,
)
from conformance.laws.law import Case, Check

CHECKS: tuple[Check, ...] = (
    *(
        replace(law, affected_by_other_clients=True)
        for law in (*pages.CHECKS, *order.CHECKS, *filters.CHECKS, *narrowed.CHECKS, *includes.CHECKS)
    ),
    *refusals.CHECKS,
    *accounts.CHECKS,
    *accepted.CHECKS,
    *writes.CHECKS,
    *relations.CHECKS,
    *actions.CHECKS,
    *standing.CHECKS,
    *searching.CHECKS,
    *hidden.CHECKS,
    *answers.CHECKS,  # the last: they judge what the others have seen
)

__all__ = ["CHECKS", "Case", "Check"]
