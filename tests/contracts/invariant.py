"""The invariant of every contract file that is served.

Each documented operation answers a valid request without a server error; the responses match the file; a representation
is accepted by a write with the same schema; an error response stores nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.asgi import Reply
from tests.contracts.openapi_core_opinion import OpenapiCoreOpinion
from tests.contracts.sample_requests import SampleRequest, SampleRequests, find_response_problems
from tests.contracts.served_contract import ServedContract

WRITE_METHODS = ("POST", "PUT", "PATCH")
# JSON bodies that few schemas accept; one that is accepted is no problem.
UNUSUAL_BODIES: tuple[Any, ...] = ([[]], {"\x00": {"a": [None]}}, "text", 0, None)


@dataclass(slots=True)
class InvariantCheck:
    """Checks one contract file. `problems`: what violates the invariant."""

    served: ServedContract
    samples: SampleRequests
    opinion: OpenapiCoreOpinion
    problems: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, path: Path) -> "InvariantCheck":
        """Serve a contract file. Raises ContractError if it is refused."""
        samples = SampleRequests(path)
        return cls(ServedContract.create(path), samples, OpenapiCoreOpinion.from_raw(samples.raw, path))

    def run(self) -> list[str]:
        """Send all requests, deletions last, and return the problems."""
        requests = [self._with_stored_key(request) for request in self.samples.generate()]
        others, deletions = ([r for r in requests if (r.method == "DELETE") == is_last] for is_last in (False, True))
        replies = [(request, self._send_valid(request)) for request in others]
        for request, _ in replies:
            self._send_unusual_bodies(request)
        for request, _ in replies:
            for representation in find_representations(self.samples.raw, request, replies):
                self._send_back(request, representation)
        for request in deletions:
            self._send_valid(request)
        return self.problems

    def _with_stored_key(self, request: SampleRequest) -> SampleRequest:
        """Replace the path parameter of an operation on a resource by the key of a stored record."""
        case = request.case
        for operation in self.served.contract.operations.values():
            if (operation.path, operation.method) == (case.operation.path, case.operation.method.lower()):
                names, resource = operation.path_parameter_names, operation.resource
                if len(names) == 1 and resource is not None:
                    case.path_parameters = {names[0]: str(self.served.sandbox.store.select(resource)[0].key)}
                    return self.samples.build_request(case)
        return request

    def _send_valid(self, request: SampleRequest) -> Reply:
        reply = self._send(request)
        if reply.status >= 400 and is_status_missing(self.samples.raw, request, reply.status):
            self._report(request, f"a valid request got {reply.status} {reply.body[:200]!r}")
        if has_only(request, "1"):
            return reply  # a final response has another status than the documented ones
        for problem in (*find_response_problems(request, reply), *self.opinion.find_problems(request, reply)):
            self._report(request, f"{reply.status}: {problem}")
        return reply

    def _send_unusual_bodies(self, request: SampleRequest) -> None:
        if request.method in WRITE_METHODS and find_json_schema(self.samples.raw, request) is not None:
            for body in UNUSUAL_BODIES:
                unusual = request.with_json(body)
                reply = self._send(unusual)
                if not is_status_missing(self.samples.raw, request, reply.status):
                    for problem in find_response_problems(unusual, reply):
                        self._report(request, f"{reply.status} for {body!r}: {problem}")

    def _send_back(self, request: SampleRequest, representation: Any) -> None:
        reply = self._send(request.with_json(representation))
        if has_only(request, "45"):
            return
        if reply.status >= 400 and reply.status not in (404, 409):  # the record of the path, not the representation
            self._report(request, f"rejected a representation with {reply.status} {reply.body[:300]!r}")

    def _send(self, request: SampleRequest) -> Reply:
        before = self.served.list_records()
        reply = self.served.send(request)
        if (reply.status >= 500 and not has_only(request, "5")) or reply.status < 100:
            self._report(request, f"server error {reply.status} {reply.body[:200]!r}")
        if reply.status >= 400 and self.served.list_records() != before:
            self._report(request, f"stored a record and answered {reply.status}")
        return reply

    def _report(self, request: SampleRequest, problem: str) -> None:
        self.problems.append(f"{request.label}: {problem}")


def find_operation(raw: Mapping[str, Any], request: SampleRequest) -> Mapping[str, Any]:
    """Return the object of a request's operation in the file."""
    item = resolve(raw, raw["paths"][request.case.operation.path])
    operation: Mapping[str, Any] = item[request.case.operation.method.lower()]
    return operation


def resolve(raw: Mapping[str, Any], node: Any) -> Any:
    """Follow references within the file; an empty object for a reference to another file."""
    while isinstance(node, dict) and isinstance(node.get("$ref"), str):
        if not node["$ref"].startswith("#/"):
            return {}
        target: Any = raw
        for part in node["$ref"][2:].split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def is_status_missing(raw: Mapping[str, Any], request: SampleRequest, status: int) -> bool:
    """Whether the operation documents neither the status nor its range nor a default."""
    responses = {str(key).upper() for key in find_operation(raw, request).get("responses", {})}
    return responses.isdisjoint({str(status), f"{status // 100}XX", "DEFAULT"})


def has_only(request: SampleRequest, classes: str) -> bool:
    """Whether all documented statuses of an operation start with one of these digits."""
    responses = [str(key) for key in request.case.operation.definition.raw.get("responses", {})]
    return bool(responses) and all(key[0] in classes for key in responses)


def has_write_only(raw: Mapping[str, Any], schema: Any, visited: set[str]) -> bool:
    """Whether a schema, or one that it refers to, has a property that no response shows."""
    text = json.dumps(schema)
    references = set(re.findall(r'"\$ref": "(#/[^"]*)"', text)) - visited
    visited |= references
    return '"writeOnly": true' in text or any(
        has_write_only(raw, resolve(raw, {"$ref": r}), visited) for r in references
    )


def find_json_schema(raw: Mapping[str, Any], request: SampleRequest) -> Any:
    """Return the schema of the JSON request body in the file, None without one."""
    body = resolve(raw, find_operation(raw, request).get("requestBody", {}))
    return next((m.get("schema") for kind, m in body.get("content", {}).items() if is_json(kind)), None)


def find_response_schema(raw: Mapping[str, Any], request: SampleRequest, status: int) -> Any:
    """Return the schema of a JSON response in the file, None without one."""
    response = resolve(raw, find_operation(raw, request).get("responses", {}).get(str(status), {}))
    return next((m.get("schema") for kind, m in response.get("content", {}).items() if is_json(kind)), None)


def is_json(media_type: str) -> bool:
    """Whether a media type is JSON."""
    return media_type.split(";")[0].strip().lower().endswith(("/json", "+json"))


def find_representations(
    raw: Mapping[str, Any], write: SampleRequest, replies: list[tuple[SampleRequest, Reply]]
) -> Iterator[Any]:
    """Yield the representations of the schema that a write accepts, from operations on its path."""
    schema = find_json_schema(raw, write) if write.method in WRITE_METHODS else None
    if has_write_only(raw, schema, set()):
        return  # no response shows all that the body needs
    for request, reply in replies if schema else ():
        is_same_path = request.case.operation.path == write.case.operation.path
        if is_same_path and reply.status < 300 and find_response_schema(raw, request, reply.status) == schema:
            yield json.loads(reply.body)
