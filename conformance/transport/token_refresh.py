"""Tokens from a command (`--token-command`): requested at the start and again after expiry.

Neither the token nor other output of the command is ever displayed. A token has expired if an operation that requires
it returns 401 after the target has accepted it before.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.errors import BudgetExhausted, UsageError
from conformance.transport.client import HttpTarget
from conformance.transport.messages import Actor, Request, Response

MAX_COMMAND_SECONDS = 60.0
OPTION = "--token-command"
UNAUTHORIZED = 401


@dataclass(slots=True)
class TokenCommand:
    """The command. `printed_tokens`: every token it printed, for redaction."""

    command: str
    timeout: float = MAX_COMMAND_SECONDS
    printed_tokens: list[str] = field(default_factory=list, repr=False)

    def token(self) -> str:
        """Run the command and return the token. Raises UsageError, without output of the command."""
        try:
            # In a shell, since such commands contain pipes. The command is the user's own.
            process = subprocess.run(
                self.command, shell=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=self.timeout
            )
        except subprocess.TimeoutExpired:
            raise UsageError(f"{OPTION}: no exit within {self.timeout:g} s ({EXPECTED})") from None
        except OSError as error:
            raise UsageError(f"{OPTION}: cannot run the command: {error.strerror} ({EXPECTED})") from None
        if process.returncode:
            raise UsageError(f"{OPTION}: the command exited with {process.returncode} ({EXPECTED})")
        token = process.stdout.decode("ascii", "replace").strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            output = "nothing" if not token else "more than a token"
            raise UsageError(f"{OPTION}: the command printed {output} ({EXPECTED})")
        if token not in self.printed_tokens:
            self.printed_tokens.append(token)
        return token


EXPECTED = "expected a command that prints only a token and exits with 0"


@dataclass(slots=True)
class TokenRefreshingTarget:
    """A target that requests a new token of the run (``self``) after expiry.

    `refresh`: returns a token or raises UsageError. `requires_token`: whether an operation (by id) requires a token.
    """

    inner: HttpTarget
    refresh: Callable[[], str]
    requires_token: Callable[[str], bool]
    _was_accepted: bool = field(default=False, init=False)

    @property
    def base(self) -> str:
        return self.inner.base

    @property
    def tokens(self) -> Mapping[str, str]:
        """Actor -> token."""
        return self.inner.tokens

    def send(self, request: Request) -> Response:
        """Send a request, with a new token if it has expired. Raises TargetUnreachable, BudgetExhausted, SkipCheck."""
        response = self.inner.send(request)
        if request.token_actor != Actor.OWNER or not self.requires_token(request.operation):
            return response
        has_expired = response.status == UNAUTHORIZED and self._was_accepted
        self._was_accepted = response.status != UNAUTHORIZED
        if not has_expired:
            return response
        try:
            token = self.refresh()
        except UsageError as error:
            # The results so far are reported: the run ends as if its budget were exhausted.
            raise BudgetExhausted(f"the token expired and could not be refreshed: {error}") from None
        if token == self.inner.tokens.get(Actor.OWNER):
            return response
        self.inner.tokens = {**self.inner.tokens, Actor.OWNER: token}
        return self.send(request)
