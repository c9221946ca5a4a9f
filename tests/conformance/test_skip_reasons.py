"""Skip reasons keep their category up to the gate."""

import ast
from pathlib import Path

import pytest

from conformance.errors import SkipCategory, SkipCheck, SkipReason, effects_not_allowed, not_testable
from conformance.transport.messages import Response
from tests.mock_server.athena import athena_contract

PACKAGE = Path(__file__).parents[2] / "conformance"
CALLABLES = ("skip", "_skip", "SkipCheck", "BlockedRequest")  # these accept a message or a `SkipReason`
# Messages with these prefixes have another category than the default and must be a `SkipReason`.
PREFIXES = ("the contract has no ", "the contract defines no ", "the rows do not show ", "the run is read-only")


def test_excerpt_decodes_body() -> None:
    content = b'{"message":\n "Zu sp\xc3\xa4t"}\n' + b"x" * 500
    excerpt = Response(404, {}, content, 0.0).excerpt
    assert excerpt.startswith('{"message": "Zu sp\u00e4t"} xxx')
    assert len(excerpt) < 210


def find_uncategorized(source: str) -> list[str]:
    """Return the calls with a plain message that has, or needs, a category."""
    calls = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or getattr(call.func, "attr", getattr(call.func, "id", "")) not in CALLABLES:
            continue
        for argument in call.args:
            if isinstance(argument, ast.Call) and getattr(argument.func, "id", "") == "str":
                calls.append(ast.unparse(call))
            first = argument.values[0] if isinstance(argument, ast.JoinedStr) and argument.values else argument
            if isinstance(first, ast.Constant) and str(first.value).startswith(PREFIXES):
                calls.append(ast.unparse(call))
    return calls


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("case.skip(requirement, str(error))", 1),
        ("raise SkipCheck(str(error)) from None", 1),
        ("raise SkipCheck('the contract defines no way')", 1),
        ("raise SkipCheck(f'the rows do not show {name}')", 1),
        ("case.skip(requirement, error.reason)", 0),
        ("raise SkipCheck(not_testable('the contract defines no way'))", 0),
        ("raise SkipCheck(f'{operation.id} returned 500')", 0),
    ],
)
def test_uncategorized_reason_is_detected(source: str, number: int) -> None:
    assert len(find_uncategorized(source)) == number


def test_package_has_no_uncategorized_reasons() -> None:
    calls = {str(file.relative_to(PACKAGE)): find_uncategorized(file.read_text()) for file in PACKAGE.rglob("*.py")}
    assert {file: sources for file, sources in calls.items() if sources} == {}


def test_skip_check_has_reason() -> None:
    assert SkipCheck(not_testable("cannot be tested")).reason == SkipReason(
        "cannot be tested", SkipCategory.NOT_TESTABLE
    )
    assert SkipCheck("it returned 500").reason == SkipReason("it returned 500", SkipCategory.TARGET)
    assert str(SkipCheck(not_testable("cannot be tested"))) == "cannot be tested"


def test_effects_reason_has_effects_and_option() -> None:
    operation = next(o for o in athena_contract().operations.values() if o.effects)
    reason = effects_not_allowed(operation)
    assert reason.category is SkipCategory.DISABLED_BY_OPTION
    assert (
        reason.message
        == f"{operation.id} has effects ({', '.join(operation.effects)}); allow them with --allow-effects"
    )
