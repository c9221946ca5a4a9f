"""Holds each request to the contract before any action sees it: parameters, media types, body.

One `Check` an operation, compiled when it is first needed; what it found out about a query string is kept. The record
in the path comes first: what is to be refused is refused in the order 401, 404, 403, and only then 400, 415 and 422.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connexion.middleware.abstract import RoutedAPI, RoutedMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server import body
from mock_server.exchange import Exchange, exchange_of, remember
from mock_server.parameters import Found, Parameters, check_styles, defaults_of
from mock_server.problems import Problem, Refusal
from mock_server.sentences import Complaint, complaints, not_of_type, required
from spec.contract import Contract, Operation, RequestBody
from spec.document import snake_case
from spec.schemas import SchemaValidators, Validator

HEADERS = (b"accept",)  # those that are read, beside the contract's own
_CACHED_QUERY = 2048


# Raises Refusal where an operation's path names no record that the viewer may do this to.
LookUp = Callable[[Exchange, Operation], None]


class Check:
    """What one operation asks of a request."""

    def __init__(
        self,
        operation: Operation,
        contract: Contract,
        schemas: SchemaValidators,
        look_up: LookUp,
        arriving: body.Arriving,
        next_app: ASGIApp,
    ) -> None:
        self.operation = operation
        self.contract = contract
        self.schemas = schemas
        self.look_up = look_up
        self.arriving = arriving
        self.next_app = next_app
        self.parameters: Parameters | None = None
        self.queries: dict[bytes, Found] = {}
        self.accepts: dict[bytes, bool] = {}
        self.media_types: dict[bytes, str] = {}
        self.document: Validator | None = None
        self.lenient: Validator | None = None
        self.absent: dict[str, Complaint] = {}
        self.due: frozenset[str] = frozenset()
        self.order: dict[str, int] = {}
        self.known: frozenset[str] | None = None
        self.defaults: Mapping[str, Any] = {}

    def compile(self) -> Parameters:
        """Make everything ready that the first request needs."""
        operation = self.operation
        self.parameters = Parameters.of(self.contract.document, self.schemas, operation)
        if operation.request_body is not None:
            self.document = self.schemas.get(operation.request_body.pointer, "write")
            fields = operation.request_body.fields
            self.order = {name: index for index, name in enumerate(fields)}
            if operation.action != "update":  # which changes what is sent and assumes nothing of the rest
                self.defaults = defaults_of(self.contract.document, fields)
            self.due = frozenset(name for name, field in fields.items() if field.required)
            schema, _ = self.contract.document.dereference(
                self.contract.document.resolve(operation.request_body.pointer), ""
            )
            if fields and not schema.get("additionalProperties"):
                self.known = frozenset(name for name, field in fields.items() if not field.schema.get("readOnly"))
        return self.parameters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        broken, notes = self.read_head(exchange)
        if self.document is not None:
            try:
                broken += await self.read_body(exchange, receive, self.document, notes)
            except body.Disconnected:
                return
            except Refusal as refusal:
                if refusal.problem not in (Problem.TOO_LARGE, Problem.OVERLOADED):  # of which the rest is still to come
                    self.look_up(exchange, self.operation)
                raise
        if broken:
            self.look_up(exchange, self.operation)
            raise self.invalid(broken)
        exchange.notes = tuple(notes)
        await self.next_app(scope, receive, send)

    def read_head(self, exchange: Exchange) -> tuple[list[Complaint], list[str]]:
        """Put the parameters into the exchange; (what is wrong with them, what was ignored). Raises Refusal (406)."""
        parameters = self.parameters or self.compile()
        accept = exchange.headers.get(b"accept")
        if accept is not None and not self.accepted(accept):
            why = f"Accept {accept.decode('latin-1')!r}; the answer is application/json"
            raise Refusal(Problem.NOT_ACCEPTABLE, why, message="The answer can only be application/json.")
        found = self.queries.get(exchange.raw_query) or self.read_query(parameters, exchange.raw_query)
        broken = list(found.complaints)
        if parameters.headers:
            broken += parameters.from_headers(exchange.headers).complaints
        exchange.query = found.values
        return broken, [*exchange.notes, *(f"query.{name}" for name in found.ignored)]

    def read_query(self, parameters: Parameters, raw: bytes) -> Found:
        found = parameters.from_query(raw)
        return remember(self.queries, raw, found) if len(raw) < _CACHED_QUERY and not found.complaints else found

    def accepted(self, accept: bytes) -> bool:
        known = self.accepts.get(accept)
        return remember(self.accepts, accept, _admits_json(accept.decode("latin-1")), 256) if known is None else known

    async def read_body(
        self, exchange: Exchange, receive: Receive, document: Validator, notes: list[str]
    ) -> Iterable[Complaint]:
        """Read the body into the exchange; what is wrong with it. Nothing sent is read as an empty object."""
        said = self.operation.request_body
        assert said is not None
        raw = await body.read(exchange, receive, self.arriving)
        if raw:
            body.check_media_type(exchange.headers, self.media_types)
            value, floats = body.parse(raw)
        else:
            value, floats = {}, False
        if not document.is_valid(value):
            return self.broken(said, document, value)
        if not raw and said.required:
            return (required("body", said.pointer),)
        if self.known is not None and isinstance(value, dict) and not self.known.issuperset(value):
            notes.extend(f"body.{name}" for name in value if name not in self.known)
        if floats:
            notes.extend(f"digits of {path} (beyond 64 bits)" for path in body.rounded(raw))
        exchange.body = {**self.defaults, **value} if self.defaults else value
        return ()

    def broken(self, said: RequestBody, document: Validator, value: Any) -> list[Complaint]:
        """What is wrong with a body. That only fields are missing, as mostly, is known without asking for each."""
        if self.lenient is None:
            self.lenient = self.schemas.build_without_required(said.pointer, "write")
            listed = (breach for breach in document.iter_errors({}) if breach.kind.name == "required")
            missing = complaints(listed, said.pointer, due=self.due)
            self.absent = {complaint.field: complaint for complaint in missing}
        if isinstance(value, dict) and self.lenient.is_valid(value):
            found = [complaint for name, complaint in self.absent.items() if name not in value]
            if found:
                return found
        broken = complaints(document.iter_errors(value), said.pointer, due=self.due)
        return [self.narrowed(complaint, value) if isinstance(value, dict) else complaint for complaint in broken]

    def narrowed(self, complaint: Complaint, value: Mapping[str, Any]) -> Complaint:
        """A complaint about a key whose kind another field of the body says: in the words of that kind's keys."""
        field = self.operation.request_body.fields.get(complaint.field) if self.operation.request_body else None
        sets = field.relation_setter if field else None
        if field is None or sets is None or sets.discriminator is None or complaint.field not in value:
            return complaint
        named, said = value.get(sets.discriminator), value[complaint.field]
        resource = next((one for one in self.contract.resources.values() if snake_case(one.name) == named), None)
        if resource is None:
            return complaint
        due, kind = ("integer", int) if resource.has_integer_key else ("string", str)
        fits = isinstance(said, kind) and not isinstance(said, bool)
        return complaint if fits else not_of_type(complaint.field, due, field.pointer)

    def invalid(self, broken: Iterable[Complaint]) -> Refusal:
        """The refusal (422) that names every broken field, in the order of the contract's."""
        rated = sorted(broken, key=lambda complaint: self.order.get(complaint.field.partition(".")[0], -1))
        errors: dict[str, list[str]] = {}
        told: list[str] = []
        for complaint in rated:
            said = errors.setdefault(complaint.field, [])
            if complaint.sentence not in said:
                said.append(complaint.sentence)
                allowed = f" (allowed: {complaint.allowed})" if complaint.allowed else ""
                told.append(f"{complaint.field}: {complaint.sentence}{allowed}")
        return Refusal(Problem.INVALID, "; ".join(told), errors=errors, place=rated[0].place)


def _admits_json(accept: str) -> bool:
    ranges: dict[str, bool] = {}
    for part in accept.lower().split(","):
        media, *parameters = (p.strip() for p in part.split(";"))
        quality = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
        ranges[media] = quality.strip("0.") != ""
    if ranges.keys() == {""}:
        return True
    for media in ("application/json", "application/*", "*/*", "*"):
        if media in ranges:
            return ranges[media]
    return False


class CheckAPI(RoutedAPI):  # type: ignore[misc]
    """Makes a Check of each operation."""

    def __init__(
        self, *args: Any, contract: Contract, schemas: SchemaValidators, look_up: LookUp, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.contract = contract
        self.schemas = schemas
        self.look_up = look_up
        self.arriving = body.Arriving()
        self.operations: Mapping[str, Check]
        check_styles(contract)
        self.add_paths()

    def make_operation(self, operation: Any) -> Check:
        found = self.contract.operations[operation.operation_id]
        return Check(found, self.contract, self.schemas, self.look_up, self.arriving, self.next_app)


class Validation(RoutedMiddleware):  # type: ignore[misc]
    """Connexion's place for request validation."""

    api_cls = CheckAPI
