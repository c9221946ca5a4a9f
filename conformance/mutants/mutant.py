"""What a mutant is: a server that breaks exactly one promise, and the request that proves it."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from conformance.exchange import Exchange
from conformance.mutants.planted import Fault
from conformance.session import Session
from spec.contract import Contract, Operation
from spec.provenance import get_provenance

T = TypeVar("T")
Probe = Callable[[Session, Operation], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken server.

    `family`: what kind of promise it breaks. `operation`: the one whose promise it is. `detail`: what is done to what.
    `sentence`: the promise. `pointer`, `keyword`: where the contract says it. `plant`: makes a fault with a memory of
    its own. `probe`: sends requests, some of whose answers should show it. `operations`: those that the fault stands
    in, where they are others. `always`: the promise rests on no fact of the API. `schema`: the answer that shows it
    has to break its schema. `source`: whence the operator is, where it was published before. `rests_on`: further places
    (pointer, keyword) that say a part of the promise, such as that a refusal is a 422.
    """

    family: str
    operation: str
    detail: str
    sentence: str
    pointer: str
    plant: Callable[[], Fault]
    probe: Probe
    keyword: str | None = None
    operations: frozenset[str] = frozenset()
    always: bool = False
    schema: bool = False
    source: str = ""
    rests_on: tuple[tuple[str, str | None], ...] = ()

    @property
    def id(self) -> str:
        """What it is called: ``family/operation/detail``."""
        return f"{self.family}/{self.operation}/{self.detail}"

    @property
    def stands_in(self) -> frozenset[str]:
        """The operations whose requests the fault gets."""
        return self.operations or frozenset({self.operation})

    def blocks(self, contract: Contract) -> bool:
        """Whether the promise can block a release by default: it does where nothing that it rests on is inferred."""
        places = ((self.pointer, self.keyword), *self.rests_on)
        return self.always or all(get_provenance(contract.document, *place) != "inferred" for place in places)


@dataclass(frozen=True, slots=True)
class Witness:
    """The exchange in which a mutant shows. `sound`: what the mock answers to the same request."""

    shown: Exchange
    sound: Exchange


def drawn(many: Iterable[T], most: int, *of: object) -> Iterator[T]:
    """At most so many of them, the same each time, spread as a digest of `of` falls."""

    def place(item: tuple[int, T]) -> str:
        return hashlib.sha256("/".join(map(str, (*of, item[0], getattr(item[1], "id", "")))).encode()).hexdigest()

    chosen = sorted(enumerate(many), key=place)[:most]
    yield from (one for _, one in sorted(chosen, key=lambda item: item[0]))
