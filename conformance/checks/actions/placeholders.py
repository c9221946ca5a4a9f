"""Check that an action inserts values into a text as they are, for each occurrence of a placeholder."""

import html
from collections.abc import Iterator
from dataclasses import replace

from conformance.checks.support.action_calls import (
    PLACEHOLDER,
    VARIABLE_VALUE,
    find_variable_fields,
    is_action,
    perform_action,
)
from conformance.checks.support.check import Case, Category, check
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import iter_texts
from spec.model import Contract, Operation

FIRST_WORD, LAST_WORD = VARIABLE_VALUE.split()[0], VARIABLE_VALUE.split()[-1]


def _applies(contract: Contract, operation: Operation) -> bool:
    return is_action(contract, operation) and bool(operation.path_parameter_names) and bool(operation.body_fields)


@check(
    "placeholder-value-unchanged",
    "An action that fills in the placeholders of a text inserts the values as they are, for each occurrence.",
    Category.ACTIONS,
    _applies,
    writes=True,
    compares_responses=True,
)
def check_placeholders(case: Case) -> Iterator[CheckResult]:
    """Call the action on a record with a repeated placeholder in its texts; the response shows these with the value."""
    fields = find_variable_fields(case.session, case.operation)
    if not fields:
        raise SkipCheck(not_testable("the action accepts no values of any name"))
    requirement = case.build_requirement(fields[0].pointer, None, fields[0].name)
    action = perform_action(case)
    texts = list(iter_texts(case.session.operations.data(case.operation, action.exchange)))
    inserted = [text for text in texts if FIRST_WORD in text and LAST_WORD in text]
    if not inserted:
        raise SkipCheck(insufficient_data("the response shows no text with the value of the placeholder"))
    wrong = [text for text in inserted if VARIABLE_VALUE not in html.unescape(text)]
    partly_filled = [text for text in inserted if PLACEHOLDER in text]
    message = f"{fields[0].name}: got {wrong[0]!r}, expected a text with {VARIABLE_VALUE!r}" if wrong else ""
    if partly_filled and not wrong:
        message = f"{fields[0].name}: got {partly_filled[0]!r}, expected the value for each {PLACEHOLDER}"
    result = case.build_result(requirement, message, action.exchange)
    yield replace(result, is_contradiction=bool(partly_filled))
