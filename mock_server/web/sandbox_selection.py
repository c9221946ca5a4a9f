"""Selects the sandbox of a request.

Each of these alone selects the sandbox NAME; others than the path are optional for clients that can only set one:

    /__mock/s/NAME/api/v1/...        a path
    Host: NAME.localhost             a host
    X-Mock-Sandbox: NAME             a header
    baggage: mock-sandbox=NAME       W3C baggage, which servers pass on with their own requests
    Authorization: Bearer ...~NAME   a token
    ada+NAME@example.com             the login of a sign-in
    Cookie: athena_session=...~NAME  a session cookie, if the request names no sandbox and NAME exists

Two that name different sandboxes are an error (400), also two lines of a header. Browsers send cookies automatically,
so a cookie never causes an error. A request that names none uses the default sandbox. URLs in a response keep the
selection.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mock_server.errors import ApiError, ErrorKind
from mock_server.registry.registry import NAME_PATTERN, SandboxRegistry
from mock_server.sandbox.sandbox import DEFAULT_NAME, LOGIN_SEPARATOR, TOKEN_SEPARATOR, Sandbox
from mock_server.web.context import COOKIE, RequestContext
from mock_server.web.forwarded import FORWARDED_HEADERS
from mock_server.web.hosts_and_cors import CorsPolicy
from spec.model import Contract

SYSTEM_PREFIX = b"/__mock/"
PATH_PREFIX, CONTROL_PREFIX = SYSTEM_PREFIX + b"s/", SYSTEM_PREFIX + b"api"
SANDBOX_HEADER = b"x-mock-sandbox"
BAGGAGE_HEADER, BAGGAGE_KEY = b"baggage", "mock-sandbox"
AUTHORIZATION = b"authorization"
_NAMING_HEADERS = frozenset({SANDBOX_HEADER, BAGGAGE_HEADER})
READ_HEADERS = (*_NAMING_HEADERS, b"origin", b"sec-fetch-site")
HOST_SUFFIX = ".localhost"
MAX_LISTED_NAMES = 10  # in the error of a request that names different sandboxes
TOKEN_SEPARATOR_BYTE = ord(TOKEN_SEPARATOR)
_LOGIN_SUFFIX = re.compile(rf"{re.escape(LOGIN_SEPARATOR)}({NAME_PATTERN.pattern})(?:@[^@]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class SandboxSelector:
    """Selects sandboxes of `registry`.

    `credential_headers`: those that contain tokens. A page of another site, according to `cors_policy`, creates none.
    `session_cookie`: its name.
    """

    registry: SandboxRegistry
    credential_headers: tuple[bytes, ...]
    cors_policy: CorsPolicy
    session_cookie: str = ""

    @property
    def rare_headers(self) -> frozenset[bytes]:
        """The headers with which a request may select a sandbox, except Authorization and Host."""
        cookie_header = {COOKIE} if self.session_cookie else set()
        return (_NAMING_HEADERS | {*self.credential_headers} | FORWARDED_HEADERS | cookie_header) - {AUTHORIZATION}

    async def select(self, context: RequestContext) -> None:
        """Select the sandbox that a request names, if any. Raises ApiError (400, 403, 404, 429, 503)."""
        if context.raw_path.startswith(CONTROL_PREFIX):
            return
        names = list(self._iter_names(context))
        if not names:
            self._select_by_session(context)
            return
        distinct_names = {name for _, name in names}
        if len(distinct_names) > 1:
            listed = dict.fromkeys(f"{source} names {name[:100]}" for source, name in names)
            raise _conflict_error(", ".join(list(listed)[:MAX_LISTED_NAMES]))
        name = distinct_names.pop()
        is_new = name not in self.registry.entries
        if is_new and self.cors_policy.is_from_another_site(context.headers, context.base_url):
            message = f"Pages of another site may not create the sandbox {name[:100]}."
            raise ApiError(ErrorKind.CONTROL_FORBIDDEN, message=message)
        self._set_sandbox(context, await self.registry.use(name), names[0][0] == "path")
        context.names_sandbox = True

    def _select_by_session(self, context: RequestContext) -> None:
        """Select the existing sandbox of the session cookie, if any."""
        session = context.get_cookie(self.session_cookie) if self.session_cookie else None
        name = session.rpartition(TOKEN_SEPARATOR)[2] if session and TOKEN_SEPARATOR in session else None
        entry = self.registry.find(name) if name else None
        if entry is not None and entry.sandbox is not context.sandbox:
            self._set_sandbox(context, entry.sandbox, False)

    def select_by_login(self, context: RequestContext, contract: Contract) -> None:
        """Select the existing sandbox that the login of a sign-in names. Raises ApiError (400).

        An account whose own login looks like that of another sandbox takes precedence.
        """
        account = contract.account_resource
        credentials = account.credentials if account else None
        login = context.body.get(credentials.login) if credentials and isinstance(context.body, dict) else None
        name = find_login_sandbox(login) if isinstance(login, str) else None
        entry = self.registry.find(name) if name else None
        if entry is None or entry.sandbox is context.sandbox or context.sandbox.find_account(str(login)) is not None:
            return
        if context.names_sandbox:
            raise _conflict_error(f"the request names {context.sandbox.name}, the login names {name}")
        self._set_sandbox(context, entry.sandbox, False)

    def _iter_names(self, context: RequestContext) -> Iterator[tuple[str, str]]:
        """Yield (source, name); removes the sandbox's part of the path."""
        if context.raw_path.startswith(PATH_PREFIX):
            name, _, rest = context.raw_path[len(PATH_PREFIX) :].partition(b"/")
            context.raw_path = b"/" + rest
            yield "path", name.decode("latin-1")
        host = context.get_header(b"host").lower().partition(":")[0].removesuffix(".")
        label = host.removesuffix(HOST_SUFFIX)
        if host.endswith(HOST_SUFFIX) and NAME_PATTERN.fullmatch(label):
            yield "host", label
        yield from _iter_names_in_headers(context)
        for header in self.credential_headers:
            _, separator, name_in_token = context.get_header(header).rpartition(TOKEN_SEPARATOR)
            if separator and NAME_PATTERN.fullmatch(name_in_token):
                yield "token", name_in_token

    def _set_sandbox(self, context: RequestContext, sandbox: Sandbox, is_in_path: bool) -> None:
        context.sandbox, context.now = sandbox, sandbox.clock.now()
        is_in_host = context.base_url.partition("://")[2].startswith(f"{sandbox.name}{HOST_SUFFIX}")
        if is_in_path or not (is_in_host or sandbox.name == DEFAULT_NAME):
            context.base_url += f"{PATH_PREFIX.decode()}{sandbox.name}"


