"""Why a promise was not judged keeps its kind on its way to the verdict."""

import ast
from pathlib import Path

import pytest

from conformance.errors import SkipCheck
from conformance.skip_reasons import SkipCategory, SkipReason, effects_not_allowed, not_testable
from conformance.transport.messages import Response
from tests.mock_server.athena import athena_contract

ROOM = Path(__file__).parents[2] / "conformance"
TELLS = ("not_judged", "_not_judged", "CannotMake", "HeldBack")  # what takes a sentence, or a sentence with its kind
# How a sentence begins that is about what nobody could judge: it needs its kind beside it.
KNOWN = ("the contract has no ", "the rows do not show ", "the run is read-only")


def test_a_body_is_quoted_as_people_read_it() -> None:
    content = b'{"message":\n "Zu sp\xc3\xa4t"}\n' + b"x" * 500
    said = Response(404, {}, content, 0.0).excerpt
    assert said.startswith('{"message": "Zu sp\u00e4t"} xxx')
    assert len(said) < 210


def flattened(source: str) -> list[str]:
    """Each place where a reason is told as a bare sentence though it has, or needs, a kind."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or getattr(call.func, "attr", getattr(call.func, "id", "")) not in TELLS:
            continue
        for given in call.args:
            if isinstance(given, ast.Call) and getattr(given.func, "id", "") == "str":
                found.append(ast.unparse(call))
            first = given.values[0] if isinstance(given, ast.JoinedStr) and given.values else given
            if isinstance(first, ast.Constant) and str(first.value).startswith(KNOWN):
                found.append(ast.unparse(call))
    return found


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("case.not_judged(promise, str(error))", 1),
        ("raise CannotMake(str(error)) from None", 1),
        ("raise CannotMake('the contract has no way')", 1),
        ("raise CannotMake(f'the rows do not show {name}')", 1),
        ("case.not_judged(promise, error.reason)", 0),
        ("raise CannotMake(no_way('the contract has no way'))", 0),
        ("raise CannotMake(f'{operation.id} answered 500')", 0),
    ],
)
def test_a_reason_that_lost_its_kind_is_found(source: str, number: int) -> None:
    assert len(flattened(source)) == number


def test_no_reason_loses_its_kind() -> None:
    found = {str(file.relative_to(ROOM)): flattened(file.read_text()) for file in sorted(ROOM.rglob("*.py"))}
    assert {file: places for file, places in found.items() if places} == {}


def test_an_error_carries_its_reason() -> None:
    assert SkipCheck(not_testable("nobody can")).reason == SkipReason("nobody can", SkipCategory.NOT_TESTABLE)
    assert SkipCheck("it answered 500").reason == SkipReason("it answered 500", SkipCategory.TARGET)
    assert str(SkipCheck(not_testable("nobody can"))) == "nobody can"


def test_what_has_effects_is_named_with_them_and_the_option_that_allows_it() -> None:
    operation = next(o for o in athena_contract().operations.values() if o.effects)
    said = effects_not_allowed(operation)
    assert said.category is SkipCategory.DISABLED_BY_OPTION
    assert said.message == f"{operation.id} has effects outside ({', '.join(operation.effects)}): --allow-effects"
