"""Variants of the response format: what a JSON encoder, a framework or a proxy may do differently."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import ResponseChange
from conformance.mutation.in_process_mock import ManualClock
from spec.model import Contract

TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$")
Change = Callable[[Any], Any]
VariantFactory = Callable[[Contract, ManualClock], Fault]


def change_responses(change: ResponseChange) -> VariantFactory:
    """Change every response."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        return change(await call_next(request))

    return lambda contract, clock: fault


def transform_json(change: Change) -> VariantFactory:
    """Change the JSON of every response."""
    return change_responses(
        lambda response: response if response.json is None else response.with_json(change(response.json))
    )


def encode_with(encode: Callable[[Any], str]) -> VariantFactory:
    """Encode the JSON of every response with another encoder."""
    return change_responses(lambda r: r if r.json is None else replace(r, body=encode(r.json).encode()))


def encode_like_php(value: Any) -> str:
    """Encode JSON as PHP's `json_encode` does by default."""
    return json.dumps(value, separators=(",", ":")).replace("/", r"\/")


def change_headers(headers: Mapping[str, str | None]) -> VariantFactory:
    """Set headers; None removes a header."""

    def change(response: InterceptedResponse) -> InterceptedResponse:
        if headers.get("content-type") and "content-type" not in response.headers:
            return response
        changed = {**response.headers, **headers}
        return replace(response, headers={name: value for name, value in changed.items() if value is not None})

    return change_responses(change)


def _sort_methods(response: InterceptedResponse) -> InterceptedResponse:
    if "allow" not in response.headers:
        return response
    methods = sorted(response.headers["allow"].replace(" ", "").split(","))
    return replace(response, headers={**response.headers, "allow": ",".join(methods)})


reorder_allow_header = change_responses(_sort_methods)


def map_values(change: Change) -> Change:
    """Apply a change to every scalar in JSON."""

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: visit(item) for name, item in value.items()}
        return [visit(item) for item in value] if isinstance(value, list) else change(value)

    return visit


def map_objects(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Apply a change to every object in JSON, innermost first."""

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            return change({name: visit(item) for name, item in value.items()})
        return [visit(item) for item in value] if isinstance(value, list) else value

    return visit


def reformat_timestamps(suffix: str) -> Change:
    """Replace the fraction and zone of every timestamp."""

    def change(value: Any) -> Any:
        match = TIMESTAMP.match(value) if isinstance(value, str) else None
        return f"{match[1]}{suffix}" if match else value

    return map_values(change)


def to_float(value: Any) -> Any:
    """Convert an integer to a float, if that is exact."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value


def encode_brackets(value: Any) -> Any:
    """Encode the brackets of array parameters in a link."""
    is_link = isinstance(value, str) and value.startswith("http://localhost:8000/")
    return value.replace("[]", "%5B%5D") if is_link else value


def reword_errors(value: dict[str, Any]) -> dict[str, Any]:
    """Use other error messages, and several for a field."""
    if "message" not in value or not set(value) <= {"message", "errors"}:
        return value
    errors = {name: ["Das ist nicht gültig.", *messages] for name, messages in value.get("errors", {}).items()}
    return {**value, "message": "So geht das nicht.", **({"errors": errors} if errors else {})}
