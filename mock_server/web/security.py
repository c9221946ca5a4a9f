"""Authentication: Connexion's security handling, with a fast path for valid bearer tokens.

The alternatives of an operation are tried in the order of the contract. If a credential is missing or invalid, the next
one is tried. A session does not authenticate an unsafe request without its CSRF token. The fast path serves requests
with a bearer token and no credential of an earlier alternative. All other requests are verified by Connexion, whose
exception is converted to an `ApiError`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hmac import compare_digest
from typing import Any

from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest
from connexion.middleware.security import SecurityAPI, SecurityMiddleware, SecurityOperation
from connexion.security import ApiKeySecurityHandler, BasicSecurityHandler, BearerSecurityHandler
from starlette.types import Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.query import Viewer
from mock_server.sandbox.sessions import derive_csrf_token
from mock_server.web.context import COOKIE, RequestContext, get_context
from mock_server.web.credentials.accepted import AcceptedCredentials
from mock_server.web.credentials.rejections import describe_rejected_credentials
from mock_server.web.credentials.schemes import (
    HttpCredentialHandler,
    build_challenge,
    describe_alternatives,
    list_http_schemes,
)
from mock_server.web.parameters import encode_header_name
from spec.document import UNSAFE_METHODS
from spec.model import Contract, SessionCookie

_AUTHORIZATION = b"authorization"
_BEARER_PREFIX = b"Bearer "
CHALLENGE = {"WWW-Authenticate": "Bearer"}


def build_security_map(contract: Contract, tokens: frozenset[str] | None = None) -> dict[str, Any]:
    """Return Connexion's map from scheme type to handler.

    `tokens`: the credentials that are accepted if the contract has no accounts; None: see `AcceptedCredentials`.
    """
    accepted = AcceptedCredentials(tokens)
    verify_bearer: Callable[..., Any] = accepted.verify_http
    verify_key: Callable[..., Any] = accepted.verify
    verify_session: Callable[..., Any] = accepted.verify
    verify_login: Callable[..., Any] = accepted.verify_login
    if contract.account_resource is not None:
        verify_bearer, verify_key, verify_login = _verify_token, _verify_token, _verify_login
        verify_session = partial(_verify_session, contract.session_cookie)

    def find_verify_function(scheme: Any) -> Callable[..., Any]:
        if scheme["type"] == "http" and scheme["scheme"] == "basic":
            return verify_login
        if scheme["type"] == "http":
            return verify_bearer if scheme["scheme"] == "bearer" else accepted.verify_http
        return verify_session if scheme.get("in") == "cookie" else verify_key

    handlers = {"bearer": BearerSecurityHandler, "basic": BasicSecurityHandler, "apiKey": ApiKeySecurityHandler}
    handlers |= {name: HttpCredentialHandler for name in list_http_schemes(contract) if name not in handlers}
    return {
        name: partial(_create_handler, handler_class, find_verify_function) for name, handler_class in handlers.items()
    }


# Connexion tries the next alternative if a function returns None.
def _verify_token(token: str, request: ConnexionRequest) -> dict[str, Any] | None:
    context, token = get_context(request.scope), token.strip()
    viewer = context.sandbox.resolve_token(token, context.now)
    context.has_invalid_credential |= viewer is None and bool(token)
    return _build_token_info(viewer, token)


def _verify_session(cookie: SessionCookie | None, session: str, request: ConnexionRequest) -> dict[str, Any] | None:
    context = get_context(request.scope)
    viewer = context.sandbox.resolve_session(session, context.now)
    if viewer is not None and cookie is not None and cookie.csrf_header and context.method.lower() in UNSAFE_METHODS:
        sent_token = context.get_header(encode_header_name(cookie.csrf_header))
        if not compare_digest(sent_token.encode(), derive_csrf_token(session).encode()):
            context.has_csrf_mismatch = True
            return None
    context.has_invalid_credential |= viewer is None
    return _build_token_info(viewer, session)


def _verify_login(login: str, secret: str, request: ConnexionRequest) -> dict[str, Any] | None:
    context = get_context(request.scope)
    viewer = context.sandbox.resolve_login(login, secret)
    context.has_invalid_credential |= viewer is None
    return _build_token_info(viewer, "")


def _build_token_info(viewer: Viewer | None, token: str) -> dict[str, Any] | None:
    return None if viewer is None else {"sub": viewer.user_key, "viewer": viewer, "token": token}


def _create_handler(handler_class: type[Any], find_verify_function: Callable[[Any], Callable[..., Any]]) -> Any:
    """Return a handler of Connexion that calls the given function, not one that the contract names."""
    handler = handler_class()
    handler._resolve_func = find_verify_function
    return handler


def iter_credential_headers(contract: Contract) -> Iterator[bytes]:
    """Yield the headers that contain tokens."""
    yield _AUTHORIZATION
    for scheme in contract.security_schemes.values():
        if (scheme["type"], scheme.get("in")) == ("apiKey", "header"):
            yield encode_header_name(scheme["name"])


def iter_session_headers(contract: Contract) -> Iterator[bytes]:
    """Yield the headers that contain the session cookie and the CSRF token."""
    cookie = contract.session_cookie
    if cookie is not None:
        yield COOKIE
        if cookie.csrf_header:
            yield encode_header_name(cookie.csrf_header)


class OperationSecurity(SecurityOperation):  # type: ignore[misc]
    """The security requirements of one operation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.earlier_headers = _list_headers_before_bearer(self.security or (), self.security_schemes)
        cookie_schemes = [s for s in self.security_schemes.values() if s.get("in") == "cookie"]
        self.session_scheme: Mapping[str, Any] = next(iter(cookie_schemes), {})
        self.cookie_names = tuple(scheme["name"] for scheme in cookie_schemes)
        used_schemes = [self.security_schemes[name] for names in self.security or () for name in names]
        self.used_schemes = used_schemes
        self.challenge = {"WWW-Authenticate": build_challenge(used_schemes)}
        self.expected = describe_alternatives(self.security or (), self.security_schemes)
        self.has_bearer = any(scheme.get("scheme") == "bearer" for scheme in used_schemes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.security:
            context = get_context(scope)
            has_fast_path = self.earlier_headers is not None and self.earlier_headers.isdisjoint(context.headers)
            if not (has_fast_path and self.try_bearer(context)):
                await self.verify_with_connexion(scope, context)
        await self.next_app(scope, receive, send)

    def try_bearer(self, context: RequestContext) -> bool:
        """Fast path: authenticate a valid bearer token. Returns True if authenticated."""
        authorization = context.headers.get(_AUTHORIZATION)
        if authorization is None or authorization[:7] != _BEARER_PREFIX:
            return False
        token = authorization[7:].decode("latin-1").strip()
        viewer = context.sandbox.resolve_token(token, context.now) if token else None
        if viewer is None:
            return False
        context.viewer, context.token = viewer, token
        return True

    async def verify_with_connexion(self, scope: Scope, context: RequestContext) -> None:
        """Authenticate with Connexion. Raises ApiError (401, 419)."""
        # Of a repeated header Connexion reads the first value and the mock the last: pass only the latter.
        request = ConnexionRequest({**scope, "headers": [*_normalize_cookies(context, self.cookie_names).items()]})
        try:
            await self.verification_fn(request)
        except ProblemException:
            raise self._create_error(context) from None
        token_info = request.context.get("token_info") or {}
        # A requirement with several schemes produces one entry per scheme.
        candidates = [token_info, *(value for value in token_info.values() if isinstance(value, dict))]
        accepted = [candidate for candidate in candidates if "viewer" in candidate]
        if accepted:  # a scheme that names no user may be combined with one that does
            credential = next((c for c in accepted if isinstance(c["viewer"], Viewer)), accepted[0])
            context.viewer, context.token = credential["viewer"], credential["token"] or None
            return
        if not token_info and {} in self.security:  # anonymous access is permitted
            return
        raise self._create_error(context)

    def _create_error(self, context: RequestContext) -> ApiError:
        """Return the error of a request whose credentials Connexion rejected."""
        if not context.has_csrf_mismatch:
            return ApiError(ErrorKind.UNAUTHENTICATED, self._describe(context), headers=self.challenge)
        csrf = self.session_scheme.get("x-csrf", {})
        detail = f"{csrf.get('header')}: missing or wrong (expected the value of the cookie {csrf.get('cookie')})"
        return ApiError(ErrorKind.CSRF_MISMATCH, detail)

    def _describe(self, context: RequestContext) -> str:
        """Describe for the request log why the credentials are rejected."""
        if self.has_bearer and context.sandbox.contract.account_resource is not None:
            return describe_rejected_credentials(context, self.used_schemes)
        reason = "the credential is not accepted" if context.has_invalid_credential else "no credential"
        return f"{reason} (expected {self.expected})"


def _list_headers_before_bearer(
    security: Sequence[Mapping[str, Any]], schemes: Mapping[str, Mapping[str, Any]]
) -> frozenset[bytes] | None:
    """Return the headers of the alternatives before a bearer token; None if no alternative is only a bearer token."""
    headers: set[bytes] = set()
    for alternative in security:
        definitions = [schemes[name] for name in alternative]
        if [definition.get("scheme") for definition in definitions] == ["bearer"]:
            return frozenset(headers)
        if not definitions or any(d["type"] == "http" or d["in"] == "query" for d in definitions):
            return None
        headers |= {COOKIE if d["in"] == "cookie" else encode_header_name(d["name"]) for d in definitions}
    return None


def _normalize_cookies(context: RequestContext, names: Sequence[str]) -> Mapping[bytes, bytes]:
    """Return the headers with only the cookies of these names, since Connexion rejects malformed cookies."""
    if COOKIE not in context.headers:
        return context.headers
    cookies = [(name, value) for name in names if (value := context.get_cookie(name)) is not None]
    others = {header: value for header, value in context.headers.items() if header != COOKIE}
    header = "; ".join(f"{name}={value}" for name, value in cookies)
    return {**others, COOKIE: header.encode("latin-1")} if cookies else others


class OperationSecurityAPI(SecurityAPI):  # type: ignore[misc]
    """Creates an OperationSecurity for each operation."""

    def make_operation(self, operation: Any) -> OperationSecurity:
        return OperationSecurity(
            self.next_app,
            security_handler_factory=self.security_handler_factory,
            security=operation.security,
            security_schemes=operation.security_schemes,
        )


class FastPathSecurityMiddleware(SecurityMiddleware):  # type: ignore[misc]
    """Connexion's security middleware with the fast path."""

    api_cls = OperationSecurityAPI
