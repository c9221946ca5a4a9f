"""One world: a store with its clock, its encodings, its tokens and what is due in it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from mock_server.clock import Clock, format_timestamp
from mock_server.pages import Pages
from mock_server.plans import WritePlans
from mock_server.query import Query
from mock_server.representation import Representation
from mock_server.store import Store, Stored, Tag
from mock_server.store.plan import property_column, quoted
from mock_server.viewer import Viewer
from spec.contract import Contract, Resource
from spec.schemas import SchemaValidators

TOKEN_LIFETIME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whom a token is for. `user`: which of the account resource, in the order of their numbers; None: nobody."""

    user: int | None
    who: str


# The tokens that nobody has to ask for.
STANDING_TOKENS = {
    "demo-token": Standing(0, "the first user"),
    "other-token": Standing(1, "the second, in another tenant"),
    "viewer-token": Standing(2, "the third, who owns nothing"),
    "expired-token": Standing(None, "always 401"),
}

# The last two bits of a digit, as RFC 4122 has them behind the first two of that place.
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


@dataclass(frozen=True, slots=True)
class Token:
    """What sign in gives."""

    token: str
    expires: datetime


@dataclass(slots=True)
class World:
    """Everything that one world holds; nothing of it is shared with another."""

    contract: Contract
    schemas: SchemaValidators
    store: Store
    clock: Clock
    seed: int
    name: str = "default"
    pages: Pages = field(init=False)
    representation: Representation = field(init=False)
    phrases: Mapping[str, Any] = field(init=False)
    plans: WritePlans = field(init=False)
    _entering: tuple[str, ...] = field(init=False)  # the resources that say who enters which tenant
    _next_due: datetime | None = None

    def __post_init__(self) -> None:
        said = (self.contract.account_resource, self.contract.tenant_resource)
        self._entering = tuple(resource.name for resource in said if resource)
        self.pages = Pages.of(self.store)
        self.representation = Representation.of(self.contract, self.store)
        self.plans = WritePlans(self.contract)
        self.phrases = orjson.loads(self.store.meta().get("phrases", "{}"))
        self.store.listeners.append(self._heard)
        self._look_ahead()

    def _heard(self, touched: Iterable[Tag] | None) -> None:
        if touched is None:  # what was to be due may have been undone
            self._look_ahead()

    def _look_ahead(self) -> None:
        at = self.store.scalar("SELECT MIN(at) FROM _due")
        self._next_due = None if at is None else datetime.fromisoformat(at)

    def query(self, viewer: Viewer | None) -> Query:
        """Questions to this world's store on behalf of `viewer`."""
        return Query(self.contract, self.store, viewer)

    # Identity ---------------------------------------------------------------------------------------------------

    def new_key(self, resource: Resource) -> Any:
        """The key of the next record of a resource: a function of seed, world, resource and number."""
        number = self.store.next_number(resource.name)
        return number if resource.has_integer_key else self.identifier(resource.name, number)

    def identifier(self, *of: object) -> str:
        """A UUID that is a function of seed, world and `of`."""
        said = f"{self.seed}/{self.name}/{'/'.join(map(str, of))}"
        found = hashlib.sha256(said.encode()).hexdigest()
        return f"{found[:8]}-{found[8:12]}-4{found[13:16]}-{_VARIANT[found[16]]}{found[17:20]}-{found[20:32]}"

    # Who asks ---------------------------------------------------------------------------------------------------

    def viewer(self, token: str, now: datetime) -> Viewer | None:
        """Who a token stands for; None when it is unknown, expired or ended."""
        account = self.contract.account_resource
        if account is None:
            return None
        standing = STANDING_TOKENS.get(token)
        if standing is not None:
            of = self._entering
            found: Viewer | None = self.store.remembered(("standing", token), of, lambda: self._standing(standing))
            return found
        there = f"user IN (SELECT key FROM {quoted(account.name)})"  # an account may be deleted while signed in
        sql = f"SELECT user FROM _tokens WHERE token = ? AND expires > ? AND {there}"
        user = self.store.scalar(sql, (token, format_timestamp(now)))
        return None if user is None else self.viewer_of(user)

    def _standing(self, standing: Standing) -> Viewer | None:
        account = self.contract.account_resource
        if account is None or standing.user is None:
            return None
        sql = f"SELECT key FROM {quoted(account.name)} ORDER BY n LIMIT 1 OFFSET {standing.user}"
        user = self.store.scalar(sql)
        return None if user is None else self.viewer_of(user)

    def viewer_of(self, user: Any) -> Viewer:
        """A user of the account resource as viewer, with the tenants that it may enter, its home first."""
        found: Viewer = self.store.remembered(("viewer", user), self._entering, lambda: self._viewer(user))
        return found

    def _viewer(self, user: Any) -> Viewer:
        account, tenant = self.contract.account_resource, self.contract.tenant_resource
        if account is None or tenant is None:
            return Viewer(user, ())
        link = self.store.tables[tenant.name].links[tenant.members_relation or ""]
        found = [
            row[0] for row in self.store.connection.execute(f"SELECT owner FROM {link.name} WHERE target = ?", (user,))
        ]
        if len(tenant.owner_path) == 1:
            condition = f"{quoted('r_' + tenant.owner_path[0])} = ?"
            found += [record.key for record in self.store.rows(tenant.name, condition, (user,))]
        record = self.store.get(account.name, user)
        references = record.references.values() if record else ()
        home = [r.key for r in references if r is not None and r.resource == tenant.name]
        return Viewer(user, tuple(dict.fromkeys([*home, *found])))

    def sign_in(self, login: str, secret: str, now: datetime) -> tuple[Token, Stored] | None:
        """A fresh token for the account with this login and secret, and the account; None when they do not fit."""
        resource = self.contract.account_resource
        if resource is None or resource.credentials is None:
            return None
        where = f"{property_column((resource.credentials.login,))} = ? COLLATE NOCASE"
        found = self.store.rows(resource.name, where, (login,))
        if not found or found[0].own.get(resource.credentials.secret) != secret:
            return None
        expires = now + TOKEN_LIFETIME
        with self.store.transaction():
            number = 1 + int(self.store.meta().get("tokens", "0"))
            self.store.set_meta({"tokens": str(number)})
            token = f"{number}|{hashlib.sha256(self.identifier('token', number).encode()).hexdigest()[:40]}"
            row = (token, found[0].key, format_timestamp(expires))
            self.store.connection.execute("INSERT INTO _tokens VALUES (?, ?, ?)", row)
        return Token(token, expires), found[0]

    def sign_out(self, token: str) -> None:
        """End a token that sign in gave. The standing ones never end."""
        self.store.connection.execute("DELETE FROM _tokens WHERE token = ?", (token,))

    # Time -------------------------------------------------------------------------------------------------------

    def schedule(self, at: datetime, record: Stored, own: Mapping[str, Any]) -> None:
        """Let own properties of a record change at an instant."""
        row = (format_timestamp(at), record.resource, record.key, orjson.dumps(dict(own)).decode())
        self.store.connection.execute("INSERT INTO _due (at, resource, key, changes) VALUES (?, ?, ?, ?)", row)
        self._next_due = min(self._next_due or at, at)

    def forget_schedule(self, record: Stored) -> None:
        """Nothing more is due for a record."""
        sql = "DELETE FROM _due WHERE resource = ? AND key = ?"
        self.store.connection.execute(sql, (record.resource, record.key))

    def due(self, now: datetime) -> None:
        """Apply every change that is due by now, in the order of their instants."""
        if self._next_due is None or self._next_due > now:
            return
        with self.store.transaction():
            sql = "SELECT id, resource, key, changes, at FROM _due WHERE at <= ? ORDER BY at, id"
            for identity, resource, key, changes, at in self.store.connection.execute(
                sql, (format_timestamp(now),)
            ).fetchall():
                record = self.store.get(resource, key)
                if record is not None:
                    stamps = dict.fromkeys(self.contract.resources[resource].attributes_with_stamp("updated"), at)
                    self.store.change(resource, key, record.own | orjson.loads(changes) | stamps)
                self.store.connection.execute("DELETE FROM _due WHERE id = ?", (identity,))
        self._look_ahead()

    # Loading ----------------------------------------------------------------------------------------------------

    def add_all(self, records: Iterable[Any]) -> None:
        """Store records that were made elsewhere."""
        with self.store.transaction():
            for record in records:
                self.store.add(record)
