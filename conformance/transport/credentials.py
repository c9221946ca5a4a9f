"""Which credentials a request carries, as the security schemes of its operation declare them."""

import base64
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from conformance.transport.messages import AUTHORIZATION, Actor, Request, header_variable
from spec.model import Contract, Operation

COOKIE = "Cookie"
BASIC_PREFIX = "Basic "
_HEXADECIMAL = re.compile("[0-9a-fA-F-]+")


@dataclass(frozen=True, slots=True)
class CredentialFormat:
    """The place of a credential: a `location` (``header``, ``query``, ``cookie``) and the `prefix` of its value."""

    location: str = "header"
    name: str = AUTHORIZATION
    prefix: str = "Bearer "

    @classmethod
    def from_contract(cls, contract: Contract) -> "CredentialFormat":
        """Return the format of the first scheme that a client can send; bearer tokens are preferred."""
        required = {name for o in contract.operations.values() for names in o.security for name in names}
        schemes = [scheme for name, scheme in contract.security_schemes.items() if name in required]
        formats = [created for created in map(cls.from_scheme, schemes) if created is not None]
        return cls() if cls() in formats or not formats else formats[0]

    @classmethod
    def from_scheme(cls, scheme: Mapping[str, str]) -> "CredentialFormat | None":
        """Return the format of a security scheme; None if no request contains its credential (``mutualTLS``)."""
        match scheme:
            case {"type": "http", "scheme": name} if name.lower() != "bearer":
                return cls(prefix=f"{name.capitalize()} ")
            case {"type": "http" | "oauth2" | "openIdConnect"}:
                return cls()
            case {"type": "apiKey", "in": location, "name": name}:
                return cls(location, name, "")
        return None

    @property
    def description(self) -> str:
        """What a message calls the place."""
        return f"{'query parameter' if self.location == 'query' else self.location} {self.name}"

    def remove(
        self, headers: Mapping[str, str], query: tuple[tuple[str, str], ...]
    ) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
        """Return headers and query without the credential."""
        if self.location == "query":
            return dict(headers), tuple(pair for pair in query if pair[0] != self.name)
        if self.location == "header":
            return {n: value for n, value in headers.items() if n.lower() != self.name.lower()}, query
        cookies = [part for part in headers.get(COOKIE, "").split(";") if part.partition("=")[0].strip() != self.name]
        others = {name: value for name, value in headers.items() if name != COOKIE}
        text = "; ".join(part.strip() for part in cookies if part.strip())
        return ({**others, COOKIE: text} if text else others), query

    @property
    def is_authorization(self) -> bool:
        """Whether it is the header Authorization."""
        return self.location == "header" and self.name.lower() == AUTHORIZATION.lower()

    def add(self, value: str, target: str, headers: dict[str, str]) -> str:
        """Add a credential to `headers`, or to the target of a request; return the target. Existing headers stay."""
        if self.location == "query":
            return f"{target}{'&' if '?' in target else '?'}{quote(self.name)}={quote(value, safe='')}"
        if self.location == "cookie":
            headers[COOKIE] = _add_cookie(headers.get(COOKIE, ""), self.name, value)
        elif self.name.lower() not in map(str.lower, headers):
            headers[self.name] = self._encode(value)
        return target

    def _encode(self, value: str) -> str:
        """Return the value of a header. A login without a colon is a user name without a password."""
        if self.prefix != BASIC_PREFIX:
            return self.prefix + value
        pair = value if ":" in value else f"{value}:"
        return self.prefix + base64.b64encode(pair.encode()).decode()


def _add_cookie(header: str, name: str, value: str) -> str:
    """Add a cookie to a Cookie header that does not have it."""
    if re.search(rf"(?:^|;)\s*{re.escape(name)}=", header):
        return header
    return "; ".join(filter(None, (header, f"{name}={value}")))


@dataclass(frozen=True, slots=True)
class SchemeCredential:
    """A credential that is sent in one scheme only. `variable`: the environment variable that it is read from."""

    value: str = field(repr=False)
    variable: str


@dataclass(frozen=True, slots=True)
class CredentialPart:
    """One of the credentials of a request. `credential`: None for the token of the actor."""

    format: CredentialFormat = CredentialFormat()
    credential: SchemeCredential | None = None


_TOKEN_ONLY = (CredentialPart(),)


