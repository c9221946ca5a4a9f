"""Sign in, sign out, and the user of the request."""

from collections.abc import Iterator
from dataclasses import replace

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.responses import render_fragment, render_record
from mock_server.errors import ApiError, ErrorKind
from mock_server.json_encoding import encode_json
from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.sandbox import TOKEN_LIFETIME
from mock_server.sandbox.sessions import derive_csrf_token


def sign_in(request: ActionRequest) -> ActionResult:
    """Return a new token for an e-mail address and its password, and set the cookies of its session.

    Raises ApiError (401) for any other pair.
    """
    issued = request.sandbox.sign_in(request.body["email"], request.body["password"], request.now)
    if issued is None:
        detail = "no user has this e-mail address and password; the password of all seeded users is 'password'"
        raise ApiError(ErrorKind.INVALID_CREDENTIALS, detail)
    token, expires_at, user = issued
    data = {
        "token": token,
        "token_type": "Bearer",
        "expires_at": format_timestamp(expires_at),
        "user": render_fragment(replace(request, viewer=request.sandbox.get_viewer(user.key)), user),
    }
    session, lifetime = request.sandbox.derive_session(token), int(TOKEN_LIFETIME.total_seconds())
    cookies = _build_cookies(request, session, derive_csrf_token(session), lifetime)
    return ActionResult(encode_json({"data": data}), cookies=tuple(cookies))


def sign_out(request: ActionRequest) -> ActionResult:
    """Revoke the token and the session of this request, and delete the cookies of the session."""
    request.sandbox.sign_out(request.token or "")
    return ActionResult(None, cookies=tuple(_build_cookies(request, "", "", 0)))


def _build_cookies(request: ActionRequest, session: str, csrf_token: str, lifetime: int) -> Iterator[str]:
    """Yield the Set-Cookie values of a session; none if the contract has no session cookie. `lifetime`: in seconds."""
    cookie = request.contract.session_cookie
    if cookie is None:
        return
    attributes = f"Path=/; Max-Age={lifetime}; SameSite=Lax"
    attributes += "; Secure" if request.base_url.startswith("https:") else ""
    yield f"{cookie.name}={session}; {attributes}; HttpOnly"
    if cookie.csrf_cookie:
        yield f"{cookie.csrf_cookie}={csrf_token}; {attributes}"


def get_authenticated_user(request: ActionRequest) -> ActionResult:
    """Return the user of the request. Raises ApiError (401) if the user was deleted."""
    account = request.contract.account_resource
    user = request.store.get(account.name, request.viewer.user_key) if account and request.viewer else None
    if user is None:
        raise ApiError(ErrorKind.UNAUTHENTICATED)
    return render_record(request, user)
