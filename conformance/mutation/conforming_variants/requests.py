"""Variants of request handling: trimmed input, status of unknown references, other identifiers, other clients."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.mutation.conforming_variants.responses import VariantFactory, always
from conformance.mutation.conforming_variants.stated_properties import keep_stated, map_members
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import change_request, change_response, stateless
from conformance.transport.messages import map_texts

MAX_RECENT_CREATES = 5
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_OFFSET = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)[+-]\d\d:\d\d$")
_FLIPPED_DIGITS = str.maketrans("0123456789abcdef", "fedcba9876543210")

# Strip white space from the texts of a body.
trim_texts = always(change_request(lambda r: r if r.json is None else r.with_json(map_texts(r.json, str.strip))))


def _reject_unknown_reference(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
    """Return 422 instead of 404 when the body references an unknown record."""
    body = request.json_object
    sent_names = [f.name for f in request.operation.body_fields.values() if f.relation_setter and f.name in body]
    if response.status != 404 or not sent_names or request.path_values:
        return response
    errors = {name: [f"The selected {name.replace('_', ' ')} is invalid."] for name in sent_names}
    return replace(response, status=422).with_json({"message": errors[sent_names[0]][0], "errors": errors})


reject_unknown_reference = always(change_response(_reject_unknown_reference))


def _reject_malformed_json(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
    """Return 422 instead of 400: Laravel treats a body that is not JSON as an empty one."""
    if response.status != 400 or not request.body or request.json is not None:
        return response
    names = [field.name for field in request.operation.body_fields.values() if field.required]
    errors = {name: [f"The {name.replace('_', ' ')} field is required."] for name in names or ["body"]}
    return replace(response, status=422).with_json({"message": next(iter(errors.values()))[0], "errors": errors})


reject_malformed_json = always(change_response(_reject_malformed_json))


def _convert_empty_texts(request: InterceptedRequest) -> InterceptedRequest:
    """Replace empty texts of nullable fields by null, as the middleware ConvertEmptyStringsToNull does."""
    if request.json is None:
        return request
    nullable = {field.name for field in request.operation.body_fields.values() if field.schema.get("nullable")}
    body = {name: None if value == "" and name in nullable else value for name, value in request.json_object.items()}
    return request.with_json(body) if request.json_object else request


convert_empty_texts = always(change_request(_convert_empty_texts))


def _drop_offset(value: Any) -> Any:
    """Return an instant with its local time labelled as UTC, as Eloquent stores it."""
    return _OFFSET.sub(r"\1Z", value) if isinstance(value, str) else value


drop_offsets = keep_stated(
    lambda kept: change_request(lambda r: r if r.json is None else r.with_json(map_members(r.json, _drop_offset, kept)))
)


def accept_booleans(*texts: str) -> VariantFactory:
    """Return 422 for a boolean of a query that is written in another notation."""

    def reject_other_notation(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        booleans = {p.name for p in request.operation.query_parameters if p.schema.get("type") == "boolean"}
        rejected = [name for name, value in request.query if name in booleans and value and value not in texts]
        if not rejected or not response.is_success:
            return response
        errors = {name: [f"The {name.replace('_', ' ')} field must be true or false."] for name in rejected}
        return replace(response, status=422).with_json({"message": errors[rejected[0]][0], "errors": errors})

    return always(change_response(reject_other_notation))


def _flip_uuids(text: str) -> str:
    return _UUID.sub(lambda match: match[0].translate(_FLIPPED_DIGITS), text)


async def _replace_identifiers(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """Replace every identifier by another one, consistently."""
    query = tuple((name, _flip_uuids(value)) for name, value in request.query)
    body = _flip_uuids(request.body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    response = await call_next(replace(request, path=_flip_uuids(request.path), query=query, body=body))
    if not response.headers.get("content-type", "").startswith("application/json"):
        return response
    return replace(response, body=_flip_uuids(response.body.decode()).encode())


replace_identifiers = always(stateless(_replace_identifiers))


@dataclass(slots=True)
class ConcurrentClient:
    """Another client of the same tenant that repeats one of the recent creates after every `interval` requests."""

    interval: int
    request_count: int = 0
    recent_creates: list[InterceptedRequest] = field(default_factory=list)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response, operation = await call_next(request), request.operation
        is_create = operation.method == "post" and operation.envelope.status == 201 and operation.path.count("/") == 1
        if is_create and response.is_success and not operation.effects:
            repeated = replace(request, body=re.sub(rb"conformance-\w+", b"neighbour", request.body))
            self.recent_creates = [*self.recent_creates, repeated][-MAX_RECENT_CREATES:]
        self.request_count += 1
        if self.recent_creates and self.request_count % self.interval == 0:
            await call_next(self.recent_creates[self.request_count // self.interval % len(self.recent_creates)])
        return response