def derive_invalid_tokens(token: str) -> Mapping[str, str]:
    """Return tokens that differ slightly from a valid one, by kind.

    The case is not changed if it may have no meaning: in hexadecimal digits, as of a UUID.
    """
    half = len(token) // 2
    derived = {
        "a character before the token": f"x{token}",
        "a character after the token": f"{token}x",
        "the token without its last character": token[:-1],
        "a space inside the token": f"{token[:half]} {token[half:]}",
    }
    if not _HEXADECIMAL.fullmatch(token) and token.swapcase() != token:
        derived["the letters of the token in the other case"] = token.swapcase()
    return derived


@dataclass(frozen=True, slots=True)
class OperationCredentials:
    """The credentials of each operation: one of the alternatives that it declares, and never another scheme.

    `parts`: by operationId; of other operations the bearer token. `problems`: operationId -> why the run cannot send
    the credentials that the operation requires.
    """

    parts: Mapping[str, tuple[CredentialPart, ...]] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_contract(
        cls, contract: Contract, credentials: Mapping[str, SchemeCredential] | None = None, *, token_env: str = ""
    ) -> "OperationCredentials":
        """Choose an alternative of each operation.

        `credentials`: scheme -> its credential; the token is sent in one more scheme. A contract without security
        requirements gets the bearer token in all operations.
        """
        if not any(operation.security for operation in contract.operations.values()):
            return cls()
        chooser = _AlternativeChooser(contract, credentials or {}, CredentialFormat.from_contract(contract))
        parts: dict[str, tuple[CredentialPart, ...]] = {}
        problems: dict[str, str] = {}
        for operation in contract.operations.values():
            chosen = chooser.choose(operation)
            parts[operation.id] = chosen or ()
            if chosen is None:
                problems[operation.id] = chooser.describe_missing(operation, token_env)
        return cls(parts, problems)

    def find(self, operation_id: str) -> tuple[CredentialPart, ...]:
        """Return the credentials of an operation."""
        return self.parts.get(operation_id, _TOKEN_ONLY)

    def needs_token(self, operation_id: str) -> bool:
        """Whether the token of the actor is one of the credentials of an operation."""
        return any(part.credential is None for part in self.find(operation_id))

    def add(
        self, operation_id: str, actor: Actor, tokens: Mapping[str, str], target: str, headers: dict[str, str]
    ) -> str:
        """Add the credentials of an actor to `headers`, or to the target of a request; return the target."""
        for part in () if actor is Actor.ANONYMOUS else self.find(operation_id):
            value = tokens.get(actor) if part.credential is None else part.credential.value
            if value is not None:
                target = part.format.add(value, target, headers)
        return target

    def describe(self, operation_id: str, token_env: str) -> str:
        """Return what messages call the credentials of an operation."""
        parts = self.find(operation_id)
        if all(part.credential is None for part in parts):
            return f"the token in ${token_env}"
        names = [token_env if part.credential is None else part.credential.variable for part in parts]
        return f"the credentials in {' and '.join(f'${name}' for name in names)}"


@dataclass(frozen=True, slots=True)
class PrintedCredentials:
    """Credentials as options of curl, with values from environment variables.

    `variables`: actor -> the variable with its token. `is_login`: whether a token has a user and a password.
    """

    credentials: OperationCredentials
    variables: Mapping[Actor, str]
    is_login: bool = True

    def list_variables(self, operation_id: str, actor: Actor) -> list[tuple[CredentialPart, str]]:
        """Return the credentials of a request, each with its variable."""
        if actor is Actor.ANONYMOUS:
            return []
        parts = self.credentials.find(operation_id)
        names = ((p, p.credential.variable if p.credential else self.variables.get(actor, "")) for p in parts)
        return [(part, name) for part, name in names if name]

    def list_options(self, request: Request) -> list[str]:
        """Return the options for the credentials in headers, except for those that the request has itself."""
        options, cookies, own_names = [], [], {name.lower() for name in request.headers}
        for part, name in self.list_variables(request.operation, request.token_actor):
            place = part.format
            if place.location == "cookie":
                cookies.append(f"{place.name}=${{{name}}}")
            elif place.location == "query" or place.name.lower() in own_names:
                continue
            elif place.prefix == BASIC_PREFIX:
                is_login = ":" in part.credential.value if part.credential else self.is_login
                options.append(f'-u "${name}"' if is_login else f'-u "${{{name}}}:"')
            else:
                options.append(f'-H "{place.name}: {place.prefix}${name}"')
        if cookies and COOKIE.lower() not in own_names:
            options.append(f'-H "{COOKIE}: {"; ".join(cookies)}"')
        return options

    def build_query(self, request: Request) -> str:
        """Return the end of the URL of a request with the credentials in the query, quoted for a shell; or ""."""
        text = ""
        for part, name in self.list_variables(request.operation, request.token_actor):
            if part.format.location == "query":
                separator = "&" if "?" in request.target or text else "?"
                text += f'{shlex.quote(f"{separator}{quote(part.format.name)}=")}"${name}"'
        return text


