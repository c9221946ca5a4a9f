"""Fills the error schemas of a contract: the properties that carry a message, a status or the invalid fields.

Properties are recognized by name and type, as they occur in problem details (RFC 9457), in the errors of Google,
JSON:API and OAuth, and in `{errors: [...]}` of many frameworks. Everything else that a schema requires is generated.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from spec.sampling.merged_schema import MergedSchema
from spec.sampling.schema_samples import CannotGenerate, SchemaSampler
from spec.validators import SchemaValidators

MAX_DEPTH = 4
MAX_ITEMS = 20
UNKNOWN_TITLE = "Error"
# Names without case, hyphens and underscores.
_MESSAGE_NAMES = frozenset(
    {"message", "msg", "detail", "details", "description", "errormessage", "errordescription", "errormsg"}
    | {"usermessage", "developermessage", "reason", "text", "summary", "cause"}
)
_STATUS_NAMES = frozenset({"status", "code", "statuscode", "httpstatus", "httpcode", "errorcode", "httpstatuscode"})
_FIELD_NAMES = frozenset(
    {"field", "path", "pointer", "name", "param", "parameter", "property", "location", "fieldname", "propertypath"}
    | {"loc", "attribute", "key", "source", "target"}
)
_KIND_NAMES = _STATUS_NAMES | {"type", "error", "title", "kind"}
# Words of the members of an `enum` that name the cause of a status, without case and signs; the best one first.
_CAUSE_WORDS: Mapping[int, tuple[str, ...]] = {
    HTTPStatus.BAD_REQUEST: ("badrequest", "validation", "invalid"),
    HTTPStatus.UNAUTHORIZED: ("unauthorized", "unauthenticated", "authentication", "invalidtoken"),
    HTTPStatus.FORBIDDEN: ("forbidden", "permission", "denied"),
    HTTPStatus.NOT_FOUND: ("notfound", "missing", "unknown"),
    HTTPStatus.CONFLICT: ("conflict", "exists"),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("unprocessable", "validation", "invalid", "badrequest"),
    HTTPStatus.TOO_MANY_REQUESTS: ("toomanyrequests", "ratelimit", "throttl"),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("internal", "servererror", "unexpected"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "overload"),
}
_LIST_NAMES = frozenset(
    {"errors", "details", "violations", "issues", "invalidparams", "fielderrors", "validationerrors", "messages"}
    | {"detail", "causes", "error"}
)


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What is known about an error. `errors`: field -> messages. `field`: of an entry in a list of errors."""

    status: int
    message: str
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    field: str = ""

    @property
    def title(self) -> str:
        """The phrase of the status (``Not Found``)."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return UNKNOWN_TITLE

    @property
    def code(self) -> str:
        """The phrase of the status as a name (``not_found``)."""
        return self.title.lower().replace(" ", "_").replace("-", "_").replace("'", "")

    def iter_entries(self) -> Iterator["ErrorDetails"]:
        """Yield one error for each message of a field; the error itself without fields."""
        pairs = [(name, message) for name, messages in self.errors.items() for message in messages]
        for name, message in pairs[:MAX_ITEMS]:
            yield replace(self, errors={}, field=name, message=message)
        if not pairs:
            yield self


@dataclass(frozen=True, slots=True)
class ErrorBodyBuilder:
    """Creates the values of error schemas."""

    schemas: SchemaValidators

    def build(self, pointer: str, details: ErrorDetails) -> Any:
        """Return a valid value of the schema at `pointer`. Raises CannotGenerate."""
        base = SchemaSampler(self.schemas).sample(pointer, "error", only_required=True)
        validator = self.schemas.get(pointer, "read")
        filled = self.fill([self.schemas.document.resolve(pointer)], details, base, 0)
        if validator.is_valid(filled):
            return filled
        if isinstance(base, dict) and isinstance(filled, dict):
            for name, value in filled.items():
                candidate = base | {name: value}
                base = candidate if validator.is_valid(candidate) else base
        return base

    def fill(self, schemas: Sequence[Any], details: ErrorDetails, base: Any, depth: int) -> Any:
        """Return `base` with what is known about the error; unchanged if the schema has no place for it."""
        merged = MergedSchema.from_schemas(self.schemas.document, schemas)
        while merged.choices:
            choice = merged.choices[0]
            fitting = [option for option in choice.options if base is None or self.schemas.is_valid(option, base)]
            merged = merged.with_option(choice, (fitting or choice.options)[0])
        if isinstance(base, dict):
            return self.fill_object(merged, details, base, depth)
        if isinstance(base, list) and depth < MAX_DEPTH:
            return self.create_list(merged, details, depth) or base
        return details.message if isinstance(base, str) else base

    def fill_object(
        self, merged: MergedSchema, details: ErrorDetails, base: Mapping[str, Any], depth: int
    ) -> dict[str, Any]:
        value = dict(base)
        names = {_normalize(name) for name in merged.properties}
        for name, nodes in merged.properties.items():
            for candidate in self.iter_candidates(name, nodes, names, details, value.get(name), depth):
                if self.schemas.is_valid({"allOf": [*nodes]}, candidate):
                    value[name] = candidate
                    break
        return value

    def iter_candidates(
        self, name: str, schemas: Sequence[Any], siblings: set[str], details: ErrorDetails, base: Any, depth: int
    ) -> Iterator[Any]:
        """Yield the values that a property may have, the best one first."""
        merged = MergedSchema.from_schemas(self.schemas.document, schemas)
        members = list(_iter_enum_texts(merged))
        while merged.choices:
            merged = merged.with_option(merged.choices[0], merged.choices[0].options[0])
        types = merged.types or frozenset({"object"} if merged.properties else ())
        normalized = _normalize(name)
        if members:
            yield from _select_members(normalized, members, details, base)
        elif "string" in types:
            yield from _iter_texts(normalized, siblings, details, merged.upper.get("maxLength"))
        if types & {"integer", "number"} and normalized in _STATUS_NAMES:
            yield details.status
        if "boolean" in types and normalized in ("success", "ok", "error"):
            yield normalized == "error"
        if "array" in types and normalized in _LIST_NAMES | _FIELD_NAMES and depth < MAX_DEPTH:
            is_only_message = siblings.isdisjoint(_MESSAGE_NAMES | {"error"})
            yield self.create_list(merged, details, depth + 1, is_only_message=is_only_message)
        if "object" in types and depth < MAX_DEPTH:
            yield from self.iter_objects(normalized, merged, schemas, details, base, depth)

    def iter_objects(
        self,
        name: str,
        merged: MergedSchema,
        schemas: Sequence[Any],
        details: ErrorDetails,
        base: Any,
        depth: int,
    ) -> Iterator[Any]:
        if not merged.properties:
            if name in _LIST_NAMES and details.errors:
                yield {field_name: [*messages] for field_name, messages in details.errors.items()}
                yield {field_name: messages[0] for field_name, messages in details.errors.items()}
            return
        if isinstance(base, dict) or name in ("error", "source", "fault"):
            yield self.fill(schemas, details, base if isinstance(base, dict) else {}, depth + 1)

    def create_list(
        self, merged: MergedSchema, details: ErrorDetails, depth: int, *, is_only_message: bool = False
    ) -> list[Any]:
        """Return the entries of a list of errors, or the path of a field as a list.

        `is_only_message`: whether no property next to the list has the message.
        """
        items = merged.collected.get("items") or [{}]
        item = MergedSchema.from_schemas(self.schemas.document, items)
        if item.types is not None and "object" not in item.types:
            return [
                details.field or entry.message for entry in ([details] if details.field else details.iter_entries())
            ]
        entries: list[Any] = []
        has_entries = bool(details.errors) or depth == 0 or is_only_message or "minItems" in merged.lower
        for entry in details.iter_entries() if has_entries else ():
            with suppress(CannotGenerate):
                base = SchemaSampler(self.schemas).sample_schema({"allOf": items}, "error", only_required=True)
                entries.append(self.fill(items, entry, base, depth + 1))
        highest = merged.upper.get("maxItems", MAX_ITEMS)
        return entries[:highest]


def _normalize(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _iter_enum_texts(merged: MergedSchema) -> Iterator[str]:
    """Yield the texts that the `enum` of a schema, or of one of its options, has."""
    yield from (value for value in merged.values or () if isinstance(value, str))
    for choice in merged.choices:
        for option in choice.options:
            yield from _iter_enum_texts(merged.with_option(choice, option))


def _select_members(name: str, members: Sequence[str], details: ErrorDetails, base: Any) -> Iterator[str]:
    """Yield the member of an `enum` that names the status; another one only if `base` has none of them."""
    if name in _FIELD_NAMES and details.field in members:
        yield details.field
    if name in _KIND_NAMES:
        title = () if details.title == UNKNOWN_TITLE else (_remove_signs(details.title),)
        words = (*title, *_CAUSE_WORDS.get(details.status, ()), str(details.status))
        yield from (member for word in words for member in members if word in _remove_signs(member))
        if isinstance(base, str) and base not in members:
            yield members[0]


def _remove_signs(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def _escape_pointer(field_path: str) -> str:
    """``lines.0.name`` -> ``lines/0/name``."""
    return field_path.replace("~", "~0").replace("/", "~1").replace(".", "/")


def _iter_texts(name: str, siblings: set[str], details: ErrorDetails, max_length: int | None) -> Iterator[str]:
    """Yield the texts that a property may have."""
    message = details.message if max_length is None else details.message[:max_length]
    has_message = not siblings.isdisjoint(_MESSAGE_NAMES - {"code"})
    if name in _FIELD_NAMES and details.field:
        if name == "pointer":  # a JSON Pointer; as a URI fragment in problem details, where a message is next to it
            yield f"{'#' if has_message else ''}/{_escape_pointer(details.field)}"
        yield details.field
        yield "/" + details.field.replace(".", "/")
    elif name in _MESSAGE_NAMES:
        yield message
    elif name == "title":
        yield details.title
    elif name == "error":
        yield from (details.code, message) if has_message else (message, details.code)
    elif name == "type":
        yield "about:blank"
    elif name in _STATUS_NAMES:
        texts = (details.code, details.code.upper(), str(details.status))
        is_http_status = "status" in name and "code" not in siblings
        yield from reversed(texts) if is_http_status else texts
