"""Builds a Connexion application for a contract."""

from collections.abc import Sequence
from typing import Any

from connexion.middleware import ConnexionMiddleware
from connexion.resolver import Resolver
from starlette.types import ASGIApp

from mock_server.web.context import RequestContext
from mock_server.web.credentials.schemes import build_connexion_schemes
from spec.model import Contract, Operation


def ignore_path_record(context: RequestContext, operation: Operation) -> None:
    """Do not check the record in the path of an invalid request."""


def build_connexion_app(
    contract: Contract,
    endpoint: ASGIApp,
    middlewares: Sequence[type],
    *,
    security_map: Any = None,
    check_path_record: Any = ignore_path_record,
    **arguments: Any,
) -> ASGIApp:
    """Build the application that passes the requests of `contract` through `middlewares` to `endpoint`.

    `arguments`: passed to the `add_api` of each middleware.
    """
    app = ConnexionMiddleware(
        endpoint,
        middlewares=list(middlewares),
        security_map=security_map,
        resolver=Resolver(lambda operation_id: endpoint),
    )
    spec = _build_minimal_spec(contract)
    app.add_api(spec, contract=contract, check_path_record=check_path_record, **arguments)
    result: ASGIApp = app
    return result


def _build_minimal_spec(contract: Contract) -> dict[str, Any]:
    """Return what Connexion needs of the contract: operations and their security.

    Connexion's validation of the complete document took a fifth of a second; the mock validates requests itself.
    """
    schemes = build_connexion_schemes(contract)
    paths: dict[str, Any] = {}
    for operation in contract.operations.values():
        paths.setdefault(operation.path, {})[operation.method] = {
            "operationId": operation.id,
            "security": [{name: [] for name in names if name in schemes} for names in operation.security],
            "responses": {str(operation.envelope.status): {"description": operation.summary}},
        }
    return {
        "openapi": "3.0.3",
        "info": {"title": contract.title, "version": contract.version},
        "servers": [{"url": contract.base_path or "/"}],
        "paths": paths,
        "components": {"securitySchemes": schemes},
    }
