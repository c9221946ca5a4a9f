"""The responses of an operation as the contract documents them: by status, by range (``4XX``) and by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spec.document import Document, escape

DEFAULT_KEY = "default"
_HTTP_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type of a response. `schema_pointer`: None without a schema. `node`: the object of the contract."""

    name: str
    pointer: str
    node: Mapping[str, Any]
    schema_pointer: str | None


@dataclass(frozen=True, slots=True)
class ResponseDefinition:
    """A response of an operation. `headers`: the header objects by name."""

    key: str
    pointer: str
    media_types: tuple[MediaType, ...]
    headers: Mapping[str, tuple[Mapping[str, Any], str]]


@dataclass(frozen=True, slots=True)
class ResponseDefinitions:
    """The responses of an operation, by their key in the contract."""

    by_key: Mapping[str, ResponseDefinition]

    @classmethod
    def from_operation(cls, document: Document, pointer: str) -> "ResponseDefinitions":
        """Read the responses of the operation at `pointer`."""
        responses = document.resolve(pointer).get("responses") or {}
        definitions: dict[str, ResponseDefinition] = {}
        for key, node in responses.items():
            if not str(key).startswith("x-"):
                definitions[str(key)] = _read_response(document, str(key), node, f"{pointer}/responses/{key}")
        return cls(definitions)

    def find(self, status: int) -> ResponseDefinition | None:
        """Return the response of a status: documented as such, by its range, or by default."""
        keys = (str(status), f"{status // 100}XX", f"{status // 100}xx", DEFAULT_KEY)
        return next((self.by_key[key] for key in keys if key in self.by_key), None)

    def find_success_status(self) -> int:
        """Return the status of a success.

        The lowest documented 2xx; 200 if a range or a default includes it; else the first documented one.
        """
        statuses = sorted(int(key) for key in self.by_key if key.isdigit() and int(key) >= 200)
        success = next((status for status in statuses if status in _HTTP_SUCCESS), None)
        if success is not None:
            return success
        if not self.by_key.keys().isdisjoint(("2XX", "2xx", DEFAULT_KEY)) or not self.by_key:
            return 200
        if statuses:
            return statuses[0]
        ranges = sorted(int(key[0]) * 100 for key in self.by_key if key[:1] in ("3", "4", "5"))
        return ranges[0] if ranges else 200


def _read_response(document: Document, key: str, node: Any, pointer: str) -> ResponseDefinition:
    node, pointer = document.dereference(node, pointer)
    media_types = []
    for name, media_node in (node.get("content") or {}).items():
        media_pointer = f"{pointer}/content/{escape(name)}"
        schema_pointer = f"{media_pointer}/schema" if "schema" in media_node else None
        media_types.append(MediaType(name, media_pointer, media_node, schema_pointer))
    headers = {
        name: document.dereference(header, f"{pointer}/headers/{escape(name)}")
        for name, header in (node.get("headers") or {}).items()
    }
    return ResponseDefinition(key, pointer, tuple(media_types), headers)
