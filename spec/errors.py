"""The exceptions for invalid input files."""


class InputError(Exception):
    """An input file that cannot be used.

    Attributes:
        location: JSON pointer into the contract (``#/components/...``), file name or line.
        problem: what is wrong there, often `invalid_value()`.
        expected: the valid values.
    """

    def __init__(self, location: str, problem: str, expected: str) -> None:
        super().__init__(f"{location}: {problem} (expected {expected})")
        self.location = location
        self.problem = problem
        self.expected = expected


class ContractError(InputError):
    """The contract is invalid."""


def invalid_value(value: object) -> str:
    """Return the `problem` text for a value that is not allowed, with at most 80 characters of the value."""
    text = repr(value)
    return f"invalid value {text if len(text) <= 80 else f'{text[:77]}...'}"
