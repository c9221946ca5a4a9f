"""The Flask application: routes, authentication, and errors in Laravel's format."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, redirect, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.wrappers import Response as Answer

from tests.reference_backend import agents, messages, sessions, threads, workspaces
from tests.reference_backend.access import authenticate, bearer
from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.validation import HttpError

PREFIX = "/api/v1"
OPEN = ("POST /auth/sign-in",)

Handler = Callable[..., Any]

# "METHOD path" -> what answers, and with which status.
ROUTES: Mapping[str, tuple[Handler, int]] = {
    "POST /auth/sign-in": (sessions.store, 200),
    "POST /auth/logout": (sessions.delete, 204),
    "GET /user": (sessions.show, 200),
    "GET /user/multiplai": (sessions.show, 200),
    "GET /workspaces": (workspaces.index, 200),
    "GET /workspaces/<uuid>": (workspaces.show, 200),
    "PUT /workspaces/<uuid>": (workspaces.update, 200),
    "DELETE /workspaces/<uuid>": (workspaces.delete, 204),
    **{
        route: handled
        for name, kind in (("agents", agents), ("threads", threads), ("messages", messages))
        for route, handled in {
            f"GET /{name}": (kind.index, 200),
            f"POST /{name}": (kind.store, 201),
            f"GET /{name}/<uuid>": (kind.show, 200),
            f"PUT /{name}/<uuid>": (kind.update, 200),
            f"DELETE /{name}/<uuid>": (kind.delete, 204),
        }.items()
    },
}


def create_app(database: Path, bug: str = "") -> Flask:
    """Create the application on a seeded database. `bug`: a name in bugs.BUGS, or ""."""
    app = Flask(__name__, static_folder=None)
    app.config.update(DATABASE=database, BUG=bug, MAX_CONTENT_LENGTH=16 * 2**20)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    for route, (handler, status) in ROUTES.items():
        method, path = route.split()
        app.add_url_rule(
            PREFIX + path, route, _build_view(route, handler, status), methods=[method], strict_slashes=True
        )
    app.before_request(_authenticate_request)
    app.teardown_request(_close_database)
    app.register_error_handler(HttpError, _build_error_response)
    app.register_error_handler(HTTPException, _format_flask_error)
    app.register_error_handler(Exception, _build_server_error)
    return app


def _build_view(route: str, handler: Handler, status: int) -> Handler:
    def view(**path_parameters: str) -> tuple[Any, int]:
        serialized = handler(**path_parameters)
        code = 200 if is_enabled("created-is-answered-200") and route == "POST /threads" else status
        return ("", code) if serialized is None else (jsonify(serialized), code)

    return view


def _authenticate_request() -> Answer | None:
    """Authenticate by `X-Multiplai-Authorization`, else by Laravel's `auth:sanctum`, on routes that are not public."""
    route = request.endpoint
    if route is None or route in OPEN or request.method == "OPTIONS":
        return None
    if is_enabled("strangers-are-sent-to-a-login-page") and not bearer():
        return redirect("/login")
    app_token = request.headers.get("X-Multiplai-Authorization", "").strip()
    try:
        authenticate(app_token or bearer())
    except HttpError:
        if not app_token:
            raise
        authenticate(bearer())
    return None


def _close_database(error: BaseException | None) -> None:
    if "database" in g:
        g.database.close()


def _build_error_response(refusal: HttpError) -> tuple[Response, int]:
    if refusal.status == 404 and is_enabled("refusals-as-a-page") and request.path.startswith(f"{PREFIX}/workspaces"):
        return Response("<!DOCTYPE html><title>Not Found</title><h1>404</h1>", content_type="text/html"), 404
    body: dict[str, Any] = {"message": refusal.message}
    if refusal.errors is not None:
        body["errors"] = refusal.errors
    return jsonify(body), refusal.status


def _format_flask_error(error: HTTPException) -> Answer:
    """Flask's own errors in the same format, with their headers (`Allow`)."""
    response = error.get_response()
    response.set_data(jsonify({"message": error.name}).get_data())
    response.content_type = "application/json"
    if isinstance(error, MethodNotAllowed) and is_enabled("no-allow-header"):
        del response.headers["Allow"]
    return response


def _build_server_error(error: Exception) -> tuple[Response, int]:
    """A server error: logged, and hidden from clients."""
    current_app.logger.error("%s %s: %r", request.method, request.path, error)
    return jsonify({"message": "Server Error"}), 500
