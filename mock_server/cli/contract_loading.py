"""Loads the contract that the mock serves, with the checks that only the mock needs."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mock_server import parsed_files
from mock_server.path_patterns import iter_path_problems
from spec.errors import ContractError, ProblemCollector
from spec.line_numbers import describe_lines
from spec.loader import load_contract
from spec.model import Contract

if TYPE_CHECKING:
    from fixtures.personas import PersonaLibrary


def load_served_contract(path: Path, *, requires_actions: bool = False) -> Contract:
    """Load a contract file. Raises ContractError with all problems, also of actions, paths and generated values."""
    from mock_server.actions import KNOWN_ACTIONS, check_actions

    checks = (partial(check_actions, requires_actions=requires_actions), _check_paths, _check_values_of_invalid)
    return load_contract(path, parsed_files.load_mapping, KNOWN_ACTIONS, checks)


def check_values(
    contract: Contract, problems: ProblemCollector, persona_library: "PersonaLibrary | None" = None
) -> None:
    """Add a problem for each attribute for which no value can be generated (`x-faker`)."""
    from fixtures.generator import iter_value_problems

    for error in iter_value_problems(contract, persona_library):
        problems.add(ContractError(error.location, error.problem, error.expected))


def raise_value_problems(contract: Contract, persona_library: "PersonaLibrary") -> None:
    """Raise ContractError, with lines, for all attributes for which no value can be generated."""
    problems = ProblemCollector(contract.document.name)
    check_values(contract, problems, persona_library)
    with describe_lines(contract.document):
        problems.raise_problems()


def _check_paths(contract: Contract, problems: ProblemCollector) -> None:
    for problem in iter_path_problems(contract):
        problems.add(problem)


def _check_values_of_invalid(contract: Contract, problems: ProblemCollector) -> None:
    """Check the generated values of a contract that has other problems; else the process that generates them does.

    The server must not import Faker.
    """
    if problems.has_problems:
        check_values(contract, problems)
