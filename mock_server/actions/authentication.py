"""Sign in, sign out, and the user of the token."""

from dataclasses import replace

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.responses import render_fragment, render_record
from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.clock import format_timestamp


def sign_in(request: ActionRequest) -> ActionResult:
    """Return a new token for an e-mail address and its password. Raises ApiError (401) for any other pair."""
    session = request.sandbox.sign_in(request.body["email"], request.body["password"], request.now)
    if session is None:
        detail = "no user has this e-mail address and password; the password of all seeded users is 'password'"
        raise ApiError(ErrorKind.INVALID_CREDENTIALS, detail)
    token, expires_at, user = session
    data = {
        "token": token,
        "token_type": "Bearer",
        "expires_at": format_timestamp(expires_at),
        "user": render_fragment(replace(request, viewer=request.sandbox.get_viewer(user.key)), user),
    }
    return ActionResult(orjson.dumps({"data": data}))


def sign_out(request: ActionRequest) -> ActionResult:
    """Revoke the token of this request."""
    request.sandbox.sign_out(request.token or "")
    return ActionResult(None)


def get_authenticated_user(request: ActionRequest) -> ActionResult:
    """Return the user of the token. Raises ApiError (401) if the user was deleted."""
    account = request.contract.account_resource
    user = request.store.get(account.name, request.viewer.user_key) if account and request.viewer else None
    if user is None:
        raise ApiError(ErrorKind.UNAUTHENTICATED)
    return render_record(request, user)
