"""What the engine may send: nothing that would change what the run did not make.

A write that names a record is turned to one of the run's own; where there is none, it is held back. Reads go anywhere.
"""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from conformance import cause
from conformance.cause import READ_ONLY, SkipReason, not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.session import Session
from spec.contract import BodyField, Contract, Operation, Relation
from spec.document import snake_case

HEX = "[0-9a-fA-F]"
UUID = re.compile(f"(?<!{HEX}){HEX}{{8}}(?:-?{HEX}{{4}}){{3}}-?{HEX}{{12}}(?!{HEX})")
ADDRESS = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//\S+|[^\s@]+@[^\s@]+")
HARMLESS_HOSTS = ("example.com", "invalid")
TRIES = 5  # of an operation that everybody may use; as many again for replays
MOST_FAILURES = 3  # in making a record, until it is not tried any more


class HeldBack(Exception):
    """A case that is not sent: `reason` says why, in words and as data."""

    def __init__(self, why: SkipReason | str) -> None:
        super().__init__(str(why))
        self.reason = SkipReason.coerce(why)


def exclusion(contract: Contract, operation: Operation, *, read_only: bool, effects: bool) -> SkipReason | None:
    """Why the engine may not send an operation at all, or None. `effects`: operations with effects are allowed."""
    if read_only and operation.is_write:
        return READ_ONLY
    if operation.effects and not effects:
        return cause.effects_not_allowed(operation)
    view = contract.views.get(operation.envelope.view_name or "")
    creates = operation.method == "post" and operation.envelope.status == 201
    if creates and view is not None and contract.find_operation(view.resource, "delete") is None:
        return not_testable(f"the contract has no operation to delete a {view.resource}")
    return None


@dataclass(frozen=True, slots=True)
class Sent:
    """What a case would send. `valid`: it is meant to fit the contract."""

    path: Mapping[str, Any]
    query: Any
    body: Any
    valid: bool


