"""Headers that the contract declares: those of responses, and those that are parameters of an operation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import SkipCheck, not_testable
from spec.document import escape
from spec.model import Contract, Operation, Parameter


@dataclass(frozen=True, slots=True)
class DeclaredHeader:
    """A header of a response: its name as declared, the JSON pointer of its declaration, and whether it is required."""

    name: str
    pointer: str
    is_required: bool

    def report_absence(self, message: str) -> str:
        """Return the message of a failure if the contract requires the header. Raises SkipCheck if it is optional."""
        if not self.is_required:
            raise SkipCheck(not_testable(f"the response has no {self.name}, which the contract does not require"))
        return f"{self.name}: {message}"


def find_response_headers(contract: Contract, operation: Operation, status: int) -> Mapping[str, DeclaredHeader]:
    """Return the headers that the contract declares for a status of an operation, by their lower-case name."""
    response, pointer = _find_response(contract, operation, status)
    headers = response.get("headers")
    declared = {}
    for name, node in headers.items() if isinstance(headers, Mapping) else ():
        location = f"{pointer}/headers/{escape(name)}"
        header, _ = contract.document.dereference(node, location)
        declared[name.lower()] = DeclaredHeader(name, location, header.get("required") is True)
    return declared


def find_media_types(contract: Contract, operation: Operation, status: int) -> Mapping[str, str]:
    """Return the media types that the contract declares for a status, each with its JSON pointer."""
    response, pointer = _find_response(contract, operation, status)
    content = response.get("content")
    names = content if isinstance(content, Mapping) else {}
    return {name: f"{pointer}/content/{escape(name)}" for name in names}


def _find_response(contract: Contract, operation: Operation, status: int) -> tuple[Mapping[str, Any], str]:
    """Return the response of a status and its pointer; an empty one if the contract has none."""
    responses = contract.document.resolve(operation.pointer).get("responses", {})
    name = next((key for key in responses if str(key) == str(status)), None)
    if name is None:
        return {}, operation.pointer
    pointer = f"{operation.pointer}/responses/{escape(str(name))}"
    return contract.document.dereference(responses[name], pointer)


def find_header_parameter(operation: Operation, name: str) -> Parameter | None:
    """Return the header parameter with a name in any case."""
    parameters = (p for p in operation.parameters if p.location == "header")
    return next((parameter for parameter in parameters if parameter.name.lower() == name.lower()), None)
