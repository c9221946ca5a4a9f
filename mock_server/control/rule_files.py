"""Reads a file of rules (YAML or JSON): a list of rules, or an object with the key ``rules``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mock_server.control.document import build_control_document
from mock_server.control.rules import MAX_RULES, find_rule_errors, resolve_preset
from mock_server.web.validation_messages import describe_error, list_field_errors
from mock_server.web.violations import find_violations
from spec.document import Document, parse_yaml
from spec.errors import ContractError
from spec.model import Contract
from spec.validators import SchemaValidators, Validator

MAX_LISTED_ERRORS = 20
_RULES = "rules"
_SCHEMA_POINTER = "#/components/schemas/RuleParameters"


class RuleFileError(Exception):
    """A file of rules cannot be used. `problems`: each with file and location."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_rules(path: Path, contract: Contract) -> list[Mapping[str, Any]]:
    """Return the rules of a file, as in the body of a request that creates one. Raises RuleFileError."""
    try:
        content = parse_yaml(path.read_bytes(), str(path))
    except OSError as error:
        raise RuleFileError(f"{path}: {error.strerror or 'unreadable file'} (expected a YAML or JSON file)") from None
    except ContractError as error:
        message = str(error)
        raise RuleFileError(message if str(path) in message else f"{path}: {message}") from None
    rules = content.get(_RULES) if isinstance(content, dict) and content.keys() == {_RULES} else content
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        expected = f"a list of at most {MAX_RULES} rules, or an object with the key {_RULES}"
        raise RuleFileError(f"{path}: invalid content (expected {expected})")
    document = build_control_document(contract, ())
    validator = SchemaValidators.from_document(document).get(_SCHEMA_POINTER, "write")
    problems: list[str] = []
    for index, rule in enumerate(rules):
        problems += _iter_problems(contract, document, validator, rule, str(index))
    if problems:
        omitted = len(problems) - MAX_LISTED_ERRORS
        listed = problems[:MAX_LISTED_ERRORS] + ([f"{omitted} more errors"] if omitted > 0 else [])
        raise RuleFileError(*(f"{path}: {problem}" for problem in listed))
    return rules


def _iter_problems(
    contract: Contract, document: Document, validator: Validator, rule: Any, index: str
) -> Iterator[str]:
    """Yield ``rules.0.respond.status: message`` for each error of a rule."""
    if validator.is_valid(rule):
        for name, message in find_rule_errors(contract, resolve_preset(rule)).items():
            yield f"{_RULES}.{index}.{name}: {message}"
        return
    violations = find_violations(validator, rule)
    for error in list_field_errors(violations, _SCHEMA_POINTER, path_prefix=(_RULES, index)):
        yield f"{error.field}: {describe_error(document, error)}"
