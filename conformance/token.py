"""A token that a command prints: asked for at the start, and again when the target no longer takes it.

The token and whatever else the command says are never shown. A token counts as expired when an operation that is for
those alone whom the target knows answers 401 to it, after the target had taken it.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from conformance.errors import OutOfBudget, UsageError
from conformance.exchange import BEARER, Request, Response
from conformance.target import HttpTarget

LONGEST = 60.0  # seconds that a command may take
FLAG = "--token-command"
UNAUTHORIZED = 401


@dataclass(slots=True)
class TokenCommand:
    """The command. `given`: every token that it has printed, so that reports can leave them out."""

    command: str
    longest: float = LONGEST
    given: list[str] = field(default_factory=list, repr=False)

    def token(self) -> str:
        """A token. Raises UsageError, without a word of what the command said."""
        try:
            # Through the shell, as people write such commands with pipes; their text is the user's own.
            done = subprocess.run(
                self.command, shell=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=self.longest
            )
        except subprocess.TimeoutExpired:
            raise UsageError(f"{FLAG}: found one that did not end within {self.longest:g} s; {ALLOWED}") from None
        except OSError as error:
            raise UsageError(f"{FLAG}: found one that cannot be run ({error.strerror}); {ALLOWED}") from None
        if done.returncode:
            raise UsageError(f"{FLAG}: found one that ended with {done.returncode} (run it to see why); {ALLOWED}")
        token = done.stdout.decode("ascii", "replace").strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            found = "nothing" if not token else "more than a token"
            raise UsageError(f"{FLAG}: found one that prints {found}; {ALLOWED}")
        if token not in self.given:
            self.given.append(token)
        return token


ALLOWED = "allowed: a command that prints a token, and nothing else, and ends with 0"


@dataclass(slots=True)
class Renewing:
    """A target whose own token (``self``) is asked for anew when it has expired.

    `renew`: gives a token, or raises UsageError. `guarded`: whether an operation, by its id, is only for those whom the
    target knows.
    """

    inner: HttpTarget
    renew: Callable[[], str]
    guarded: Callable[[str], bool]
    _taken: bool = field(default=False, init=False)

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
        if not self._mine(request):
            return response
        if response.status != UNAUTHORIZED:
            self._taken = True
        elif self._taken:
            self._taken = False
            return self._again(request, response)
        return response

    def _mine(self, request: Request) -> bool:
        given = {name.lower() for name in request.headers}
        return request.as_ == "self" and BEARER.lower() not in given and self.guarded(request.operation)

    def _again(self, request: Request, refused: Response) -> Response:
        try:
            token = self.renew()
        except UsageError as error:
            # What was judged until now is worth a report: the run ends as one whose means are used up.
            raise OutOfBudget(f"the token expired, and no new one could be had: {error}") from None
        if token == self.inner.tokens.get("self"):
            return refused
        self.inner.tokens = {**self.inner.tokens, "self": token}
        return self.send(request)
