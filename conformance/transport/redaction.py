"""Removes secrets from exchanges, for reports."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from conformance.transport.messages import Exchange, Request
from spec.redaction import MAX_BODY_CHARS, REDACTED, SecretRedactor, sort_longest_first


@dataclass(frozen=True, slots=True)
class Redactor(SecretRedactor):
    """Redacts text, JSON and exchanges."""

    def with_values_from(self, exchanges: Iterable[Exchange]) -> "Redactor":
        """The same redactor, extended by the values of hidden names in some exchanges."""
        secrets = set(self.secrets)
        for exchange in exchanges:
            secrets |= set(self.iter_hidden_values(exchange.request.body))
            if _may_contain(exchange.response.content, self.names):
                secrets |= set(self.iter_hidden_values(exchange.response.json))
        return replace(self, secrets=sort_longest_first(secrets))

    def format_curl(self, exchange: Exchange, base: str, token_env: str, other_env: str) -> str:
        """The request as a curl command; tokens are names of environment variables."""
        request = replace(self._redact_request(exchange.request), actor=exchange.request.token_actor)
        return self.redact_line(replace(exchange, request=request).curl(base, token_env, other_env), MAX_BODY_CHARS)

    def _redact_request(self, request: Request) -> Request:
        return replace(
            request,
            body=self.redact_value(request.body),
            raw_body=None if request.raw_body is None else self.redact_body(request.raw_body).encode(),
            headers=self.redact_headers(request.headers),
            path_values={name: self.redact_value(value) for name, value in request.path_values.items()},
            query=tuple((n, REDACTED if self.is_hidden(n) else self.remove_secrets(v)) for n, v in request.query),
        )

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
