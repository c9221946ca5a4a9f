"""Who may pass: Connexion's own flow of security schemes, and a short way for the one case that is nearly all.

The short way is taken for operations whose first alternative is a lone bearer scheme, when the token is good. Anything
else goes through Connexion, whose verdict becomes a refusal.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest
from connexion.middleware.security import SecurityAPI, SecurityMiddleware, SecurityOperation
from connexion.security import ApiKeySecurityHandler, BearerSecurityHandler
from starlette.types import Receive, Scope, Send

from mock_server.exchange import Exchange, exchange_of
from mock_server.parameters import header_name
from mock_server.problems import Problem, Refusal
from mock_server.viewer import Viewer
from mock_server.world import World
from spec.contract import Contract
from spec.errors import ContractError

_AUTHORIZATION = b"authorization"
_BEARER = b"Bearer "
_UNKNOWN = "the token that was sent is unknown, expired or ended"
CHALLENGE = {"WWW-Authenticate": "Bearer"}


def security_map(contract: Contract, world: World) -> dict[str, Any]:
    """Connexion's map from the type of a scheme to what checks it. Raises ContractError for schemes it cannot check."""
    for name, scheme in contract.security_schemes.items():
        kind = (scheme.get("type"), str(scheme.get("scheme", scheme.get("in"))).lower())
        if kind not in (("http", "bearer"), ("apiKey", "header")):
            place = f"#/components/securitySchemes/{name}"
            raise ContractError(place, " ".join(map(str, kind)), "http bearer, or an apiKey in a header")
    return {"bearer": partial(Bearer, world), "apiKey": partial(ApiKey, world)}


def headers(contract: Contract) -> Iterator[bytes]:
    """The headers that the schemes of a contract read."""
    yield _AUTHORIZATION
    for scheme in contract.security_schemes.values():
        if scheme["type"] == "apiKey":
            yield header_name(scheme["name"])


def _token_info(world: World, token: str, exchange: Exchange) -> dict[str, Any] | None:
    viewer = world.viewer(token, exchange.now)
    return None if viewer is None else {"sub": viewer.user, "viewer": viewer, "token": token}


class Bearer(BearerSecurityHandler):  # type: ignore[misc]
    """A bearer token that the world knows."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _resolve_func(self, security_scheme: Mapping[str, Any]) -> Any:
        def check(token: str, request: ConnexionRequest) -> dict[str, Any] | None:
            return _token_info(self.world, token.strip(), exchange_of(request.scope))

        return check


class ApiKey(ApiKeySecurityHandler):  # type: ignore[misc]
    """The same tokens in a header of the contract's choosing.

    One that is sent counts, blank or not: a wrong one is refused even beside another credential that is good.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def _resolve_func(self, security_scheme: Mapping[str, Any]) -> Any:
        def check(token: str, request: ConnexionRequest) -> dict[str, Any]:
            # Connexion goes on to the next alternative after an error, but not after an answer; Gate misses the viewer.
            return _token_info(self.world, token.strip(), exchange_of(request.scope)) or {"token": token}

        return check


class Gate(SecurityOperation):  # type: ignore[misc]
    """The security of one operation."""

    def __init__(self, *args: Any, world: World, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.world = world
        first = self.security[0] if self.security else {}
        schemes = [self.security_schemes[name] for name in first]
        self.short = len(schemes) == 1 and schemes[0]["type"] == "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.security:
            exchange = exchange_of(scope)
            if not (self.short and self.passes(exchange)):
                await self.check(scope, exchange)
        await self.next_app(scope, receive, send)

    def passes(self, exchange: Exchange) -> bool:
        """The short way: a bearer token that the world knows."""
        sent = exchange.headers.get(_AUTHORIZATION)
        if sent is None or sent[:7] != _BEARER:
            return False
        token = sent[7:].decode("latin-1").strip()
        viewer = self.world.viewer(token, exchange.now) if token else None
        if viewer is None:
            return False
        exchange.viewer, exchange.token = viewer, token
        return True

    async def check(self, scope: Scope, exchange: Exchange) -> None:
        """Connexion's way. Raises Refusal."""
        # Of a repeated header Connexion reads the first, and the mock the last: it gets only those that the mock reads.
        request = ConnexionRequest({**scope, "headers": [*exchange.headers.items()]})
        try:
            await self.verification_fn(request)
        except ProblemException:
            raise Refusal(Problem.UNAUTHENTICATED, _why(exchange), headers=CHALLENGE) from None
        info = request.context.get("token_info") or {}
        # Schemes that are all due at once each leave an entry of their own.
        for found in (info, *(value for value in info.values() if isinstance(value, dict))):
            viewer = found.get("viewer")
            if isinstance(viewer, Viewer):
                exchange.viewer, exchange.token = viewer, found["token"]
                return
        if not info and {} in self.security:  # the contract lets anybody in
            return
        raise Refusal(Problem.UNAUTHENTICATED, _UNKNOWN, headers=CHALLENGE)


def _why(exchange: Exchange) -> str:
    """What is wrong with a request's credentials, for the console: the one sentence that says it."""
    sent = exchange.header(_AUTHORIZATION)
    scheme, _, token = sent.partition(" ")
    if not sent:
        return "no token was sent (Authorization: Bearer TOKEN)"
    if scheme.lower() != "bearer" or not token.strip():
        return "the Authorization header has another form; allowed: Bearer TOKEN"
    return _UNKNOWN


class GateAPI(SecurityAPI):  # type: ignore[misc]
    """Makes a Gate of each operation."""

    def __init__(self, *args: Any, world: World, **kwargs: Any) -> None:
        self.world = world
        super().__init__(*args, **kwargs)

    def make_operation(self, operation: Any) -> Gate:
        return Gate(
            self.next_app,
            security_handler_factory=self.security_handler_factory,
            security=operation.security,
            security_schemes=operation.security_schemes,
            world=self.world,
        )


class Security(SecurityMiddleware):  # type: ignore[misc]
    """Connexion's security middleware with the short way."""

    api_cls = GateAPI
