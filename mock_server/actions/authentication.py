"""Sign in, log out, and who the bearer of a token is."""

from dataclasses import replace

import orjson

from mock_server.actions.showing import part, shown
from mock_server.call import Answer, Call
from mock_server.clock import written
from mock_server.problems import Problem, Refusal


def sign_in(call: Call) -> Answer:
    """A fresh token for the right e-mail and password. Raises Refusal (401) for any other."""
    found = call.world.sign_in(call.body["email"], call.body["password"], call.now)
    if found is None:
        raise Refusal(Problem.CREDENTIALS, "no user has this e-mail and password; seeded users' password is 'password'")
    token, user = found
    seen = part(replace(call, viewer=call.world.viewer_of(user.key)), user)
    data = {"token": token.token, "token_type": "Bearer", "expires_at": written(token.expires), "user": seen}
    return Answer(orjson.dumps({"data": data}))


def sign_out(call: Call) -> Answer:
    """End the token of this request."""
    call.world.sign_out(call.token or "")
    return Answer(None)


def authenticated_user(call: Call) -> Answer:
    """The user whose token it is."""
    account = call.world.contract.account_resource
    user = call.world.store.get(account.name, call.viewer.user) if account and call.viewer else None
    if user is None:
        raise Refusal(Problem.UNAUTHENTICATED)
    return shown(call, user)
