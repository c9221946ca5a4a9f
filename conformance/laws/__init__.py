"""What the contract's words promise, one small function each. `LAWS` are all of them, cheap and reading ones first."""

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
from conformance.laws.law import Case, Law

LAWS: tuple[Law, ...] = (
    *(replace(law, shared=True) for law in (*pages.LAWS, *order.LAWS, *filters.LAWS, *narrowed.LAWS, *includes.LAWS)),
    *refusals.LAWS,
    *accounts.LAWS,
    *accepted.LAWS,
    *writes.LAWS,
    *relations.LAWS,
    *actions.LAWS,
    *standing.LAWS,
    *searching.LAWS,
    *hidden.LAWS,
    *answers.LAWS,  # the last: they judge what the others have seen
)

__all__ = ["LAWS", "Case", "Law"]
