"""Sign in, log out, and who the bearer of a token is."""

from dataclasses import replace

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.responses import render_fragment, render_record
from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.clock import format_timestamp


def sign_in(request: ActionRequest) -> ActionResult:
    """A fresh token for the right e-mail and password. Raises Refusal (401) for any other."""
    session = request.sandbox.sign_in(request.body["email"], request.body["password"], request.now)
    if session is None:
        raise ApiError(
            ErrorKind.INVALID_CREDENTIALS, "no user has this e-mail and password; seeded users' password is 'password'"
        )
    token, user = session
    user_fragment = render_fragment(replace(request, viewer=request.sandbox.get_viewer(user.key)), user)
    data = {
        "token": token.token,
        "token_type": "Bearer",
        "expires_at": format_timestamp(token.expires_at),
        "user": user_fragment,
    }
    return ActionResult(orjson.dumps({"data": data}))


def sign_out(request: ActionRequest) -> ActionResult:
    """End the token of this request."""
    request.sandbox.sign_out(request.token or "")
    return ActionResult(None)


def get_authenticated_user(request: ActionRequest) -> ActionResult:
    """The user whose token it is."""
    account = request.sandbox.contract.account_resource
    user = request.sandbox.store.get(account.name, request.viewer.user_key) if account and request.viewer else None
    if user is None:
        raise ApiError(ErrorKind.UNAUTHENTICATED)
    return render_record(request, user)
