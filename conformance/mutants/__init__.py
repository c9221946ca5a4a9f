"""Broken servers, derived from the contract: each breaks one promise, and proves it by a witness."""

from collections.abc import Iterator

from conformance.mutants import access, answers, listing, refusing, relations, statuses, validation, writing
from conformance.mutants.mutant import Mutant
from spec.contract import Contract


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Every mutant of a contract, in a fixed order. `token`: of somebody who may see and write what is probed."""
    yield from answers.derive_mutants(contract)
    yield from statuses.derive_mutants(contract)
    yield from refusing.derive_mutants(contract, token)
    yield from access.derive_mutants(contract, token)
    yield from validation.derive_mutants(contract)
    yield from listing.derive_mutants(contract)
    yield from relations.derive_mutants(contract)
    yield from writing.derive_mutants(contract)


__all__ = ["Mutant", "derive_mutants"]
