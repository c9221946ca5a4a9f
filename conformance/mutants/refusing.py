"""Mutants of refusals and of robustness: errors of another shape, faults of the server, words not to be shown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from conformance.mutants.mutant import Mutant
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from conformance.mutants.probes import logged_out, misdirected, refused, unusual
from spec.contract import Contract, Operation

TRACE = "SQLSTATE[42S02]: Base table or view not found\n#0 /var/www/vendor/laravel/framework/src/Connection.php(829)"
UNUSUAL = 0x7F


def mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Of every operation. `token`: of somebody who may see what is asked for after a logout."""
    for operation in contract.operations.values():
        yield from _shapes(operation)
        yield from _failing(operation)
        yield from _allow(operation)
        if operation.action == "logout":
            yield _after_logout(contract, operation, token)


def _on(status: int, change: Callable[[Answered], Answered]) -> Callable[[], Fault]:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        return change(answered) if answered.status == status and not asked.method else answered

    return lambda: fault


def _shapes(operation: Operation) -> Iterator[Mutant]:
    sentence = "A refusal has the documented shape."
    for status in sorted(s for s in operation.responses if s in (400, 401, 404, 422)):
        pointer = operation.responses[status] or operation.pointer
        plant = _on(status, lambda answered: answered.showing({"error": "something went wrong"}))
        yield Mutant("error-shape", operation.id, f"{status} of another shape", sentence, pointer, plant, refused)
        plant = _on(status, lambda answered: answered.showing({**(answered.json or {}), "message": TRACE}))
        leak = "No answer shows what is inside of the server."
        if status in (404, 422):
            yield Mutant("leak", operation.id, f"{status} shows a trace", leak, pointer, plant, refused, always=True)
    if 422 in operation.responses and operation.request_body is not None:
        pointer = operation.responses[422] or operation.pointer
        plant = _on(422, _other_field)
        named = "A refusal names the field that is wrong."
        yield Mutant("error-field", operation.id, "names another field", named, pointer, plant, refused)


def _other_field(answered: Answered) -> Answered:
    body = answered.json or {}
    return answered.showing(
        {**body, "errors": {"something_else": next(iter(body.get("errors", {}).values()), ["wrong"])}}
    )


def _failing(operation: Operation) -> Iterator[Mutant]:
    """Answers 500 to what is unusual: a body that is no JSON, signs beyond ASCII, an unknown key."""

    def strange(asked: Asked) -> bool:
        return any(byte > UNUSUAL for byte in asked.body) or b"\\u" in asked.body

    def malformed(asked: Asked) -> bool:
        return bool(asked.body) and asked.json is None

    def unknown(asked: Asked) -> bool:
        known = {p.name for p in operation.query_parameters}
        return any(name.removesuffix("[]") not in known for name, _ in asked.query)

    kinds: dict[str, Callable[[Asked], bool]] = {}
    if operation.request_body is not None:
        kinds = {"a body that is no JSON": malformed}
        if any(f.relation_setter is None for f in operation.request_body.fields.values()):
            kinds["signs beyond ASCII"] = strange
    if operation.query_parameters:
        kinds["a parameter that it does not know"] = unknown
    for detail, applies in kinds.items():
        yield Mutant(
            "robustness",
            operation.id,
            f"500 on {detail}",
            "No request makes a fault of the server.",
            operation.pointer,
            _crashing(applies),
            unusual,
            always=True,
        )


def _crashing(applies: Callable[[Asked], bool]) -> Callable[[], Fault]:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        if applies(asked):
            return Answered(500, {"content-type": "application/json"}, b"").showing({"message": "Server Error"})
        return await ask(asked)

    return lambda: fault


def _allow(operation: Operation) -> Iterator[Mutant]:
    """A 405 that does not say, or not fully, what is allowed."""
    sentence = "A 405 says which methods the path has."
    for detail, kept in (("no Allow", ""), (f"Allow without {operation.method.upper()}", operation.method)):
        plant = partial(_allowing, kept)
        pointer = f"{operation.pointer}/responses"
        yield Mutant("allow", operation.id, detail, sentence, pointer, plant, misdirected, "*")


def _allowing(missing: str) -> Fault:
    """A 405 whose Allow lacks a method; "": it has no Allow."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        if answered.status != 405:
            return answered
        said = [m for m in answered.headers.get("allow", "").split(", ") if missing and m.lower() != missing]
        headers = {n: v for n, v in answered.headers.items() if n != "allow"}
        return replace(answered, headers={**headers, "allow": ", ".join(said)} if said else headers)

    return fault


@dataclass(slots=True)
class Forgiving:
    """Grants what a token is refused that was granted before."""

    token: str
    known: set[str] = field(default_factory=set)

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        said = asked.headers.get("authorization", "")
        answered = await ask(asked)
        if answered.ok:
            self.known.add(said)
        if answered.status == 401 and said in self.known:
            return await ask(asked.having(authorization=f"Bearer {self.token}"))
        return answered


def _after_logout(contract: Contract, operation: Operation, token: str) -> Mutant:
    return Mutant(
        "auth-after-logout",
        operation.id,
        "let in",
        "A token that was logged out gets nothing.",
        operation.pointer,
        partial(Forgiving, token),
        logged_out,
        operations=frozenset(contract.operations),
        always=True,
    )
