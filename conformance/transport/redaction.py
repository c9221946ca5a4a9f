"""Removes secrets from exchanges, for reports."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from conformance.transport.credentials import PrintedCredentials
from conformance.transport.messages import Exchange, Request
from conformance.transport.request_ids import find_server_ids
from spec.redaction import MAX_BODY_CHARS, REDACTED, SecretRedactor, sort_longest_first

_MARKER = re.compile("conformance-[0-9a-f]{8}")  # of a run: in all texts that it generates


@dataclass(frozen=True, slots=True)
class Redactor(SecretRedactor):
    """Redacts text, JSON and exchanges."""

    def with_values_from(self, exchanges: Iterable[Exchange]) -> "Redactor":
        """The same redactor, extended by the values of hidden names in some exchanges.

        Values with the marker of a run are no secrets; the start of one is in many other texts of the run.
        """
        found = set[str]()
        for exchange in exchanges:
            found |= set(self.iter_hidden_values(exchange.request.body))
            if _may_contain(exchange.response.content, self.names):
                found |= set(self.iter_hidden_values(exchange.response.json))
        secrets = {value for value in found if not _MARKER.search(value)}
        return replace(self, secrets=sort_longest_first({*self.secrets, *secrets}))

    def format_curl(
        self, exchange: Exchange, base: str, credentials: PrintedCredentials, variables: Mapping[str, str] | None = None
    ) -> str:
        """The request as a curl command; see `Exchange.curl`. A comment if it is too long to be printed."""
        request = replace(self._redact_request(exchange.request), actor=exchange.request.token_actor)
        options, query = credentials.list_options(request), credentials.build_query(request)
        command = replace(exchange, request=request).curl(base, options, query, variables)
        if len(command) > MAX_BODY_CHARS:
            return f"# the curl command has {len(command)} characters and is not printed: replay repeats the request"
        return self.redact_line(command, MAX_BODY_CHARS)

    def _redact_request(self, request: Request) -> Request:
        return replace(
            request,
            body=self._redact_json_body(request.body),
            raw_body=None if request.raw_body is None else self._redact_raw_body(request.raw_body),
            headers=self.redact_headers(request.headers),
            path_values={name: self.redact_value(value) for name, value in request.path_values.items()},
            query=tuple((n, REDACTED if self.is_hidden(n) else self.remove_secrets(v)) for n, v in request.query),
        )

    def _redact_json_body(self, body: Any) -> Any:
        """Return the body itself unless it contains a secret; a command prints it as ASCII."""
        redacted = self.redact_value(body)
        has_secret = self.redact_secrets(body) != body or REDACTED in json.dumps(redacted)
        return redacted if has_secret else body

    def _redact_raw_body(self, content: bytes) -> bytes:
        """Return the bytes themselves unless they contain a secret. Longer ones are not printed."""
        text = self.redact_body(content)
        return text.encode() if REDACTED in text else content

    def describe_ids(self, exchange: Exchange) -> dict[str, Any] | None:
        """The ids by which a request can be found in logs, and those that the target returned."""
        ids = exchange.response.ids
        if ids is None:
            return None
        server_ids = find_server_ids(ids, exchange.response.headers)
        return asdict(ids) | {"server_ids": self.redact_headers(server_ids)}

    def format_ids(self, exchange: Exchange) -> str:
        """The same in one line; "" if the request was not sent over HTTP."""
        ids = self.describe_ids(exchange)
        if ids is None:
            return ""
        server_ids = "".join(f", server's {name} {value}" for name, value in ids["server_ids"].items())
        return f"{ids['sent_at']} request id {ids['request_id']}, traceparent {ids['traceparent']}{server_ids}"

    def describe_request(self, request: Request) -> dict[str, Any]:
        content = None if request.body is None else json.dumps(request.body).encode()
        content = content if request.raw_body is None else request.raw_body
        return {
            "operation": request.operation,
            "method": request.method.upper(),
            "target": self.redact_line(self._redact_request(request).target, MAX_BODY_CHARS),
            "as": request.actor,
            "headers": self.redact_headers(request.headers),
            "body": None if content is None else self.redact_body(content),
        }


def _may_contain(content: bytes, names: Iterable[str]) -> bool:
    """Whether a body may contain one of the names, without parsing it."""
    lowered = content.lower()
    return b"\\u" in lowered or not lowered.isascii() or any(f'"{name}"'.encode() in lowered for name in names)
