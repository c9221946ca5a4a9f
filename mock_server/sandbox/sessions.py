"""Session ids and their CSRF tokens. Both are derived, so that a sandbox only stores tokens."""

import hashlib

_SESSION_PREFIX = "session-"
_SECRET_CHARS = 40


def derive_session(token: str) -> str:
    """Return the id of the session that starts with the issue of a token."""
    return _SESSION_PREFIX + _hash(f"session/{token}")


def derive_csrf_token(session: str) -> str:
    """Return the CSRF token of a session."""
    return _hash(f"csrf/{session}")


def is_session(credential: str) -> bool:
    """Return whether a credential is the id of a session; otherwise it is a token."""
    return credential.startswith(_SESSION_PREFIX)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SECRET_CHARS]
