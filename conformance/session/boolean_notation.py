"""How booleans are written in a query.

JSON Schema has `true` and `false`. PHP frameworks often accept only 1 and 0, so a run uses what the target accepts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from conformance.transport.messages import Exchange
from spec.model import Operation, Parameter

WORDS = {"1": "true", "0": "false"}
DIGITS = {word: digit for digit, word in WORDS.items()}
REJECTION_STATUSES = (400, 422)
Pairs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class BooleanNotation:
    """The notation of a run. `has_digits`: 1 and 0. `is_confirmed`: a request with a boolean has succeeded."""

    has_digits: bool = False
    is_confirmed: bool = False

    def format(self, operation: Operation, query: Pairs) -> Pairs:
        """Write the values of boolean parameters in the notation of the run; all other values stay as they are."""
        names = set(_iter_boolean_names(operation))
        texts = DIGITS if self.has_digits else WORDS
        return tuple((name, texts.get(value, value) if name in names else value) for name, value in query)

    def reformat(self, operation: Operation, exchange: Exchange) -> Pairs | None:
        """The same query in the other notation, to be sent after a rejection; None if booleans are not the cause."""
        query = exchange.request.query
        if self.is_confirmed or exchange.response.status not in REJECTION_STATUSES:
            return None
        other = BooleanNotation(not self.has_digits).format(operation, query)
        return other if other != query else None

    def update(self, operation: Operation, exchange: Exchange) -> None:
        """Use the notation of a request that succeeded in the rest of the run."""
        names = set(_iter_boolean_names(operation))
        values = [value for name, value in exchange.request.query if name in names]
        if not exchange.response.ok or not any(value in WORDS or value in DIGITS for value in values):
            return
        self.has_digits = any(value in WORDS for value in values)
        self.is_confirmed = True


def _iter_boolean_names(operation: Operation) -> Iterator[str]:
    return (parameter.name for parameter in operation.query_parameters if _is_boolean(parameter))


def _is_boolean(parameter: Parameter) -> bool:
    return "boolean" in (parameter.schema.get("type"), parameter.schema.get("items", {}).get("type"))
