"""Credentials of contracts without accounts: any well-formed one is accepted, or those of a file (`--tokens`)."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connexion.lifecycle import ConnexionRequest

from mock_server.web.context import get_context

MAX_FILE_BYTES = 1024 * 1024
# Without a file, credentials that start with these are rejected, so that a client can be tested with one.
REJECTED_PREFIXES = ("expired", "invalid")
# RFC 9110, 11.4: a token, or parameters.
_HTTP_CREDENTIAL = re.compile(r"[A-Za-z0-9\-._~+/]+=*|[!#$%&'*+\-.^_`|~\w]+ *=.+", re.ASCII)


class TokenFileError(Exception):
    """The file of --tokens cannot be used."""


def read_tokens(path: Path) -> frozenset[str]:
    """Return the credentials of a file, one on each line. Raises TokenFileError.

    The credential of a login is ``user:password``. Blank lines and those that start with ``#`` are skipped.
    """
    try:
        content = path.read_bytes()
        if len(content) > MAX_FILE_BYTES:
            raise TokenFileError(f"{path}: {len(content)} bytes (expected at most {MAX_FILE_BYTES})")
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror or 'unreadable file'} (expected a text file)") from None
    except UnicodeDecodeError as error:
        raise TokenFileError(f"{path}: byte {error.start + 1} is not UTF-8 (expected a text file)") from None
    tokens = frozenset(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise TokenFileError(f"{path}: no token (expected one on each line)")
    return tokens


@dataclass(frozen=True, slots=True)
class AcceptedCredentials:
    """Verifies credentials without accounts. `tokens`: those that are accepted; None: all but `REJECTED_PREFIXES`."""

    tokens: frozenset[str] | None = None

    def verify(self, token: str, request: ConnexionRequest) -> dict[str, Any] | None:
        """Return the information of an accepted credential; None for others."""
        context, token = get_context(request.scope), token.strip()
        is_accepted = token in self.tokens if self.tokens is not None else self._is_plausible(token)
        context.has_invalid_credential |= bool(token) and not is_accepted
        return {"sub": token, "viewer": None, "token": token} if is_accepted else None

    def verify_http(self, credential: str, request: ConnexionRequest) -> dict[str, Any] | None:
        """Verify a credential of the header Authorization: a token, or parameters."""
        is_malformed = self.tokens is None and _HTTP_CREDENTIAL.fullmatch(credential.strip()) is None
        return None if is_malformed else self.verify(credential, request)

    @staticmethod
    def _is_plausible(token: str) -> bool:
        return bool(token) and not token.lower().startswith(REJECTED_PREFIXES)

    def verify_login(self, user: str, password: str, request: ConnexionRequest) -> dict[str, Any] | None:
        """Return the information of an accepted login; None for others."""
        return self.verify(f"{user}:{password}", request)
