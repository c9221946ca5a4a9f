"""How the requests of an operation are sent: media type of the body and base path."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from spec.http.media_types import (
    FORM,
    MULTIPART,
    find_item_separator,
    is_json_lines_media_type,
    is_json_media_type,
    strip_parameters,
)
from spec.model import Contract, Operation, Parameter, RequestBody

JSON_MEDIA_TYPE = "application/json"
BINARY_MEDIA_TYPE = "application/octet-stream"
_BOUNDARY = "conformance-boundary"
_PATH_PREFIXES = {"label": ".", "matrix": ";{}="}


@dataclass(frozen=True, slots=True)
class WireFormat:
    """What differs from JSON below the base path of the contract.

    `base_path`: of the operation, instead of `contract_base_path`. `path_prefixes`: of the values of path parameters
    with the style label (``.``) or matrix (``;name=``), by name. `separators`: of the items of an array
    in a form, by property; without one, each item is a field.
    """

    media_type: str = JSON_MEDIA_TYPE
    contract_base_path: str = ""
    base_path: str = ""
    path_prefixes: Mapping[str, str] = field(default_factory=dict)
    separators: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_operation(cls, contract: Contract, operation: Operation) -> "WireFormat":
        """Return the format of an operation: its main media type and its first server."""
        body = operation.request_body
        base_path = (operation.base_paths or contract.base_paths)[0]
        prefixes = {p.name: _PATH_PREFIXES[p.style].format(p.name) for p in operation.parameters if _has_prefix(p)}
        media_type = _choose_media_type(body.media_type if body else "")
        separators = (
            _find_separators(contract, body) if body and strip_parameters(media_type) in (FORM, MULTIPART) else {}
        )
        return cls(media_type, contract.base_path, base_path, prefixes, separators)

    def encode_path_value(self, name: str, value: Any) -> str:
        """Return the part of a path for a value of a parameter, which may already have its prefix."""
        prefix = self.path_prefixes.get(name, "")
        return prefix + quote(str(value).removeprefix(prefix), safe=";=,." if prefix else "")

    def build_url(self, base: str, target: str) -> str:
        """Return the URL of a target (path and query) for the base URL of the contract."""
        return base.removesuffix(self.contract_base_path) + self.base_path + target

    def encode_body(self, body: Any) -> tuple[bytes, str]:
        """Return (bytes, content type) of a JSON value in the media type of the operation."""
        media_type = strip_parameters(self.media_type)
        if media_type == FORM and isinstance(body, dict):
            return urlencode(list(self._iter_fields(body))).encode(), self.media_type
        if media_type == MULTIPART and isinstance(body, dict):
            return _encode_multipart(self._iter_fields(body)), f"{MULTIPART}; boundary={_BOUNDARY}"
        if is_json_lines_media_type(media_type) and isinstance(body, list):
            prefix = "\x1e" if media_type.endswith("seq") else ""
            return "".join(f"{prefix}{json.dumps(row)}\n" for row in body).encode(), self.media_type
        if is_json_media_type(media_type) or not isinstance(body, str):
            return json.dumps(body).encode(), self.media_type
        return body.encode(), self.media_type

    def _iter_fields(self, body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the fields of a form."""
        for name, value in body.items():
            separator = self.separators.get(name)
            if separator is not None and isinstance(value, list):
                yield name, separator.join(map(_format_scalar, value))
            else:
                yield from _iter_nested_fields(value, str(name))


def find_wire_format(contract: Contract, operation: Operation) -> WireFormat | None:
    """Return the format of an operation; None if it does not differ from JSON below the base path."""
    default = WireFormat(contract_base_path=contract.base_path, base_path=contract.base_path)
    wire_format = WireFormat.from_operation(contract, operation)
    return None if wire_format == default else wire_format


def list_wire_formats(contract: Contract) -> dict[str, WireFormat]:
    """Return the formats by operation id of the operations that need one."""
    formats = ((name, find_wire_format(contract, operation)) for name, operation in contract.operations.items())
    return {name: wire_format for name, wire_format in formats if wire_format is not None}


def _has_prefix(parameter: Parameter) -> bool:
    return parameter.location == "path" and parameter.style in _PATH_PREFIXES


def _choose_media_type(declared: str) -> str:
    """Return the media type of requests for a declared one, which may be a range."""
    if not declared or declared == "*/*" or strip_parameters(declared) == "application/*":
        return JSON_MEDIA_TYPE
    if "*" in declared:
        return f"{declared.partition('/')[0]}/plain" if declared.startswith("text/") else BINARY_MEDIA_TYPE
    return declared


def _find_separators(contract: Contract, body: RequestBody) -> dict[str, str]:
    encodings = contract.document.resolve(body.pointer.rpartition("/")[0]).get("encoding") or {}
    separators = {name: find_item_separator(encoding) for name, encoding in encodings.items()}
    return {name: separator for name, separator in separators.items() if separator is not None}


def _iter_nested_fields(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a property: properties of objects in brackets, the items of arrays as repeated fields."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _iter_nested_fields(child, f"{name}[{key}]")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _iter_nested_fields(child, f"{name}[{index}]" if isinstance(child, (dict, list)) else name)
    elif value is not None:
        yield name, _format_scalar(value)


def _format_scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _encode_multipart(fields: Iterable[tuple[str, str]]) -> bytes:
    parts = []
    for name, text in fields:
        quoted = name.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        parts.append(f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{quoted}"\r\n\r\n{text}\r\n')
    return "".join([*parts, f"--{_BOUNDARY}--\r\n"]).encode()