@dataclass(slots=True)
class Guard:
    """Decides for one run of the engine.

    `expensive`: how often an operation with effects may be asked. `tries`: how often one that everybody may use, and
    that creates nothing: signing in may lock an account.
    """

    session: Session
    expensive: int
    tries: int = TRIES
    _first: int = field(init=False)
    _shown: set[str] = field(default_factory=set)
    _mine: set[str] = field(default_factory=set)
    _parents: set[str] = field(default_factory=set)
    _invented: set[str] = field(default_factory=set)
    _asked: dict[str, int] = field(default_factory=dict)
    _cannot: dict[str, SkipReason] = field(default_factory=dict)
    _failed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._first = len(self.session.write_log.created_records)
        self._mine = {str(made.key).lower() for made in self.session.write_log.created_records}

    # Before and after a request ---------------------------------------------------------------------------------

    def admit(self, operation: Operation, sent: Sent, *, own_token: bool) -> Sent:
        """What is sent instead. `own_token`: it goes with the token of the run. Raises HeldBack."""
        self._invented |= set(_names(sent.path, sent.query, sent.body)) - self._shown
        if not operation.is_write or operation.has_query_body:
            return sent
        if not operation.path_parameter_names and not self.creates(operation):
            self._alone(operation, own_token=own_token)
        path = {name: self._subject(operation, value) for name, value in sent.path.items()}
        body = self._body(operation, sent) if isinstance(sent.body, dict) else sent.body
        self._check_foreign((sent.query, body))
        if operation.effects:
            self._spend(operation)
        return replace(sent, path=path, body=body)

    def learn(self, operation: Operation, exchange: Exchange) -> None:
        """Note what an answer shows, and what it took away."""
        self._mine |= {str(made.key).lower() for made in self.session.write_log.created_records[self._first :]}
        self._shown |= {found.lower() for found in UUID.findall(exchange.response.content.decode("utf-8", "replace"))}
        if operation.method == "delete" and exchange.response.ok and operation.resource:
            for key in exchange.request.path_values.values():
                self._gone(operation.resource, key)

    def creates(self, operation: Operation) -> bool:
        """Whether it makes a record that the answer shows, so that it can be taken away again."""
        result = operation.envelope
        return (
            operation.method == "post" and result.status == 201 and result.view_name is not None and not result.is_list
        )

    def alive(self, resource: str, key: Any) -> bool:
        """Whether the run made that record and has not taken it away."""
        return any(
            made.resource == resource and str(made.key) == str(key) for made in self.session.write_log.created_records
        )

    def was_mine(self, key: Any) -> bool:
        """Whether the run ever made a record with that key."""
        return str(key).lower() in self._mine

    def record(self, resource: str) -> Any:
        """The key of a record that the run made and may change. Raises HeldBack."""
        kept = self.session.shared_records.get(resource)
        for made in reversed(self.session.write_log.created_records[self._first :]):
            if made.resource == resource and (kept is None or made.key != kept.key):
                return made.key
        if self._failed.get(resource, 0) >= MOST_FAILURES:
            raise HeldBack(self._cannot[resource])
        try:
            return self.session.create(resource).key
        except SkipCheck as error:
            self._cannot[resource] = error.reason
            self._failed[resource] = self._failed.get(resource, 0) + 1
            raise HeldBack(error.reason) from None

    # The parts of a request -------------------------------------------------------------------------------------

    def _alone(self, operation: Operation, *, own_token: bool) -> None:
        """A write that names no record acts on what its token, or the whole target, stands for. Raises HeldBack."""
        if not operation.requires_auth:
            self._count(operation, self.tries)
        elif own_token:
            raise HeldBack(not_testable(f"the contract has no operation to make what {operation.id} acts on"))

    def _count(self, operation: Operation, most: int) -> None:
        if self._asked.get(operation.id, 0) >= most:
            raise HeldBack(f"{operation.id} was asked {most} times, which is all that it may be")
        self._asked[operation.id] = self._asked.get(operation.id, 0) + 1

    def _spend(self, operation: Operation) -> None:
        """Count a use of an operation with effects, with the session's count where it keeps one. Raises HeldBack."""
        spend = getattr(self.session, "spend", None)
        if spend is None:
            self._count(operation, self.expensive)
            return
        try:
            spend(operation)
        except SkipCheck as error:
            raise HeldBack(error.reason) from None

    def _subject(self, operation: Operation, value: Any) -> Any:
        """The value of a path parameter: the run's own record, or what can name none. Raises HeldBack."""
        resource = self.session.contract.resources.get(operation.resource or "")
        text = str(value)
        if resource is None or len(operation.path_parameter_names) != 1:
            raise HeldBack(f"the path of {operation.id} names what the contract does not store")
        shared = self.session.shared_records.get(resource.name)
        if shared is not None and str(shared.key) == text:
            return self.record(resource.name)
        if self.alive(resource.name, value) or (not resource.has_integer_key and self.was_mine(value)):
            return value
        if self.named(text, integer=resource.has_integer_key):
            return self.record(resource.name)
        # what is no key names no record, unless a server reads a number out of it, or another path
        if resource.has_integer_key or UUID.search(text) or not re.fullmatch(r"[^/\\.%?#\x00-\x20]+", text):
            raise HeldBack(f"{operation.id} could reach a record that the run did not make")
        if resource.attributes[resource.key_attribute].format != "uuid":
            return self.record(resource.name)
        return value

    @staticmethod
    def named(text: str, *, integer: bool) -> bool:
        """Whether a text is written as a key is."""
        return bool(re.fullmatch(r"[0-9]+", text) if integer else UUID.fullmatch(text))

    def _body(self, operation: Operation, sent: Sent) -> dict[str, Any]:
        body = {name: self._tame(value) for name, value in sent.body.items()}
        for one in operation.request_body.fields.values() if operation.request_body else ():
            if one.relation_setter is not None and one.name in body:
                self._refer(operation, one, body)
        return self._marked(operation, body) if sent.valid else body

    def _refer(self, operation: Operation, one: BodyField, body: dict[str, Any]) -> None:
        """Put a reference that the run may make into a body, or take it out. What can name no record stays."""
        try:
            relation = self.session.payloads.find_relation(
                operation, one.relation_setter.relation if one.relation_setter else ""
            )
            resource = self.session.contract.resources[relation.targets[0]]
            if not self._refers(body[one.name], integer=resource.has_integer_key):
                return
            name, key = self._parent(operation, relation)
            self._parents.add(str(key).lower())
        except SkipCheck as error:
            if one.required:
                raise HeldBack(error.reason) from None
            del body[one.name]
            return
        body[one.name] = [key] if isinstance(body[one.name], list) else key
        if (
            one.relation_setter is not None
            and one.relation_setter.discriminator in body
            and isinstance(body[one.relation_setter.discriminator], str)
        ):
            body[one.relation_setter.discriminator] = snake_case(name)

    def _refers(self, value: Any, *, integer: bool) -> bool:
        """Whether a value names a record, or some. Raises HeldBack where a server may read it so, or may not."""
        values = value if isinstance(value, list) else [value]
        if values and all(self.named(str(one), integer=integer) for one in values):
            return True
        if any(re.search("[0-9]", one) if integer else UUID.search(one) for one in map(str, values)):
            raise HeldBack("it could name a record that the run did not make")
        return False

    def _parent(self, operation: Operation, relation: Relation) -> tuple[str, Any]:
        """Of the run; for what is being created also another, where the run can make none."""
        if self.creates(operation):
            return self.session.parent(relation)
        return relation.targets[0], self.session.shared_record(relation.targets[0]).key

    def _check_foreign(self, value: Any) -> None:
        """Raises HeldBack where something is named that an answer showed and that the run did not make."""
        if any(name in self._shown for name in set(_names(value)) - self._mine - self._parents - self._invented):
            raise HeldBack("it names a record that the run did not make")

    def _marked(self, operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
        """The body with the run's mark in its first free text."""
        for one in operation.request_body.fields.values() if operation.request_body else ():
            said = self.session.payloads.resolve_schema(one.schema)
            value = body.get(one.name)
            free = said.get("type") == "string" and not {"format", "enum", "pattern"} & said.keys()
            if free and one.x_query is None and one.relation_setter is None and isinstance(value, str):
                if self.session.payloads.marker in value:
                    return body
                marked = f"{self.session.payloads.marker} {value}".rstrip()
                if len(marked) <= said.get("maxLength", len(marked)):
                    return {**body, one.name: marked}
        return body

    def _tame(self, value: Any) -> Any:
        """JSON whose addresses lead nowhere."""
        if isinstance(value, dict):
            return {name: self._tame(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._tame(one) for one in value]
        if isinstance(value, str) and ADDRESS.fullmatch(value) and not _harmless(value):
            number = zlib.crc32(value.encode("utf-8", "replace"))
            return f"{number}@example.com" if "//" not in value else f"https://example.com/{number}"
        return value

    def _gone(self, resource: str, key: Any) -> None:
        for made in list(self.session.write_log.created_records):
            if made.resource == resource and str(made.key).lower() == str(key).lower():
                self.session.write_log.log_deleted(resource, made.key)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from texts(name)
            yield from texts(one)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for one in value:
            yield from texts(one)


def _names(*values: Any) -> Iterator[str]:
    for text in texts(values):
        yield from (found.lower() for found in UUID.findall(text))


def _harmless(address: str) -> bool:
    try:
        host = urlsplit(address).hostname if "//" in address else address.rpartition("@")[2]
    except ValueError:
        return False
    return host is not None and any(host == one or host.endswith(f".{one}") for one in HARMLESS_HOSTS)
