"""Describes why the credentials of a request are rejected: for the request log, explanations and the journal.

No description contains a credential.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.sandbox import Sandbox
from mock_server.sandbox.sessions import is_session
from mock_server.web.context import RequestContext
from mock_server.web.parameters import encode_header_name

_AUTHORIZATION = b"authorization"
_EXPECTED = "expected Authorization: Bearer TOKEN"
# Only a known scheme is named: a header without a scheme starts with the credential itself.
_KNOWN_SCHEME = re.compile("apikey|basic|digest|dpop|hawk|jwt|negotiate|ntlm|oauth|token", re.IGNORECASE)


def describe_rejected_credentials(context: RequestContext, schemes: Sequence[Mapping[str, Any]]) -> str:
    """Return why no credential of a request is valid. `schemes`: of the operation, in the form of Connexion."""
    problems = list(_iter_key_problems(context, schemes))
    authorization = context.get_header(_AUTHORIZATION)
    if authorization or not problems:
        problems.append(_describe_authorization(context, authorization))
    return "; ".join(problems)


def _iter_key_problems(context: RequestContext, schemes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield why the sent cookies and API keys are not valid, in the order of the contract."""
    for scheme in schemes:
        if scheme["type"] == "apiKey" and (credential := _get_key(context, scheme)):
            yield f"{scheme['name']}: {_describe_credential(context, credential, scheme['in'] == 'cookie')}"


def _get_key(context: RequestContext, scheme: Mapping[str, Any]) -> str | None:
    name, location = scheme["name"], scheme["in"]
    if location == "cookie":
        return context.get_cookie(name)
    if location == "header":
        return context.get_header(encode_header_name(name))
    return dict(parse_qsl(context.raw_query.decode("latin-1"))).get(name)


def _describe_authorization(context: RequestContext, authorization: str) -> str:
    """Return why the header Authorization does not authenticate a request."""
    scheme, _, token = authorization.partition(" ")
    if not authorization:
        return f"no token ({_EXPECTED})"
    if scheme.lower() != "bearer":
        name = scheme if token and _KNOWN_SCHEME.fullmatch(scheme) else "missing or unknown"
        return f"Authorization: wrong scheme: {name} (expected Bearer TOKEN)"
    if not token.strip():
        return "Authorization: no token after Bearer (expected Bearer TOKEN)"
    return _describe_credential(context, token.strip(), False)


def _describe_credential(context: RequestContext, credential: str, expects_session: bool) -> str:
    """Return why a token or a session is not valid."""
    sandbox, noun = context.sandbox, "session" if expects_session else "token"
    builtin_token = sandbox.find_builtin_token(credential)
    if builtin_token is not None and not expects_session:
        is_always_invalid = builtin_token.account_index is None
        return "the built-in token is always rejected" if is_always_invalid else "the user of the token does not exist"
    if is_session(credential) and not expects_session:
        return "the token is the id of a session (expected a token)"
    expires_at = sandbox.find_token_expiry(credential)
    if expires_at is not None:
        return _describe_issued(noun, expires_at, context.now)
    if _is_of_default_sandbox(sandbox, credential):
        return f"the {noun} belongs to the sandbox default (the request selects the sandbox {sandbox.name})"
    return f"the {noun} is unknown in the sandbox {sandbox.name} (not issued, or revoked)"


def _describe_issued(noun: str, expires_at: datetime, now: datetime) -> str:
    if expires_at <= now:
        return f"the {noun} expired at {format_timestamp(expires_at)} (time of the sandbox: {format_timestamp(now)})"
    return f"the user of the {noun} does not exist"


def _is_of_default_sandbox(sandbox: Sandbox, credential: str) -> bool:
    """Whether the default sandbox issued a credential. Credentials of others contain their name, which selects them."""
    default = sandbox.owner.default if sandbox.owner else sandbox
    return default is not sandbox and default.find_token_expiry(credential) is not None
