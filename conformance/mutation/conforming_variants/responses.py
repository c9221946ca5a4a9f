"""Variants of the response format: what a JSON encoder, a framework or a proxy may do differently."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from conformance.mutation.fault_injection import Fault, InterceptedResponse
from conformance.mutation.faults import MakeFault, ResponseChange, ValueChange, change_response
from conformance.mutation.in_process_mock import ManualClock
from conformance.transport.messages import map_texts
from spec.model import Contract

TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$")
MOCK_ORIGIN = "http://localhost:8000/"
VariantFactory = Callable[[Contract, ManualClock], Fault]


def always(make_fault: MakeFault) -> VariantFactory:
    """Make a variant of a fault that depends on no contract and no clock."""
    return lambda contract, clock: make_fault()


def change_responses(change: ResponseChange) -> VariantFactory:
    """Change every response."""
    return always(change_response(lambda request, response: change(response)))


def transform_json(change: ValueChange) -> VariantFactory:
    """Change the JSON of every response."""
    return change_responses(lambda r: r if r.json is None else r.with_json(change(r.json)))


def encode_with(encode: Callable[[Any], str]) -> VariantFactory:
    """Encode the JSON of every response with another encoder."""
    return change_responses(lambda r: r if r.json is None else replace(r, body=encode(r.json).encode()))


def encode_like_php(value: Any) -> str:
    """Encode JSON as PHP's `json_encode` does by default."""
    return json.dumps(value, separators=(",", ":")).replace("/", r"\/")


def change_headers(headers: Mapping[str, str | None]) -> VariantFactory:
    """Set headers; None removes a header."""

    def change(response: InterceptedResponse) -> InterceptedResponse:
        has_no_body = headers.get("content-type") and "content-type" not in response.headers
        return response if has_no_body else response.with_headers(headers)

    return change_responses(change)


def _sort_methods(response: InterceptedResponse) -> InterceptedResponse:
    methods = sorted(response.headers.get("allow", "").replace(" ", "").split(","))
    return response.with_headers({"allow": ",".join(methods) or None})


reorder_allow_header = change_responses(_sort_methods)


def map_objects(change: Callable[[dict[str, Any]], dict[str, Any]]) -> ValueChange:
    """Apply a change to every object in JSON, innermost first."""

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            return change({name: visit(item) for name, item in value.items()})
        return [visit(item) for item in value] if isinstance(value, list) else value

    return visit


def reformat_timestamps(suffix: str) -> ValueChange:
    """Replace the fraction and zone of every timestamp."""

    return lambda value: map_texts(value, lambda text: TIMESTAMP.sub(rf"\1{suffix}", text))


def to_float(value: Any) -> Any:
    """Convert an integer to a float, if that is exact."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value


def format_decimal(value: Any) -> Any:
    """Convert a fraction to a text, as the cast `decimal:2` does."""
    return f"{value:.2f}" if isinstance(value, float) and not value.is_integer() else value


def encode_brackets(value: Any) -> Any:
    """Encode the brackets of array parameters in links."""
    return map_texts(value, lambda text: text.replace("[]", "%5B%5D") if text.startswith(MOCK_ORIGIN) else text)


def reword_errors(value: dict[str, Any]) -> dict[str, Any]:
    """Use other error messages, and several for a field."""
    if "message" not in value or not set(value) <= {"message", "errors"}:
        return value
    errors = {name: ["Das ist nicht gültig.", *messages] for name, messages in value.get("errors", {}).items()}
    return {**value, "message": "So geht das nicht.", **({"errors": errors} if errors else {})}
