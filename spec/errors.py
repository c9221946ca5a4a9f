"""The exceptions for invalid input files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

MAX_PRINTED_PROBLEMS = 100


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

    @property
    def problems(self) -> "tuple[ContractError, ...]":
        """The problems, in the order in which they were found."""
        return (self,)

    @property
    def lines(self) -> Sequence[str]:
        """The message as lines: of several problems a title, then each of them."""
        return (str(self),)


class ContractErrors(ContractError):
    """The contract has problems, usually several; `location`, `problem` and `expected` are those of the first one."""

    def __init__(self, name: str, problems: Sequence[ContractError]) -> None:
        first = problems[0]
        super().__init__(first.location, first.problem, first.expected)
        self._problems = tuple(problems)
        if len(problems) == 1:
            self._lines = [str(first)]
        else:
            self._lines = [f"{len(problems)} problems in {name}:"]
            self._lines += [f"  {problem}" for problem in problems[:MAX_PRINTED_PROBLEMS]]
        if len(problems) > MAX_PRINTED_PROBLEMS:
            self._lines.append(f"  and {len(problems) - MAX_PRINTED_PROBLEMS} more")
        self.args = ("\n".join(self._lines),)

    @property
    def problems(self) -> "tuple[ContractError, ...]":
        return self._problems

    @property
    def lines(self) -> Sequence[str]:
        return self._lines


class ProblemCollector:
    """Collects the problems of a file, so that they are reported together.

    A local problem has no consequences: the part of the file that has it can be checked further.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._problems: dict[str, ContractError] = {}
        self._local: set[str] = set()

    @property
    def has_problems(self) -> bool:
        """Whether a problem was added."""
        return bool(self._problems)

    def __iter__(self) -> Iterator[ContractError]:
        """Iterate over the problems in the order in which they were added."""
        return iter(self._problems.values())

    def list_consequential(self) -> list[ContractError]:
        """Return the problems that are not local."""
        return [problem for text, problem in self._problems.items() if text not in self._local]

    def add(self, error: ContractError, *, is_local: bool = False) -> None:
        """Add the problems of an error; one that is known already is ignored."""
        for problem in error.problems:
            text = str(problem)
            self._problems.setdefault(text, problem)
            if is_local:
                self._local.add(text)

    @contextmanager
    def collect(self, *, is_local: bool = False) -> Iterator[None]:
        """Add the error that the block raises, instead of raising it."""
        try:
            yield
        except ContractError as error:
            self.add(error, is_local=is_local)

    def raise_problems(self) -> None:
        """Raise the only problem, or ContractErrors with all of them; do nothing without problems."""
        problems = list(self._problems.values())
        if problems:
            raise problems[0] if len(problems) == 1 else ContractErrors(self.name, problems)


def invalid_value(value: object) -> str:
    """Return the `problem` text for a value that is not allowed, with at most 80 characters of the value."""
    text = repr(value)
    return f"invalid value {text if len(text) <= 80 else f'{text[:77]}...'}"
