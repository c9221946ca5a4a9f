"""A small sound server, and its contract: notes whose update requires a title and a folder.

It validates a body before it looks the record up, as many frameworks do. `intercept` replaces responses.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract
from spec.validators import SchemaValidators

TOKENS = frozenset({"demo-token", "other-token"})
NOTE_INPUT, NOTE_UPDATE = "#/components/schemas/NoteInput", "#/components/schemas/NoteUpdate"
CONTRACT = """
openapi: 3.0.3
info: {title: Notes, version: 1.0.0, x-source: documented}
servers: [{url: https://localhost/api}]
security: [{bearer: []}]
paths:
  /notes:
    get:
      operationId: listNotes
      parameters:
        - {name: page, in: query, schema: {type: integer, minimum: 1, maximum: 100000, default: 1}, x-query: page}
        - {name: per_page, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 20}, x-query: size}
      responses:
        "200":
          description: A page
          content:
            application/json:
              schema:
                type: object
                required: [data, meta]
                properties:
                  data: {type: array, items: {$ref: "#/components/schemas/Note"}}
                  meta:
                    type: object
                    required: [total]
                    properties: {total: {type: integer, x-page: total}}
        "401": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Invalid"}
    post:
      operationId: createNote
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/NoteInput"}}}}
      responses:
        "201": {$ref: "#/components/responses/Note"}
        "401": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Invalid"}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer, minimum: 1}}]
    get:
      operationId: retrieveNote
      responses:
        "200": {$ref: "#/components/responses/Note"}
        "401": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
    put:
      operationId: updateNote
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/NoteUpdate"}}}}
      responses:
        "200": {$ref: "#/components/responses/Note"}
        "401": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Invalid"}
    delete:
      operationId: deleteNote
      responses:
        "204": {description: Deleted}
        "401": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  responses:
    Note:
      description: A note
      content:
        application/json:
          schema: {type: object, required: [data], properties: {data: {$ref: "#/components/schemas/Note"}}}
    Error:
      description: An error
      content:
        application/json: {schema: {type: object, required: [message], properties: {message: {type: string}}}}
    Invalid:
      description: A validation error
      content:
        application/json:
          schema:
            type: object
            required: [message, errors]
            properties:
              message: {type: string}
              errors: {type: object, additionalProperties: {type: array, items: {type: string}}}
  schemas:
    Folder: {type: string, enum: [inbox, work, home]}
    Note:
      type: object
      x-resource: {collection: notes, key: id}
      required: [id, title, folder, text]
      properties:
        id: {type: integer, minimum: 1, readOnly: true, x-stamp: number}
        title: {type: string, minLength: 1, maxLength: 80}
        folder: {$ref: "#/components/schemas/Folder"}
        text: {type: string, maxLength: 200, default: ""}
    NoteInput:
      type: object
      required: [title, folder]
      properties:
        title: {type: string, minLength: 1, maxLength: 80}
        folder: {$ref: "#/components/schemas/Folder"}
        text: {type: string, maxLength: 200}
    NoteUpdate:
      type: object
      required: [title, folder]  # of an update
      properties:
        title: {type: string, minLength: 1, maxLength: 80}
        folder: {$ref: "#/components/schemas/Folder"}
        text: {type: string, maxLength: 200}
"""
LABELS = """paths:
  /labels:
    get:
      operationId: listLabels
      responses:
        "200":
          description: The labels
          content: {application/json: {schema: {type: object, properties: {data: {type: array, items: {}}}}}}
        "401": {$ref: "#/components/responses/Error"}
"""
Answer = tuple[int, str, bytes] | tuple[int, str, bytes, dict[str, str]]
Intercept = Callable[[str, str, str], Answer | None]


def load_contract(text: str = CONTRACT) -> Contract:
    return parse_contract(parse_document(text.encode(), "notes.yaml"))


def json_answer(status: int, body: Any) -> Answer:
    return status, "application/json", json.dumps(body).encode()


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Habits:
    """What sound servers do differently.

    `invalid_status`: of an invalid request. `reuses_keys`: a new note gets the key of the last deleted one, as SQLite
    does. `has_unique_titles`: a second note with a title is invalid. `returns_key_only`: a create returns a list with
    the key. `has_empty_updates`: an update returns 204. `counts_seconds`: a property of each note changes with time.
    """

    invalid_status: int = 422
    reuses_keys: bool = False
    has_unique_titles: bool = False
    returns_key_only: bool = False
    has_empty_updates: bool = False
    counts_seconds: bool = False


@dataclass(slots=True)
class NotesServer:
    """The server, an ASGI application.

    `intercept`: called with method, path and token of each request; its result, if any, is the response.
    `request_log`: method, path and status of each request. `update_bodies`: those of all updates. `habits`: what else
    the server does, see `Habits`.
    """

    contract: Contract = field(default_factory=load_contract)
    intercept: Intercept = lambda method, path, token: None
    notes: dict[int, dict[str, Any]] = field(default_factory=dict)
    request_log: list[tuple[str, str, int]] = field(default_factory=list)
    update_bodies: list[bytes] = field(default_factory=list)
    habits: Habits = field(default_factory=Habits)
    _last_key: int = 0
    _schemas: SchemaValidators = field(init=False)

    def __post_init__(self) -> None:
        self._schemas = SchemaValidators.from_document(self.contract.document)
        for _ in range(3):
            self._create({"title": f"Note {len(self.notes) + 1}", "folder": "inbox"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        token = headers.get("authorization", "").removeprefix("Bearer ")
        path = scope["path"].removeprefix("/api")
        answer = self.intercept(scope["method"], path, token) or self._answer(scope, path, token, body)
        status, media_type, content, *more = answer
        if scope["method"] in ("PUT", "PATCH"):
            self.update_bodies.append(body)
        self.request_log.append((scope["method"], path, status))
        extra = [(n.encode(), v.encode()) for headers_ in more for n, v in headers_.items()]
        response_headers = [(b"content-length", str(len(content)).encode()), *extra]
        if content:
            response_headers.append((b"content-type", media_type.encode()))
        await send({"type": "http.response.start", "status": status, "headers": response_headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})

    def _answer(self, scope: Scope, path: str, token: str, body: bytes) -> Answer:
        is_bulk = path == "/notes/bulk"
        _, collection, *keys = path.rstrip("/").split("/")
        if collection != "notes" or len(keys) > 1:
            return json_answer(404, {"message": "No such path."})
        update = next(o.method for o in self.contract.operations.values() if o.action == "update").upper()
        methods = ("POST",) if is_bulk else ("GET", update, "DELETE") if keys else ("GET", "POST")
        if scope["method"] not in methods:
            return (*json_answer(405, {"message": "No such method."})[:3], {"allow": ", ".join(methods)})
        if token not in TOKENS:
            return (*json_answer(401, {"message": "Unauthenticated."})[:3], {"www-authenticate": "Bearer"})
        if scope["method"] in ("POST", update):
            return self._answer_write(keys, _parse(body))
        return self._answer_record(scope["method"], keys[0], None) if keys else self._list(scope)

    def _answer_write(self, keys: list[str], sent: Any) -> Answer:
        if keys == ["bulk"]:
            return self._create_several(sent)
        errors = self._find_errors(NOTE_UPDATE if keys else NOTE_INPUT, sent) or self._find_title_errors(sent, keys)
        if errors:
            return self._reject(errors)
        if keys:
            return self._answer_record("PUT", keys[0], sent)
        note = self._create(sent)
        return json_answer(201, [{"id": note["id"]}] if self.habits.returns_key_only else {"data": self._show(note)})

    def _find_title_errors(self, sent: dict[str, Any], keys: list[str]) -> dict[str, list[str]]:
        others = (note["title"] for note in self.notes.values() if [str(note["id"])] != keys)
        is_taken = self.habits.has_unique_titles and sent.get("title") in others
        return {"title": ["has already been taken"]} if is_taken else {}

    def _show(self, note: dict[str, Any]) -> dict[str, Any]:
        return {**note, "age": time.monotonic_ns()} if self.habits.counts_seconds else note

    def _create_several(self, sent: Any) -> Answer:
        if not isinstance(sent, list):
            return self._reject({"body": ["must be a list"]})
        errors = next(filter(None, (self._find_errors(NOTE_INPUT, item) for item in sent)), {})
        return self._reject(errors) if errors else json_answer(201, [self._create(item) for item in sent])

    def _reject(self, errors: dict[str, list[str]]) -> Answer:
        return json_answer(self.habits.invalid_status, {"message": "Invalid.", "errors": errors})

    def _answer_record(self, method: str, key: str, sent: Any) -> Answer:
        note = self.notes.get(int(key)) if key.isascii() and key.isdigit() else None
        if note is None:
            return json_answer(404, {"message": "No such note."})
        if method == "DELETE":
            del self.notes[note["id"]]
            return 204, "", b""
        note.update({name: value for name, value in (sent or {}).items() if name in ("title", "folder", "text")})
        if sent is not None and self.habits.has_empty_updates:
            return 204, "", b""
        return json_answer(200, {"data": self._show(note)})

    def _find_errors(self, pointer: str, sent: Any) -> dict[str, list[str]]:
        if not isinstance(sent, dict):
            return {"body": ["must be an object"]}
        errors: dict[str, list[str]] = {}
        for violation in self._schemas.get(pointer, "write").iter_errors(sent):
            missing = getattr(violation.kind, "property", "body")
            name = violation.instance_path[0] if violation.instance_path else missing
            errors.setdefault(str(name), []).append(violation.message)
        return errors

    def _create(self, sent: dict[str, Any]) -> dict[str, Any]:
        self._last_key = 1 + (max(self.notes, default=0) if self.habits.reuses_keys else self._last_key)
        values = {name: value for name, value in sent.items() if name in ("title", "folder", "text")}
        self.notes[self._last_key] = {"id": self._last_key, "text": "", **values}
        return self.notes[self._last_key]

    def _list(self, scope: Scope) -> Answer:
        query = parse_qs(scope["query_string"].decode())
        numbers = {}
        for name, default, maximum in (("page", "1", 100_000), ("per_page", "20", 100)):
            text = query.get(name, [default])[0]
            if not (text.isascii() and text.isdigit() and 1 <= int(text) <= maximum):
                return self._reject({name: ["is invalid"]})
            numbers[name] = int(text)
        rows = sorted(self.notes.values(), key=lambda note: -note["id"])
        start = (numbers["page"] - 1) * numbers["per_page"]
        page = [self._show(note) for note in rows[start : start + numbers["per_page"]]]
        return json_answer(200, {"data": page, "meta": {"total": len(rows)}})
