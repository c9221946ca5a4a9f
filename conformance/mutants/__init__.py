"""Broken servers, derived from the contract: each breaks one promise, and proves it by a witness."""

from collections.abc import Iterator

from conformance.mutants import access, answers, listing, refusing, relations, statuses, validation, writing
from conformance.mutants.mutant import Mutant
from spec.contract import Contract


def derive(contract: Contract, token: str) -> Iterator[Mutant]:
    """Every mutant of a contract, in a fixed order. `token`: of somebody who may see and write what is probed."""
    yield from answers.mutants(contract)
    yield from statuses.mutants(contract)
    yield from refusing.mutants(contract, token)
    yield from access.mutants(contract, token)
    yield from validation.mutants(contract)
    yield from listing.mutants(contract)
    yield from relations.mutants(contract)
    yield from writing.mutants(contract)


__all__ = ["Mutant", "derive"]
