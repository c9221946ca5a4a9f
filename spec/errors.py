"""The one root of everything that can be wrong with a contract."""


class ContractError(Exception):
    """A contract that cannot be used.

    Attributes:
        place: where it is wrong, a JSON pointer into the contract (``#/components/...``) or a file's name.
        found: what stands there.
        allowed: what may stand there.
    """

    def __init__(self, place: str, found: str, allowed: str) -> None:
        super().__init__(f"{place}: found {found}; allowed: {allowed}")
        self.place = place
        self.found = found
        self.allowed = allowed
