"""Mutants that let in whom they should not: nobody, a stranger, somebody who has left, another tenant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from conformance.errors import SkipCheck
from conformance.exchange import AUTHORIZATION
from conformance.mutants.mutant import Mutant
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from conformance.mutants.probes import path_of, refused
from conformance.session import Session
from spec.contract import Contract, Operation

REFUSED = (401, 403, 404)


@dataclass(slots=True)
class Doorkeeper:
    """Grants what was refused, to whom `lets` says, with the token that was granted something last or stands."""

    lets: Callable[[Asked, Answered], bool]
    token: str

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        if answered.status in REFUSED and self.lets(asked, answered):
            return await ask(asked.having(authorization=f"Bearer {self.token}"))
        return answered


def _none(asked: Asked, answered: Answered) -> bool:
    return answered.status == 401 and not asked.headers.get("authorization")


def _any(asked: Asked, answered: Answered) -> bool:
    return answered.status == 401 and asked.headers.get("authorization", "").lower().startswith("bearer ")


def _scheme(asked: Asked, answered: Answered) -> bool:
    return answered.status == 401 and asked.headers.get("authorization", "").lower().startswith("basic ")


def _elsewhere(asked: Asked, answered: Answered) -> bool:
    return answered.status in (403, 404)


def mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Of every operation that is not public. `token`: of somebody who may see and write what is probed."""
    kinds = {
        "auth-none": (_none, "Who has no token gets nothing."),
        "auth-any-token": (_any, "A token that nobody has gets nothing."),
        "auth-other-scheme": (_scheme, "Another scheme than bearer gets nothing."),
    }
    for operation in contract.operations.values():
        if not operation.requires_auth:
            continue
        for family, (lets, sentence) in kinds.items():
            yield Mutant(
                family,
                operation.id,
                "let in",
                sentence,
                operation.pointer,
                _planting(lets, token),
                strangers,
                always=True,
            )
        resource = contract.resources.get(operation.resource or "")
        if resource is not None and resource.tenant_path and len(operation.path_parameter_names) == 1:
            yield Mutant(
                "auth-other-tenant",
                operation.id,
                "let in",
                "A record is nobody's but its tenant's.",
                operation.pointer,
                _planting(_elsewhere, token),
                _of_another,
                always=True,
            )


def _planting(lets: Callable[[Asked, Answered], bool], token: str) -> Callable[[], Fault]:
    return lambda: Doorkeeper(lets, token)


def strangers(session: Session, operation: Operation) -> None:
    """Asks as nobody, on a record that is there and on one that is not."""
    try:
        path = path_of(session, operation)
    except SkipCheck:
        path = dict.fromkeys(operation.path_parameter_names, "00000000-0000-4000-8000-00000000dead")
    body = session.payloads.build(operation, session.parent) if operation.request_body else None
    for said in (None, "Bearer conformance-nobody", "Basic ZGVtbzpkZW1v"):
        headers = {AUTHORIZATION: said} if said else {}
        session.send(operation, path=path, body=body, actor="nobody", headers=headers)
    refused(session, operation)


def _of_another(session: Session, operation: Operation) -> None:
    path = {operation.path_parameter_names[0]: session.create(operation.resource or "").key}
    body = session.payloads.build(operation, session.parent) if operation.request_body else None
    session.send(operation, path=path, body=body, actor="other")
    if operation.resource and session.operation(operation.resource, "retrieve"):
        session.retrieve(operation.resource, path[operation.path_parameter_names[0]])
