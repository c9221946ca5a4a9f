"""Write guard of the engine: no request changes a record that the run did not create.

A write to a record is redirected to one that the run created, or blocked if there is none. Reads are not restricted.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from conformance.errors import READ_ONLY, SkipCheck, SkipReason, effects_not_allowed, not_testable
from conformance.session.session import Session
from conformance.transport.messages import Exchange, iter_texts, map_texts
from spec.document import snake_case
from spec.model import BodyField, Contract, Operation

HEX = "[0-9a-fA-F]"
UUID = re.compile(f"(?<!{HEX}){HEX}{{8}}(?:-?{HEX}{{4}}){{3}}-?{HEX}{{12}}(?!{HEX})")
ADDRESS = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//\S+|[^\s@]+@[^\s@]+")
RESERVED_HOSTS = ("example.com", "invalid")
MAX_PUBLIC_CALLS = 5  # of an operation without authentication; the same number again for reruns
MAX_CREATE_FAILURES = 3  # of a resource, before creation is given up


class BlockedRequest(SkipCheck):
    """A case that is not sent."""


def get_exclusion_reason(
    contract: Contract, operation: Operation, *, read_only: bool, effects: bool
) -> SkipReason | None:
    """Why the engine may not call an operation at all, or None. `effects`: operations with effects are allowed."""
    if read_only and operation.is_write:
        return READ_ONLY
    if operation.effects and not effects:
        return effects_not_allowed(operation)
    view = contract.views.get(operation.envelope.view_name or "")
    if _creates_record(operation) and view is not None and contract.find_operation(view.resource, "delete") is None:
        return not_testable(f"the contract defines no operation to delete a {view.resource}")
    return None


def _creates_record(operation: Operation) -> bool:
    return operation.method == "post" and (operation.envelope.status == 201 or operation.action == "create")


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """The parts of a case. `is_valid`: generated as valid."""

    path: Mapping[str, Any]
    query: Any
    body: Any
    is_valid: bool


@dataclass(slots=True)
class WriteGuard:
    """Authorizes the requests of one engine run.

    `max_public_calls`: per write without authentication that creates nothing, as a sign-in may lock an account.
    """

    session: Session
    max_public_calls: int = MAX_PUBLIC_CALLS
    _initial_record_count: int = field(init=False)
    _response_ids: set[str] = field(default_factory=set)
    _created_ids: set[str] = field(default_factory=set)
    _reference_ids: set[str] = field(default_factory=set)
    _generated_ids: set[str] = field(default_factory=set)
    _call_counts: Counter[str] = field(default_factory=Counter)
    _create_errors: dict[str, SkipReason] = field(default_factory=dict)
    _create_failures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._initial_record_count = len(self.session.write_log.created_records)
        self._created_ids = {str(record.key).lower() for record in self.session.write_log.created_records}

    def authorize(self, operation: Operation, case_request: CaseRequest, *, uses_run_token: bool) -> CaseRequest:
        """Return the request to send. `uses_run_token`: it has the token of the run. Raises BlockedRequest."""
        ids = set(_find_uuids(case_request.path, case_request.query, case_request.body))
        self._generated_ids |= ids - self._response_ids
        if not operation.is_write or operation.has_query_body:
            return case_request
        if not operation.path_parameter_names and not self.is_create(operation):
            self._check_implicit_target(operation, uses_run_token=uses_run_token)
        path = {name: self._resolve_path_value(operation, value) for name, value in case_request.path.items()}
        body = self._prepare_body(operation, case_request) if isinstance(case_request.body, dict) else case_request.body
        self._reject_foreign_keys((case_request.query, body))
        if operation.effects:
            self.session.client.charge_call(operation)
        return replace(case_request, path=path, body=body)

    def observe(self, operation: Operation, exchange: Exchange) -> None:
        """Record the ids in a response, and what it deleted."""
        new_records = self.session.write_log.created_records[self._initial_record_count :]
        self._created_ids |= {str(record.key).lower() for record in new_records}
        self._response_ids |= set(_find_uuids(exchange.response.content.decode("utf-8", "replace")))
        if operation.method == "delete" and exchange.response.ok and operation.resource:
            keys = {str(key).lower() for key in exchange.request.path_values.values()}
            for record in list(self.session.write_log.created_records):
                if record.resource == operation.resource and str(record.key).lower() in keys:
                    self.session.write_log.log_deleted(record.resource, record.key)

    def is_create(self, operation: Operation) -> bool:
        """Whether the operation creates a record and returns it, so that it can be deleted."""
        envelope = operation.envelope
        returns_record = envelope.view_name is not None and not envelope.is_list
        return _creates_record(operation) and returns_record

    def is_existing_record(self, resource: str, key: Any) -> bool:
        """Whether the run created that record and has not deleted it."""
        created_records = self.session.write_log.created_records
        return any(record.resource == resource and str(record.key) == str(key) for record in created_records)

    def was_created(self, key: Any) -> bool:
        return str(key).lower() in self._created_ids

    def ensure_record_key(self, resource: str) -> Any:
        """Return the key of a record of this engine run that may be changed; create one if there is none.

        Raises SkipCheck if none can be created; BlockedRequest, without another attempt, after `MAX_CREATE_FAILURES`.
        """
        shared = self.session.records.shared.get(resource)
        for record in reversed(self.session.write_log.created_records[self._initial_record_count :]):
            if record.resource == resource and (shared is None or record.key != shared.key):
                return record.key
        if self._create_failures[resource] >= MAX_CREATE_FAILURES:
            raise BlockedRequest(self._create_errors[resource])
        try:
            return self.session.records.create(resource).key
        except SkipCheck as error:
            self._create_errors[resource] = error.reason
            self._create_failures[resource] += 1
            raise

    def _check_implicit_target(self, operation: Operation, *, uses_run_token: bool) -> None:
        """Limit a write without a record: it acts on the owner of the token or on the target. Raises BlockedRequest."""
        if not operation.requires_auth:
            if self._call_counts[operation.id] >= self.max_public_calls:
                raise BlockedRequest(f"{operation.id} was called {self.max_public_calls} times (limit reached)")
            self._call_counts[operation.id] += 1
        elif uses_run_token:
            message = f"{operation.id} acts on the account of the token, which the run did not create"
            raise BlockedRequest(not_testable(message))

    def _resolve_path_value(self, operation: Operation, value: Any) -> Any:
        """The value to send as a path parameter: a created record, or no key. Raises BlockedRequest."""
        resource = self.session.contract.resources.get(operation.resource or "")
        text = str(value)
        if resource is None or len(operation.path_parameter_names) != 1:
            raise BlockedRequest(f"the path parameters of {operation.id} are not the key of a resource")
        shared_record = self.session.records.shared.get(resource.name)
        if shared_record is not None and str(shared_record.key) == text:
            return self.ensure_record_key(resource.name)
        if self.is_existing_record(resource.name, value) or (not resource.has_integer_key and self.was_created(value)):
            return value
        if self.is_key_text(text, is_integer=resource.has_integer_key):
            return self.ensure_record_key(resource.name)
        # not a key, unless a server parses a number or another path from it
        if resource.has_integer_key or UUID.search(text) or not re.fullmatch(r"[^/\\.%?#\x00-\x20]+", text):
            raise BlockedRequest(f"{operation.id} could change a record that the run did not create")
        if resource.attributes[resource.key_attribute].format != "uuid":
            return self.ensure_record_key(resource.name)
        return value

    @staticmethod
    def is_key_text(text: str, *, is_integer: bool) -> bool:
        return bool(re.fullmatch(r"[0-9]+", text) if is_integer else UUID.fullmatch(text))

    def _prepare_body(self, operation: Operation, case_request: CaseRequest) -> dict[str, Any]:
        body = map_texts(case_request.body, _neutralize_address)
        for body_field in operation.body_fields.values():
            self._set_reference(operation, body_field, body)
        if case_request.is_valid or self.is_create(operation):
            body = self._add_marker(operation, body)
        is_valid_create = case_request.is_valid and self.is_create(operation)
        return self.session.payloads.ensure_marker(operation, body) if is_valid_create else body

    def _set_reference(self, operation: Operation, body_field: BodyField, body: dict[str, Any]) -> None:
        """Replace a reference in a body by an allowed one, or remove it. A value that is no key remains."""
        setter = body_field.relation_setter
        if setter is None or body_field.name not in body:
            return
        try:
            relation = self.session.payloads.find_relation(operation, setter.relation)
            resource = self.session.contract.resources[relation.targets[0]]
            if not self._references_record(body[body_field.name], is_integer=resource.has_integer_key):
                return
            if self.is_create(operation):
                name, key = self.session.records.parent(relation)  # an existing record, if none can be created
            else:
                name, key = resource.name, self.session.records.shared_record(resource.name).key
            self._reference_ids.add(str(key).lower())
        except SkipCheck as error:
            if body_field.required or isinstance(error, BlockedRequest):
                raise
            del body[body_field.name]
            return
        body[body_field.name] = [key] if isinstance(body[body_field.name], list) else key
        if setter.discriminator in body and isinstance(body[setter.discriminator], str):
            body[setter.discriminator] = snake_case(name)

    def _references_record(self, value: Any, *, is_integer: bool) -> bool:
        """Whether a value references records. Raises BlockedRequest if that depends on the server."""
        values = value if isinstance(value, list) else [value]
        if values and all(self.is_key_text(str(item), is_integer=is_integer) for item in values):
            return True
        if any(re.search("[0-9]", item) if is_integer else UUID.search(item) for item in map(str, values)):
            raise BlockedRequest("it could reference a record that the run did not create")
        return False

    def _reject_foreign_keys(self, value: Any) -> None:
        """Raise BlockedRequest for an id from a response that the run did not create."""
        allowed_ids = self._created_ids | self._reference_ids | self._generated_ids
        if (set(_find_uuids(value)) - allowed_ids) & self._response_ids:
            raise BlockedRequest("it references a record that the run did not create")

    def _add_marker(self, operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
        """Add the run's marker to the first valid free text of a body that a response shows."""
        payloads = self.session.payloads
        if payloads.has_marker(operation, body):
            return body
        for body_field in payloads.readable_fields(operation):
            schema, value = payloads.resolve_schema(body_field.schema), body.get(body_field.name)
            if schema.get("type") == "string" and not {"format", "enum", "pattern"} & schema.keys():
                validator = self.session.schemas.get_field(body_field, "write")
                marked_text = f"{payloads.marker} {value}".rstrip()
                if isinstance(value, str) and validator.is_valid(value) and validator.is_valid(marked_text):
                    return {**body, body_field.name: marked_text}
        return body


def _find_uuids(*values: Any) -> Iterator[str]:
    for text in iter_texts(values):
        yield from (match.lower() for match in UUID.findall(text))


def _neutralize_address(text: str) -> str:
    """Replace a text that is a URL or an e-mail address by a reserved one."""
    if not ADDRESS.fullmatch(text) or _is_reserved_address(text):
        return text
    checksum = zlib.crc32(text.encode("utf-8", "replace"))
    return f"{checksum}@example.com" if "//" not in text else f"https://example.com/{checksum}"


def _is_reserved_address(address: str) -> bool:
    try:
        host = urlsplit(address).hostname if "//" in address else address.rpartition("@")[2]
    except ValueError:
        return False
    return host is not None and any(host == reserved or host.endswith(f".{reserved}") for reserved in RESERVED_HOSTS)
