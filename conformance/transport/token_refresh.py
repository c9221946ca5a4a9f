"""A token that a command prints: asked for at the start, and again when the target no longer takes it.

The token and whatever else the command says are never shown. A token counts as expired when an operation that is for
those alone whom the target knows answers 401 to it, after the target had taken it.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.errors import BudgetExhausted, UsageError
from conformance.transport.client import HttpTarget
from conformance.transport.messages import AUTHORIZATION, Request, Response

MAX_COMMAND_SECONDS = 60.0  # seconds that a command may take
OPTION = "--token-command"
UNAUTHORIZED = 401


@dataclass(slots=True)
class TokenCommand:
    """The command. `printed_tokens`: every token that it has printed, so that reports can leave them out."""

    command: str
    timeout: float = MAX_COMMAND_SECONDS
    printed_tokens: list[str] = field(default_factory=list, repr=False)

    def token(self) -> str:
        """A token. Raises UsageError, without a word of what the command said."""
        try:
            # Through the shell, as people write such commands with pipes; their text is the user's own.
            process = subprocess.run(
                self.command, shell=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=self.timeout
            )
        except subprocess.TimeoutExpired:
            raise UsageError(f"{OPTION}: found one that did not end within {self.timeout:g} s; {EXPECTED}") from None
        except OSError as error:
            raise UsageError(f"{OPTION}: found one that cannot be run ({error.strerror}); {EXPECTED}") from None
        if process.returncode:
            raise UsageError(
                f"{OPTION}: found one that ended with {process.returncode} (run it to see why); {EXPECTED}"
            )
        token = process.stdout.decode("ascii", "replace").strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            output = "nothing" if not token else "more than a token"
            raise UsageError(f"{OPTION}: found one that prints {output}; {EXPECTED}")
        if token not in self.printed_tokens:
            self.printed_tokens.append(token)
        return token


EXPECTED = "allowed: a command that prints a token, and nothing else, and ends with 0"


@dataclass(slots=True)
class TokenRefreshingTarget:
    """A target whose own token (``self``) is asked for anew when it has expired.

    `refresh`: gives a token, or raises UsageError. `requires_token`: whether an operation, by its id, is only for those whom the
    target knows.
    """

    inner: HttpTarget
    refresh: Callable[[], str]
    requires_token: Callable[[str], bool]
    _was_accepted: bool = field(default=False, init=False)

    @property
    def base(self) -> str:
        """The address that paths are put behind."""
        return self.inner.base

    @property
    def tokens(self) -> Mapping[str, str]:
        """By whom a request speaks as."""
        return self.inner.tokens

    def send(self, request: Request) -> Response:
        """The answer, with a new token where the old one has expired. Raises TargetLost, OutOfBudget, CannotMake."""
        response = self.inner.send(request)
        if not self._uses_own_token(request):
            return response
        if response.status != UNAUTHORIZED:
            self._was_accepted = True
        elif self._was_accepted:
            self._was_accepted = False
            return self._retry_with_new_token(request, response)
        return response

    def _uses_own_token(self, request: Request) -> bool:
        header_names = {name.lower() for name in request.headers}
        return (
            request.actor == "self"
            and AUTHORIZATION.lower() not in header_names
            and self.requires_token(request.operation)
        )

    def _retry_with_new_token(self, request: Request, response: Response) -> Response:
        try:
            token = self.refresh()
        except UsageError as error:
            # What was judged until now is worth a report: the run ends as one whose means are used up.
            raise BudgetExhausted(f"the token expired, and no new one could be had: {error}") from None
        if token == self.inner.tokens.get("self"):
            return response
        self.inner.tokens = {**self.inner.tokens, "self": token}
        return self.send(request)
