"""Authentication: Connexion's security handling, with a fast path for valid bearer tokens.

The fast path serves operations whose first security requirement is a single bearer scheme. All other requests are
verified by Connexion, whose exception is converted to an `ApiError`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest
from connexion.middleware.security import SecurityAPI, SecurityMiddleware, SecurityOperation
from connexion.security import ApiKeySecurityHandler, BearerSecurityHandler
from starlette.types import Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.query import Viewer
from mock_server.web.context import RequestContext, get_context
from mock_server.web.parameters import encode_header_name
from spec.errors import ContractError
from spec.model import Contract

_AUTHORIZATION = b"authorization"
_BEARER_PREFIX = b"Bearer "
_INVALID_TOKEN = "the token is unknown, expired or revoked"
CHALLENGE = {"WWW-Authenticate": "Bearer"}


def security_map(contract: Contract) -> dict[str, Any]:
    """Return Connexion's map from scheme type to handler. Raises ContractError for unsupported schemes."""
    for name, scheme in contract.security_schemes.items():
        scheme_kind = (scheme.get("type"), str(scheme.get("scheme", scheme.get("in"))).lower())
        if scheme_kind not in (("http", "bearer"), ("apiKey", "header")):
            location = f"#/components/securitySchemes/{name}"
            actual = f"unsupported scheme {' '.join(map(str, scheme_kind))}"
            raise ContractError(location, actual, "http bearer, or an apiKey in a header")

    def verify_bearer(token: str, request: ConnexionRequest) -> dict[str, Any] | None:
        context = get_context(request.scope)
        viewer = context.sandbox.resolve_token(token.strip(), context.now)
        return None if viewer is None else {"sub": viewer.user_key, "viewer": viewer, "token": token.strip()}

    def verify_key(token: str, request: ConnexionRequest) -> dict[str, Any]:
        # An invalid or blank key is rejected even if another credential is valid: after an error Connexion would try
        # the next requirement, but a result without a viewer is rejected by `OperationSecurity`.
        return verify_bearer(token, request) or {"token": token}

    bearer_handler = partial(_create_handler, BearerSecurityHandler, verify_bearer)
    return {"bearer": bearer_handler, "apiKey": partial(_create_handler, ApiKeySecurityHandler, verify_key)}


def _create_handler(handler_class: type[Any], verify: Callable[..., Any]) -> Any:
    """Return a handler of Connexion that calls `verify`, which is otherwise found by a name in the contract."""
    handler = handler_class()
    handler._resolve_func = lambda security_scheme: verify
    return handler


def list_credential_headers(contract: Contract) -> Iterator[bytes]:
    """Yield the headers that the security schemes of a contract read."""
    yield _AUTHORIZATION
    for scheme in contract.security_schemes.values():
        if scheme["type"] == "apiKey":
            yield encode_header_name(scheme["name"])


class OperationSecurity(SecurityOperation):  # type: ignore[misc]
    """The security requirements of one operation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        first_requirement = self.security[0] if self.security else {}
        schemes = [self.security_schemes[name] for name in first_requirement]
        self.has_fast_path = len(schemes) == 1 and schemes[0]["type"] == "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.security:
            context = get_context(scope)
            if not (self.has_fast_path and self.try_bearer(context)):
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
        """Authenticate with Connexion. Raises ApiError (401)."""
        # Of a repeated header Connexion reads the first value and the mock the last: pass only the latter.
        request = ConnexionRequest({**scope, "headers": [*context.headers.items()]})
        try:
            await self.verification_fn(request)
        except ProblemException:
            raise ApiError(ErrorKind.UNAUTHENTICATED, _describe_auth_failure(context), headers=CHALLENGE) from None
        token_info = request.context.get("token_info") or {}
        # A requirement with several schemes produces one entry per scheme.
        for candidate in (token_info, *(value for value in token_info.values() if isinstance(value, dict))):
            viewer = candidate.get("viewer")
            if isinstance(viewer, Viewer):
                context.viewer, context.token = viewer, candidate["token"]
                return
        if not token_info and {} in self.security:  # anonymous access is permitted
            return
        raise ApiError(ErrorKind.UNAUTHENTICATED, _INVALID_TOKEN, headers=CHALLENGE)


def _describe_auth_failure(context: RequestContext) -> str:
    """Describe the problem of the credentials for the request log."""
    authorization = context.get_header(_AUTHORIZATION)
    scheme, _, token = authorization.partition(" ")
    if not authorization:
        return "no token (expected Authorization: Bearer TOKEN)"
    if scheme.lower() != "bearer" or not token.strip():
        return "Authorization: invalid format (expected Bearer TOKEN)"
    return _INVALID_TOKEN


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
