"""Mutants of the mock server, derived from the contract: each violates one requirement."""

from collections.abc import Iterator

from conformance.mutation import (
    access,
    crud,
    lists,
    mass_assignment,
    refused_writes,
    relations,
    response_heads,
    response_schemas,
    validation,
)
from conformance.mutation.mutant import Mutant
from spec.model import Contract


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Derive every mutant of a contract, in a fixed order. `token`: of a user with read and write access."""
    yield from response_schemas.derive_mutants(contract)
    yield from response_heads.derive_status_mutants(contract)
    yield from response_heads.derive_error_mutants(contract, token)
    yield from access.derive_mutants(contract, token)
    yield from validation.derive_mutants(contract)
    yield from lists.derive_mutants(contract)
    yield from relations.derive_mutants(contract)
    yield from crud.derive_mutants(contract)
    yield from mass_assignment.derive_mutants(contract)
    yield from refused_writes.derive_mutants(contract, token)


__all__ = ["Mutant", "derive_mutants"]
