"""Mutants, and the rows of the operator tables from which they are derived."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from conformance.mutation.faults import MakeFault
from conformance.session.session import Session
from spec.model import Contract, Operation
from spec.provenance import get_provenance

T = TypeVar("T")
F = TypeVar("F")
Trigger = Callable[[Session, Operation], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A server that violates exactly one requirement, with the requests that show it.

    `family`: the kind of requirement it violates. `operation`: the operation of the requirement. `detail`: what is
    changed. `pointer`, `keyword`: location of the requirement in the contract. `make_fault`: creates the fault, with
    new state. `trigger`: sends requests, at least one of which should show the fault. `operations`: the operations
    with the fault, if not only `operation`. `provenance_independent`: the requirement does not depend on a fact about
    the API. `violates_schema`: the witness has to violate the response schema.
    `supporting_locations`: further (pointer, keyword) pairs on which the requirement depends, e.g. of the 422 response.
    """

    family: str
    operation: str
    detail: str
    requirement: str
    pointer: str
    make_fault: MakeFault
    trigger: Trigger
    keyword: str | None = None
    operations: frozenset[str] = frozenset()
    provenance_independent: bool = False
    violates_schema: bool = False
    supporting_locations: tuple[tuple[str, str | None], ...] = ()

    @property
    def id(self) -> str:
        """``family/operation/detail``."""
        return f"{self.family}/{self.operation}/{self.detail}"

    @property
    def fault_operations(self) -> frozenset[str]:
        """The operations with the fault."""
        return self.operations or frozenset({self.operation})

    def is_blocking(self, contract: Contract) -> bool:
        """Whether the requirement blocks the gate by default: it does unless it depends on an inferred location."""
        locations = ((self.pointer, self.keyword), *self.supporting_locations)
        levels = (get_provenance(contract.document, *location) for location in locations)
        return self.provenance_independent or "inferred" not in levels


@dataclass(frozen=True, slots=True)
class Operator(Generic[F]):
    """A mutation operator: a row in the table of its module.

    `fault`: what the module makes a fault of, e.g. a change of a response. `detail`, `requirement`, `keyword`: may have
    placeholders. The other fields are those of its mutants.
    """

    family: str
    detail: str
    requirement: str
    fault: F
    keyword: str | None = None
    provenance_independent: bool = False
    trigger: Trigger | None = None

    def named(self, **names: object) -> "Operator[F]":
        """Fill in the placeholders."""
        detail, requirement = self.detail.format(**names), self.requirement.format(**names)
        keyword = self.keyword and self.keyword.format(**names)
        return replace(self, detail=detail, requirement=requirement, keyword=keyword)

    def mutant(
        self, operation: Operation, make_fault: MakeFault, trigger: Trigger, pointer: str = "", **options: Any
    ) -> Mutant:
        """Build a mutant. `trigger`: if the row has none. `options`: further fields of the mutant."""
        options = {"keyword": self.keyword, "provenance_independent": self.provenance_independent, **options}
        head = (self.family, operation.id, self.detail, self.requirement, pointer or operation.pointer)
        return Mutant(*head, make_fault, self.trigger or trigger, **options)


def sample(items: Iterable[T], max_items: int, *seed: object) -> Iterator[T]:
    """Select at most `max_items` items by a digest of `seed`: the same ones for equal arguments."""

    def sort_key(indexed: tuple[int, T]) -> str:
        text = "/".join(map(str, (*seed, indexed[0], getattr(indexed[1], "id", ""))))
        return hashlib.sha256(text.encode()).hexdigest()

    selected = sorted(enumerate(items), key=sort_key)[:max_items]
    yield from (item for _, item in sorted(selected, key=lambda indexed: indexed[0]))
