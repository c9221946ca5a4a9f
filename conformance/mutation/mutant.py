"""What a mutant is: a server that breaks exactly one promise, and the request that proves it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from conformance.mutation.fault_injection import Fault
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.loader import Contract, Operation
from spec.provenance import get_provenance

T = TypeVar("T")
Trigger = Callable[[Session, Operation], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken server.

    `family`: what kind of promise it breaks. `operation`: the one whose promise it is. `detail`: what is done to what.
    `requirement`: the promise. `pointer`, `keyword`: where the contract says it. `make_fault`: makes a fault with a memory of
    its own. `trigger`: sends requests, some of whose answers should show it. `operations`: those that the fault stands
    in, where they are others. `provenance_independent`: the promise rests on no fact of the API. `violates_schema`: the answer that shows it
    has to break its schema. `source`: whence the operator is, where it was published before. `supporting_locations`: further places
    (pointer, keyword) that say a part of the promise, such as that a refusal is a 422.
    """

    family: str
    operation: str
    detail: str
    requirement: str
    pointer: str
    make_fault: Callable[[], Fault]
    trigger: Trigger
    keyword: str | None = None
    operations: frozenset[str] = frozenset()
    provenance_independent: bool = False
    violates_schema: bool = False
    source: str = ""
    supporting_locations: tuple[tuple[str, str | None], ...] = ()

    @property
    def id(self) -> str:
        """What it is called: ``family/operation/detail``."""
        return f"{self.family}/{self.operation}/{self.detail}"

    @property
    def fault_operations(self) -> frozenset[str]:
        """The operations whose requests the fault gets."""
        return self.operations or frozenset({self.operation})

    def is_blocking(self, contract: Contract) -> bool:
        """Whether the promise can block a release by default: it does where nothing that it rests on is inferred."""
        locations = ((self.pointer, self.keyword), *self.supporting_locations)
        return self.provenance_independent or all(
            get_provenance(contract.document, *location) != "inferred" for location in locations
        )


@dataclass(frozen=True, slots=True)
class Witness:
    """The exchange in which a mutant shows. `original_exchange`: what the mock answers to the same request."""

    mutant_exchange: Exchange
    original_exchange: Exchange


def sample(items: Iterable[T], max_items: int, *seed: object) -> Iterator[T]:
    """At most so many of them, the same each time, spread as a digest of `seed` falls."""

    def sort_key(indexed: tuple[int, T]) -> str:
        return hashlib.sha256(
            "/".join(map(str, (*seed, indexed[0], getattr(indexed[1], "id", "")))).encode()
        ).hexdigest()

    selected = sorted(enumerate(items), key=sort_key)[:max_items]
    yield from (item for _, item in sorted(selected, key=lambda indexed: indexed[0]))