@dataclass(frozen=True, slots=True)
class _AlternativeChooser:
    """Chooses one of the security requirements of an operation."""

    contract: Contract
    credentials: Mapping[str, SchemeCredential]
    token_format: CredentialFormat

    def choose(self, operation: Operation) -> tuple[CredentialPart, ...] | None:
        """Return the credentials of an alternative; None if values are missing for each.

        Preferred: only the token, in the scheme of the contract; then an alternative without the token.
        Anonymous access is the last choice.
        """
        candidates = [self._build_parts(alternative) for alternative in operation.security if alternative]
        possible = [parts for parts in candidates if sum(part.credential is None for part in parts) <= 1]
        token_only = (CredentialPart(self.token_format),)
        if token_only in possible or not operation.security:
            return token_only if operation.security else ()
        possible.sort(key=lambda parts: sum(part.credential is None for part in parts))  # stable
        if possible:
            return possible[0]
        return () if () in operation.security else None

    def describe_missing(self, operation: Operation, token_env: str) -> str:
        """Describe which values the first alternative lacks."""
        missing = {
            name: created.description
            for name in operation.security[0]
            if name not in self.credentials and (created := self._find_format(name)) is not None
        }
        token_scheme, *others = missing
        schemes = " and ".join(f"{name} ({missing[name]})" for name in others)
        options = " ".join(f"--credential {name}=VARIABLE" for name in others)
        token = f"${token_env}" if token_env else "the token"
        return f"no credential for {schemes}: add {options}; {token} is sent as {token_scheme}"

    def _build_parts(self, names: Iterable[str]) -> tuple[CredentialPart, ...]:
        formats = ((name, self._find_format(name)) for name in names)
        return tuple(CredentialPart(f, self.credentials.get(name)) for name, f in formats if f is not None)

    def _find_format(self, name: str) -> CredentialFormat | None:
        return CredentialFormat.from_scheme(self.contract.security_schemes[name])


def split_headers(
    contract: Contract, headers: Iterable[tuple[str, str]]
) -> tuple[tuple[tuple[str, str], ...], dict[str, SchemeCredential]]:
    """Split the headers of each request into those that are no credentials, and the credentials by scheme.

    A credential is sent only with operations that declare its scheme, and not with anonymous requests.
    """
    others: list[tuple[str, str]] = []
    credentials: dict[str, SchemeCredential] = {}
    for name, value in headers:
        schemes = _find_schemes(contract, name)
        if name.lower() == COOKIE.lower():
            value, found = _split_cookies(value, schemes)
            credentials |= {scheme: SchemeCredential(text, header_variable(key)) for scheme, key, text in found}
        elif schemes:
            credentials |= {scheme: SchemeCredential(value, header_variable(name)) for scheme in schemes}
            continue
        if value:
            others.append((name, value))
    return tuple(others), credentials


def _find_schemes(contract: Contract, header: str) -> dict[str, str]:
    """Return scheme -> name of its header or cookie, of the API keys in a header; in Cookie those in cookies."""
    location = "cookie" if header.lower() == COOKIE.lower() else "header"
    keys = {n: s for n, s in contract.security_schemes.items() if s.get("in") == location}
    return {n: s["name"] for n, s in keys.items() if location == "cookie" or s["name"].lower() == header.lower()}


def _split_cookies(header: str, schemes: Mapping[str, str]) -> tuple[str, list[tuple[str, str, str]]]:
    """Return the header without the cookies of schemes, and (scheme, cookie, value) of these."""
    try:
        cookies = {name: morsel.coded_value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return header, []
    found = [(scheme, name, cookies[name]) for scheme, name in schemes.items() if name in cookies]
    if not found:
        return header, []
    names = {name for _, name, _ in found}
    return "; ".join(f"{name}={value}" for name, value in cookies.items() if name not in names), found
