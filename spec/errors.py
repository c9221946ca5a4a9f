"""The one root of everything that can be wrong with a contract."""


class ContractError(Exception):
    """A contract that cannot be used.

    Attributes:
        place: where it is wrong, a JSON pointer into the contract (``#/components/...``) or a file's name.
        found: what stands there.
        allowed: what may stand there.
    """

    def __init__(self, location: str, actual: str, expected: str) -> None:
        super().__init__(f"{location}: found {actual}; allowed: {expected}")
        self.location = location
        self.actual = actual
        self.expected = expected
