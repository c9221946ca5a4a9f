"""Broken servers, derived from the contract: each breaks one promise, and proves it by a witness."""

from collections.abc import Iterator

from conformance.mutation import access, answers, crud, lists, refusals_and_robustness, relations, statuses, validation
from conformance.mutation.mutant import Mutant
from spec.loader import Contract


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Every mutant of a contract, in a fixed order. `token`: of somebody who may see and write what is probed."""
    yield from answers.derive_mutants(contract)
    yield from statuses.derive_mutants(contract)
    yield from refusals_and_robustness.derive_mutants(contract, token)
    yield from access.derive_mutants(contract, token)
    yield from validation.derive_mutants(contract)
    yield from lists.derive_mutants(contract)
    yield from relations.derive_mutants(contract)
    yield from crud.derive_mutants(contract)


__all__ = ["Mutant", "derive_mutants"]
