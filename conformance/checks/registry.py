"""Checks of the requirements that the contract states. `CHECKS` has all of them in the order of a run."""

from dataclasses import replace

from conformance.checks.access import leaks, sessions
from conformance.checks.actions import actions
from conformance.checks.lists import include_checks, pagination, pagination_filtered, query_parameters
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.validation import accepted_input, rejected_input, responses
from conformance.checks.writes import crud
from conformance.model import checks as model

LIST_CHECKS = (
    *pagination.CHECKS,
    *query_parameters.CHECKS,
    *pagination_filtered.CHECKS,
    *include_checks.CHECKS,
)
CHECKS: tuple[Check, ...] = (
    *(replace(check, affected_by_other_clients=True) for check in LIST_CHECKS),
    *rejected_input.CHECKS,
    *sessions.CHECKS,
    *accepted_input.CHECKS,
    *crud.CHECKS,
    *model.CHECKS,
    *actions.CHECKS,
    *query_parameters.SPECIAL_TEXT_CHECKS,
    *leaks.CHECKS,
    *responses.CHECKS,  # last: they evaluate the responses to all requests of the run
)

__all__ = ["CHECKS", "Case", "Category", "Check"]