def _iter_names_in_headers(context: RequestContext) -> Iterator[tuple[str, str]]:
    """Yield (source, name) for the headers that exist for this purpose."""
    if SANDBOX_HEADER in context.headers:
        for name_in_header in context.get_header(SANDBOX_HEADER).split(","):
            yield "header X-Mock-Sandbox", name_in_header.strip()
    if BAGGAGE_HEADER in context.headers:
        for name_in_baggage in iter_baggage_names(context.get_header(BAGGAGE_HEADER)):
            yield "baggage", name_in_baggage


def iter_baggage_names(text: str) -> Iterator[str]:
    """Yield the values of the key ``mock-sandbox`` in a baggage header (W3C)."""
    for member in text.split(","):
        key, _, value = member.partition(";")[0].partition("=")
        if key.strip() == BAGGAGE_KEY and value.strip():
            yield value.strip()


def find_login_sandbox(login: str) -> str | None:
    """Return the name of the sandbox in a login (``ada+NAME@example.com``); None without one."""
    local_part, separator, rest = login.rpartition(LOGIN_SEPARATOR)
    match = _LOGIN_SUFFIX.fullmatch(separator + rest) if local_part else None
    return match[1] if match else None


def _conflict_error(detail: str) -> ApiError:
    return ApiError(ErrorKind.SANDBOX_CONFLICT, message=f"The request names different sandboxes: {detail}.")
