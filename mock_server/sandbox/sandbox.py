"""A sandbox: a store with its clock, encoder, tokens and scheduled changes.

A named sandbox starts as an alias: it reads the store of its dataset's image, which all aliases of it share, and gets
a private copy before its first write. Its tokens and logins contain its name, so that each of them alone selects it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import orjson

from mock_server.query import Viewer
from mock_server.sandbox.clock import Clock, format_timestamp
from mock_server.sandbox.journal import RequestJournal
from mock_server.sandbox.record_defaults import RecordDefaults
from mock_server.sandbox.response_cache import ResponseCache
from mock_server.sandbox.rules import RuleSet
from mock_server.sandbox.sessions import derive_session, is_session
from mock_server.serialization.encoder import RecordEncoder
from mock_server.store import Store, StoredRecord, Tag
from mock_server.store.errors import parse_stored_object, to_store_failure
from mock_server.store.expressions import SqlExpression
from spec.model import Contract, Resource
from spec.record import Reference
from spec.validators import SchemaValidators

TOKEN_LIFETIME = timedelta(hours=12)
DEFAULT_NAME = "default"
# Separates a token, or the local part of an e-mail address, from the name of its sandbox.
TOKEN_SEPARATOR, LOGIN_SEPARATOR = "~", "+"


@dataclass(frozen=True, slots=True)
class BuiltinToken:
    """A token that exists without sign-in. `account_index`: position of its account by number; None: always invalid."""

    account_index: int | None
    description: str


BUILTIN_TOKENS = {
    "demo-token": BuiltinToken(0, "the first user"),
    "other-token": BuiltinToken(1, "the second, in another tenant"),
    "viewer-token": BuiltinToken(2, "the third, who owns nothing"),
    "expired-token": BuiltinToken(None, "always 401"),
}

# Hexadecimal digit -> the digit with the two most significant bits of the variant of RFC 4122.
_UUID_VARIANT_DIGITS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


@dataclass(slots=True)
class StoreReaders:
    """A store with what is derived from its records: encoder, cached responses, and texts of generated answers."""

    store: Store
    encoder: RecordEncoder
    responses: ResponseCache
    phrases: Mapping[str, Any]

    @classmethod
    def from_store(cls, contract: Contract, store: Store, max_cached_bytes: int | None = None) -> "StoreReaders":
        limits = () if max_cached_bytes is None else (max_cached_bytes,)
        encoder, responses = RecordEncoder.from_store(contract, store, *limits), ResponseCache(store, *limits)
        return cls(store, encoder, responses, orjson.loads(store.read_metadata().get("phrases", "{}")))


class SandboxOwner(Protocol):
    """Prepares the writes to a named sandbox. Raises ApiError (429) if there is no memory for them.

    `default`: the default sandbox.
    """

    default: "Sandbox"

    def prepare_write(self, sandbox: "Sandbox") -> None: ...


@dataclass(slots=True)
class Sandbox:
    """The complete state of a mock. Sandboxes share nothing that can be written.

    `owner`: None for the default sandbox. `is_alias`: the store is the one of a dataset's image, and read-only.
    `is_deleted`: it was deleted or replaced, and its store may be closed.
    `journal`: None if requests are not recorded. `execution_seconds`: run time of an execution; None: 2 to 5 seconds.
    `pending_requests`: number of requests that name it or that a rule may answer, and that have no response yet.
    """

    contract: Contract
    validators: SchemaValidators
    store: Store
    clock: Clock
    seed: int
    name: str = DEFAULT_NAME
    owner: SandboxOwner | None = None
    is_alias: bool = False
    is_deleted: bool = False
    shared_readers: InitVar[StoreReaders | None] = None
    rules: RuleSet = field(default_factory=RuleSet)
    journal: RequestJournal | None = None
    execution_seconds: float | None = None
    pending_requests: int = 0
    encoder: RecordEncoder = field(init=False)
    responses: ResponseCache = field(init=False)
    phrases: Mapping[str, Any] = field(init=False)
    _record_defaults: dict[str, RecordDefaults] = field(default_factory=dict)
    _membership_resources: tuple[str, ...] = field(init=False)  # resources that define the users and their tenants
    _next_change_at: datetime | None = None

    def __post_init__(self, shared_readers: StoreReaders | None) -> None:
        resources = (self.contract.account_resource, self.contract.tenant_resource)
        self._membership_resources = tuple(resource.name for resource in resources if resource)
        self.attach(shared_readers or StoreReaders.from_store(self.contract, self.store), is_alias=self.is_alias)

    def attach(self, readers: StoreReaders, *, is_alias: bool) -> None:
        """Use another store."""
        self.store, self.encoder, self.responses = readers.store, readers.encoder, readers.responses
        self.phrases, self.is_alias = readers.phrases, is_alias
        if not is_alias:
            self.store.listeners.append(self._on_write)
        self._load_next_change()

    @property
    def is_in_use(self) -> bool:
        """Whether a request has no response yet, or an event stream is open."""
        return self.pending_requests > 0 or (self.journal is not None and bool(self.journal.listeners))

    def prepare_write(self) -> None:
        """Make the store writable. Raises ApiError (429)."""
        if self.owner is not None:
            self.owner.prepare_write(self)

    def _on_write(self, changed_tags: Iterable[Tag] | None) -> None:
        if changed_tags is None:  # a rollback may have removed scheduled changes
            self._load_next_change()

    def _load_next_change(self) -> None:
        timestamp = self.store.scalar("SELECT MIN(at) FROM _scheduled_changes")
        self._next_change_at = None if timestamp is None else datetime.fromisoformat(timestamp)

    def get_record_defaults(self, resource: Resource) -> RecordDefaults:
        defaults = self._record_defaults.get(resource.name)
        if defaults is None:
            defaults = self._record_defaults[resource.name] = RecordDefaults.from_resource(self.contract, resource)
        return defaults

    def create_key(self, resource: Resource) -> Any:
        """Return the key of the next record of a resource: a function of seed, resource and number."""
        number = self.store.next_number(resource.name)
        return number if resource.has_integer_key else self.derive_uuid(resource.name, number)

    def derive_uuid(self, *parts: object) -> str:
        """Return a UUID that is a function of seed and `parts`."""
        seed_text = f"{self.seed}/default/{'/'.join(map(str, parts))}"
        digest = hashlib.sha256(seed_text.encode()).hexdigest()
        variant = _UUID_VARIANT_DIGITS[digest[16]]
        return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"

    def resolve_token(self, token: str, now: datetime) -> Viewer | None:
        """Return the viewer of a token; None if it is unknown, expired or revoked."""
        account = self.contract.account_resource
        if account is None:
            return None
        builtin_token = self.find_builtin_token(token)
        if builtin_token is not None:
            create_viewer = partial(self._create_builtin_viewer, builtin_token)
            cache_key = ("builtin", builtin_token.account_index)
            return self.store.memoize(cache_key, self._membership_resources, create_viewer)
        return None if is_session(token) else self._find_viewer(account, token, now)

    def resolve_session(self, session: str, now: datetime) -> Viewer | None:
        """Return the viewer of a session; None if it is unknown, expired or revoked."""
        account = self.contract.account_resource
        return self._find_viewer(account, session, now) if account and is_session(session) else None

    def resolve_credential(self, credential: str, now: datetime) -> Viewer | None:
        """Return the viewer of a token or a session; None if it is not valid."""
        resolve = self.resolve_session if is_session(credential) else self.resolve_token
        return resolve(credential, now)

    def resolve_login(self, login: str, secret: str) -> Viewer | None:
        """Return the viewer of a login name and its password; None if they are not valid."""
        account = self._find_account_with_secret(login, secret)
        return None if account is None else self.get_viewer(account.key)

    def _find_account_with_secret(self, login: str, secret: str) -> StoredRecord | None:
        resource = self.contract.account_resource
        if resource is None or resource.credentials is None:
            return None
        account = self.find_account(login) or self.find_account(self.remove_login_suffix(login))
        has_secret = account is not None and account.attributes.get(resource.credentials.secret) == secret
        return account if has_secret else None

    def _find_viewer(self, account: Resource, token: str, now: datetime) -> Viewer | None:
        """Return the viewer of a stored token or session."""
        sql = "SELECT user FROM _tokens WHERE token = ? AND expires > ?"
        user_key = self.store.scalar(sql, (token, format_timestamp(now)))
        # An account may be deleted while its tokens are valid.
        return self.get_viewer(user_key) if self.store.get(account.name, user_key) else None

    def find_builtin_token(self, token: str) -> BuiltinToken | None:
        """Return the built-in token of this name, which may contain the name of this sandbox; None without one."""
        return BUILTIN_TOKENS.get(token) or BUILTIN_TOKENS.get(token.removesuffix(f"{TOKEN_SEPARATOR}{self.name}"))

    def find_token_expiry(self, credential: str) -> datetime | None:
        """Return when an issued token or session expires; None if it is unknown or revoked."""
        expires = self.store.scalar("SELECT expires FROM _tokens WHERE token = ?", (credential,))
        return None if expires is None else datetime.fromisoformat(expires)

    def qualify_token(self, token: str) -> str:
        """Return a token with the name of this sandbox; unchanged for the default sandbox."""
        return token if self.name == DEFAULT_NAME else f"{token}{TOKEN_SEPARATOR}{self.name}"

    def qualify_login(self, login: str) -> str:
        """Return a login with the name of this sandbox (``ada+NAME@example.com``); unchanged for the default one."""
        local_part, at, domain = login.rpartition("@") if "@" in login else (login, "", "")
        return login if self.name == DEFAULT_NAME else f"{local_part}{LOGIN_SEPARATOR}{self.name}{at}{domain}"

    def remove_login_suffix(self, login: str) -> str:
        """Return a login without the name of this sandbox."""
        local_part, at, domain = login.rpartition("@") if "@" in login else (login, "", "")
        return f"{local_part.removesuffix(f'{LOGIN_SEPARATOR}{self.name}')}{at}{domain}"

    def _create_builtin_viewer(self, builtin_token: BuiltinToken) -> Viewer | None:
        account = self.contract.account_resource
        if account is None or builtin_token.account_index is None:
            return None
        accounts = self.store.select(account.name, limit=f"LIMIT 1 OFFSET {builtin_token.account_index}")
        return self.get_viewer(accounts[0].key) if accounts else None

    def get_viewer(self, user_key: Any) -> Viewer:
        """Return the viewer of an account, with its tenants, the home tenant first."""
        create_viewer = partial(self._create_viewer, user_key)
        return self.store.memoize(("viewer", user_key), self._membership_resources, create_viewer)

    def _create_viewer(self, user_key: Any) -> Viewer:
        account, tenant = self.contract.account_resource, self.contract.tenant_resource
        if account is None or tenant is None:
            return Viewer(user_key, ())
        user = Reference(account.name, user_key)
        memberships = self.store.find_referrers(tenant.name, tenant.members_relation or "", user)
        tenant_keys = sorted(reference.key for reference in memberships)
        if len(tenant.owner_path) == 1:
            tenant_keys += [item.key for item in self.store.find_referrers(tenant.name, tenant.owner_path[0], user)]
        references = self.store.get_references(user) or {}
        home_keys = [target.key for target in references.values() if target and target.resource == tenant.name]
        return Viewer(user_key, tuple(dict.fromkeys([*home_keys, *tenant_keys])))

    def sign_in(self, login: str, secret: str, now: datetime) -> tuple[str, datetime, StoredRecord] | None:
        """Return (token, when it expires, account) for valid credentials, else None.

        If the contract has a session cookie, the session of the token starts too.
        """
        account = self._find_account_with_secret(login, secret)
        if account is None:
            return None
        expires_at = now + TOKEN_LIFETIME
        with self.store.transaction():
            number = 1 + int(self.store.read_metadata().get("tokens", "0"))
            self.store.write_metadata({"tokens": str(number)})
            secret_part = hashlib.sha256(self.derive_uuid("token", number).encode()).hexdigest()[:40]
            token = self.qualify_token(f"{number}|{secret_part}")
            credentials = (token, self.derive_session(token)) if self.contract.session_cookie else (token,)
            rows = [(credential, account.key, format_timestamp(expires_at)) for credential in credentials]
            self.store.connection.executemany("INSERT INTO _tokens VALUES (?, ?, ?)", rows)
        return token, expires_at, account

    def derive_session(self, token: str) -> str:
        """Return the id of the session that starts with the issue of a token."""
        return self.qualify_token(derive_session(token))

    def find_account(self, login: str) -> StoredRecord | None:
        """Return the account with a login, without regard to the case of ASCII letters."""
        resource = self.contract.account_resource
        if resource is None or resource.credentials is None:
            return None
        attribute = self.store.build_expression(resource.name, resource.credentials.login)
        has_login = SqlExpression(f"{attribute.sql} = ? COLLATE NOCASE", (login,), columns=attribute.columns)
        return next(iter(self.store.select(resource.name, has_login)), None)

    def sign_out(self, credential: str) -> None:
        """Revoke the token and the session of a sign-in, of which one is given. Built-in tokens cannot be revoked."""
        sql = "SELECT token FROM _tokens WHERE user = (SELECT user FROM _tokens WHERE token = ?)"
        tokens = [token for (token,) in self.store.connection.execute(sql, (credential,)).fetchall()]
        revoked = [token for token in tokens if credential in (token, self.derive_session(token))]
        revoked += [self.derive_session(token) for token in revoked]
        self.store.connection.executemany("DELETE FROM _tokens WHERE token = ?", [(token,) for token in revoked])

    def schedule_change(self, instant: datetime, record: StoredRecord, attributes: Mapping[str, Any]) -> None:
        row = (format_timestamp(instant), record.resource, record.key, orjson.dumps(dict(attributes)).decode())
        self.store.connection.execute(
            "INSERT INTO _scheduled_changes (at, resource, key, changes) VALUES (?, ?, ?, ?)", row
        )
        self._next_change_at = min(self._next_change_at or instant, instant)

    def cancel_scheduled_changes(self, record: StoredRecord) -> None:
        sql = "DELETE FROM _scheduled_changes WHERE resource = ? AND key = ?"
        self.store.connection.execute(sql, (record.resource, record.key))

    def apply_scheduled_changes(self, now: datetime) -> None:
        """Apply the changes scheduled up to `now`, in the order of their instants.

        If the store cannot be written, for example because the disk is full, reads continue with the present records
        and the next request tries again.
        """
        if self._next_change_at is None or self._next_change_at > now:
            return
        try:
            self.prepare_write()
            self._apply_scheduled_changes(now)
        except Exception as error:
            if to_store_failure(error) is None:
                raise

    def _apply_scheduled_changes(self, now: datetime) -> None:
        with self.store.transaction():
            sql = "SELECT id, resource, key, changes, at FROM _scheduled_changes WHERE at <= ? ORDER BY at, id"
            rows = self.store.connection.execute(sql, (format_timestamp(now),)).fetchall()
            for change_id, resource, key, changes, changed_at in rows:
                record = self.store.get(resource, key)
                if record is not None:
                    updated = self.contract.resources[resource].attributes_with_stamp("updated")
                    changed = parse_stored_object(changes, f"scheduled change {change_id}")
                    changed |= dict.fromkeys(updated, changed_at)
                    attributes = {**record.attributes, **changed}
                    self.store.update(resource, key, attributes)
                self.store.connection.execute("DELETE FROM _scheduled_changes WHERE id = ?", (change_id,))
        self._load_next_change()
