"""Composition root: Connexion's middlewares with the mock's routing, security and validation, inside `MockApp`."""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from connexion.middleware import ConnexionMiddleware
from connexion.resolver import Resolver

from mock_server import actions
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.system_routes.docs import Docs
from mock_server.system_routes.router import SystemRoutes
from mock_server.web import body, hosts_and_cors, parameters, security, validation
from mock_server.web.endpoint import Endpoint, RunAction
from mock_server.web.hosts_and_cors import LOOPBACK_KINDS, NETWORK_KINDS, CorsPolicy, HostPolicy
from mock_server.web.outer_app import MockApp
from mock_server.web.request_log import RequestLog
from mock_server.web.response_cache import ResponseCacheMiddleware
from mock_server.web.routing import Routes, RoutingMiddleware
from mock_server.web.security import FastPathSecurityMiddleware, security_map
from mock_server.web.validation import ValidationMiddleware
from spec.model import Contract


def create_app(
    contract: Contract,
    sandbox: Sandbox,
    *,
    request_log: RequestLog,
    allowed_hosts: Iterable[str] = (),
    cors_origins: Iterable[str] = (),
    serves_network: bool = False,
    trusted_proxies: Collection[IPv4Network | IPv6Network] = (),
    max_body_bytes: int = body.DEFAULT_MAX_BODY_BYTES,
    run_action: RunAction = actions.run_action,
) -> MockApp:
    """Create the application that serves `contract` in `sandbox`. Raises ContractError for unsupported contracts.

    `allowed_hosts`, `cors_origins`: accepted in addition to loopback; ``*`` accepts any. `serves_network`: the mock
    listens on more than loopback, so that hosts of the local network are accepted too. `trusted_proxies`: networks
    whose forwarded headers are used, in addition to this machine. `max_body_bytes`: limit of a request body.
    """
    kinds = NETWORK_KINDS if serves_network else LOOPBACK_KINDS
    routes, endpoint = Routes.from_contract(contract), Endpoint(sandbox, run_action)
    api = ConnexionMiddleware(
        endpoint,
        middlewares=[RoutingMiddleware, FastPathSecurityMiddleware, ValidationMiddleware],
        security_map=security_map(contract, sandbox),
        resolver=Resolver(lambda operation_id: endpoint),
    )
    api.add_api(
        _build_minimal_spec(contract),
        routes=routes,
        sandbox=sandbox,
        contract=contract,
        schemas=sandbox.validators,
        check_path_record=endpoint.check_path_record,
        max_body_bytes=max_body_bytes,
    )
    read_headers = {*hosts_and_cors.READ_HEADERS, *body.READ_HEADERS, *validation.READ_HEADERS}
    read_headers.update(security.list_credential_headers(contract), parameters.list_header_names(contract))
    system_routes = SystemRoutes(Docs.from_contract(contract, next(iter(BUILTIN_TOKENS))), sandbox)
    return MockApp(
        ResponseCacheMiddleware(api, sandbox),
        routes,
        system_routes.serve,
        HostPolicy(frozenset(host.lower() for host in allowed_hosts), kinds, trusted_proxies),
        CorsPolicy(frozenset(origin.lower().rstrip("/") for origin in cors_origins), kinds),
        request_log,
        sandbox,
        frozenset(read_headers),
        tuple(system_routes.handlers),
    )


def _build_minimal_spec(contract: Contract) -> dict[str, Any]:
    """Return what Connexion needs of the contract: operations and their security.

    Connexion's validation of the complete document took a fifth of a second; the mock validates requests itself.
    """
    paths: dict[str, Any] = {}
    for operation in contract.operations.values():
        paths.setdefault(operation.path, {})[operation.method] = {
            "operationId": operation.id,
            "security": [{name: [] for name in alternative} for alternative in operation.security],
            "responses": {str(operation.envelope.status): {"description": operation.summary}},
        }
    return {
        "openapi": "3.0.3",
        "info": {"title": contract.title, "version": contract.version},
        "servers": [{"url": contract.base_path or "/"}],
        "paths": paths,
        "components": {"securitySchemes": {name: dict(scheme) for name, scheme in contract.security_schemes.items()}},
    }
