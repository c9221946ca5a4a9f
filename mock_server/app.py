"""Composition root: Connexion's middlewares with the mock's routing, security and validation, inside `MockApp`."""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network

from mock_server import actions
from mock_server.console.app import Console
from mock_server.control import access as control_access
from mock_server.control.access import ControlAccess
from mock_server.control.app import ControlApi
from mock_server.control.client_findings import ClientFindings
from mock_server.control.explanations import ResponseExplainer
from mock_server.registry.registry import SandboxRegistry
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.static_responses.documented_values import DocumentedValues
from mock_server.static_responses.error_responses import ErrorResponses
from mock_server.static_responses.success_responses import SuccessResponses
from mock_server.system_routes.docs import Docs
from mock_server.system_routes.router import SystemRoutes
from mock_server.web import body, forced_responses, hosts_and_cors, parameters, sandbox_selection, security, validation
from mock_server.web.connexion_app import build_connexion_app
from mock_server.web.context import COOKIE
from mock_server.web.endpoint import Endpoint, RunAction
from mock_server.web.forced_responses import ResponseForcer
from mock_server.web.hosts_and_cors import LOOPBACK_KINDS, NETWORK_KINDS, CorsPolicy, HostPolicy
from mock_server.web.outer_app import MockApp
from mock_server.web.request_log import RequestLog
from mock_server.web.request_values.request_ids import create_request_ids
from mock_server.web.response_cache import ResponseCacheMiddleware
from mock_server.web.routing import Routes, RoutingMiddleware
from mock_server.web.rule_responses import RuleResponder
from mock_server.web.sandbox_selection import SandboxSelector
from mock_server.web.security import FastPathSecurityMiddleware, build_security_map
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
    registry: SandboxRegistry | None = None,
    control_token: str | None = None,
    dataset_names: Collection[str] = (),
    accepted_tokens: frozenset[str] | None = None,
) -> MockApp:
    """Create the application that serves `contract` in `sandbox`. Raises ContractError for unsupported contracts.

    `allowed_hosts`, `cors_origins`: accepted in addition to loopback; ``*`` accepts any. `serves_network`: the mock
    listens on more than loopback, so that hosts of the local network are accepted too. `trusted_proxies`: networks
    whose forwarded headers are used, in addition to this machine. `max_body_bytes`: limit of a request body.
    `registry`: the named sandboxes; None: there are none, and no control API. `control_token`: what the control API
    requires; without one it is off if the mock serves the network. `dataset_names`: of new sandboxes.
    `accepted_tokens`: the credentials that are accepted if the contract has no accounts; None: any.
    """
    kinds = NETWORK_KINDS if serves_network else LOOPBACK_KINDS
    cors_policy = CorsPolicy(frozenset(origin.lower().rstrip("/") for origin in cors_origins), kinds)
    access = ControlAccess(cors_policy, control_token, serves_network)
    credential_headers = tuple(dict.fromkeys(security.iter_credential_headers(contract)))
    cookie_name = contract.session_cookie.name if contract.session_cookie else ""
    selector = (
        SandboxSelector(registry, credential_headers, cors_policy, cookie_name)
        if registry and access.is_enabled
        else None
    )
    values = DocumentedValues(sandbox.validators, request_log.warn)
    successes = SuccessResponses(contract, values)
    routes, endpoint = Routes.from_contract(contract), Endpoint(run_action, successes, selector)
    error_responses = ErrorResponses(contract, successes, values)
    api = build_connexion_app(
        contract,
        endpoint,
        [RoutingMiddleware, FastPathSecurityMiddleware, ValidationMiddleware],
        security_map=build_security_map(contract, accepted_tokens),
        routes=routes,
        schemas=sandbox.validators,
        check_path_record=endpoint.check_path_record,
        max_body_bytes=max_body_bytes,
    )
    read_headers = {*hosts_and_cors.READ_HEADERS, *body.READ_HEADERS, *validation.READ_HEADERS, *credential_headers}
    read_headers.update(parameters.list_header_names(contract), security.iter_session_headers(contract))
    if registry is not None:
        read_headers.update(sandbox_selection.READ_HEADERS, control_access.READ_HEADERS, forced_responses.READ_HEADERS)
        read_headers.add(COOKIE)  # of the console
    forcer = ResponseForcer(contract, routes, successes, error_responses) if selector else None
    system_routes = SystemRoutes(
        Docs.from_contract(contract, next(iter(BUILTIN_TOKENS)), has_console=registry is not None), contract
    )
    return MockApp(
        ResponseCacheMiddleware(api),
        routes,
        system_routes.serve,
        HostPolicy(frozenset(host.lower() for host in allowed_hosts), kinds, trusted_proxies),
        cors_policy,
        request_log,
        sandbox,
        frozenset(read_headers),
        tuple(system_routes.handlers),
        selector,
        ControlApi(registry, access, dataset_names, max_body_bytes) if registry else None,
        forcer,
        RuleResponder(routes, forcer, [name.decode() for name in credential_headers]) if forcer else None,
        ResponseExplainer(ClientFindings(contract, routes, sandbox.validators), request_log).respond
        if forcer
        else None,
        selector.rare_headers.union(forced_responses.READ_HEADERS) if selector else frozenset(),
        error_responses,
        create_request_ids(contract),
        Console(contract, access) if registry else None,
    )
