"""What the contract's query words mean: page, size, sort, direction, filter, search, include, count.

`Query.page` turns a validated query into SQL; only records that the viewer may see are ever in it. No table is scanned
in Python.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from mock_server.store import Store, Stored, plan
from mock_server.store.plan import property_column, quoted, reference_column, search_column
from mock_server.viewer import Viewer
from spec.contract import Contract, Relation, Resource, resolve_count, resolve_include, resolve_property_path
from spec.record import Reference
from spec.words import QueryExtension

UNPAGED = 100  # rows of a list whose size the contract leaves open
# Records that may hold a term are looked at one by one where they are no more than FEW, and so few that going through
# the table in the list's order would not sooner have found a page of WANTED of them.
FEW = 2_000
WANTED = 20
# To count them is sooner than to count in the whole table while they are no more than this part of it.
PART = 16


@dataclass(frozen=True, slots=True)
class Condition:
    """An SQL condition on a resource's table and its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


EVERYTHING = Condition("1")
NOTHING = Condition("0")


@dataclass(frozen=True, slots=True)
class Asked:
    """One word of a query with its value: `name` is the parameter's."""

    name: str
    word: QueryExtension
    value: Any


@dataclass(frozen=True, slots=True)
class Listing:
    """What a query asks of a resource, as SQL: true while nothing is shared that was not, or no longer.

    `searched`: the words that an index may help with. `order` and `backwards`: from the beginning, and from the end.
    """

    resource: Resource
    condition: Condition
    searched: tuple[Asked, ...]
    order: str
    backwards: str
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list, and the total they are taken from."""

    rows: list[Stored]
    total: int
    page: int
    size: int


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Holds where one of them does."""
    return _joined(list(conditions), " OR ", NOTHING)


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Holds where each of them does."""
    return _joined([c for c in conditions if c is not EVERYTHING], " AND ", EVERYTHING)


def _joined(conditions: list[Condition], word: str, empty: Condition) -> Condition:
    if not conditions:
        return empty
    if len(conditions) == 1:
        return conditions[0]
    return Condition(
        "(" + word.join(c.sql for c in conditions) + ")", tuple(p for c in conditions for p in c.parameters)
    )


@dataclass(frozen=True, slots=True)
class Query:
    """Asks one store on behalf of one viewer.

    `narrowing`: how many records that may hold a term are worth naming in a search's condition. Such a condition is
    true of the store as it stands; that of 0 names none, and means the same after any write.
    """

    contract: Contract
    store: Store
    viewer: Viewer | None
    narrowing: int = 0

    # Who sees what ----------------------------------------------------------------------------------------------

    def visible(self, resource: Resource) -> Condition:
        """What of a resource the viewer may see: what lies in the viewer's tenants, is public, or was shared."""
        asked, of = ("visible", resource.name, self.viewer), self.contract.access_grant_resources
        found: Condition = self.store.remembered(asked, of, lambda: self._visible(resource))
        return found

    def _visible(self, resource: Resource) -> Condition:
        if self.viewer is None or not (resource.tenant_path or resource.members_relation):
            return EVERYTHING
        ways = [_in("tenant", self.viewer.tenant_keys)]
        if resource.public_when:
            marks = [_in(property_column((k,)), (plan.comparable(v, None),)) for k, v in resource.public_when.items()]
            ways.append(all_of(marks))
        return any_of([*ways, *(condition for condition, _ in self.shared(resource))])

    def shared(self, resource: Resource) -> Iterator[tuple[Condition, str]]:
        """(condition, permission) of what was shared with the viewer, by itself or with what it belongs to: a record
        whose path to its tenant leads through one that was shared is seen, and written, as that one is.
        """
        steps: tuple[Relation, ...] = ()
        at = resource
        for name in (None, *resource.tenant_path):
            if name is not None:
                step = at.relations[name]
                if len(step.targets) != 1:
                    return
                steps, at = (*steps, step), self.contract.resources[step.targets[0]]
            by_permission: dict[str, list[Any]] = {}
            for key, permission in self.granted(at):
                by_permission.setdefault(permission, []).append(key)
            for permission, keys in by_permission.items():
                yield self._through(resource, steps, at, (at.key_attribute,), _in("key", keys)), permission

    def granted(self, resource: Resource) -> list[tuple[Any, str]]:
        """(key, permission) of the records of a resource that were themselves shared with the viewer."""
        viewer = self.viewer
        found: list[tuple[Any, str]] = []
        for other in self.contract.resources.values():
            if viewer is None or other.access_grant is None:
                continue
            subject, entity = other.relations[other.access_grant.subject], other.relations[other.access_grant.entity]
            if resource.name not in subject.targets:
                continue
            to = [plan.reference_value(entity, r) for r in self._entities(entity, viewer)]
            condition = _in(reference_column(entity.name), to)
            permission = property_column((other.access_grant.permission,))
            column = reference_column(subject.name)
            sql = f"SELECT {column}, {permission} FROM {quoted(other.name)} WHERE {condition.sql}"
            for value, said in self.store.connection.execute(sql, condition.parameters):
                reference = plan.reference_of(self.contract, subject, value)
                if reference is not None and reference.resource == resource.name:
                    found.append((reference.key, said))
        return found

    def _entities(self, relation: Relation, viewer: Viewer) -> Iterator[Reference]:
        account, tenant = self.contract.account_resource, self.contract.tenant_resource
        if account and account.name in relation.targets:
            yield Reference(account.name, viewer.user_key)
        if tenant and tenant.name in relation.targets:
            yield from (Reference(tenant.name, key) for key in viewer.tenant_keys)

    # Filters and search -----------------------------------------------------------------------------------------

    def conditions(self, resource: Resource, asked: Iterable[Asked]) -> Condition:
        """All filters and searches of a query together."""
        listed = list(asked)
        given = {a.name for a in listed}
        found = []
        for one in listed:
            if one.word.role == "filter" and one.word.unless_parameter not in given:
                found.append(self.filter(resource, one.word, one.value))
            elif one.word.role == "search":
                found.append(any_of(self.search(resource, path, str(one.value)) for path in one.word.paths))
        return all_of(found)

    def filter(self, resource: Resource, word: QueryExtension, value: Any) -> Condition:
        """One filter."""
        steps, end, own = resolve_property_path(self.contract, resource, word.paths[0], "")
        if word.operator == "exists":
            condition = self._exists(resource, steps[0])
            return condition if value else Condition(f"NOT {condition.sql}", condition.parameters)
        inner = self._compare(end, own, word.operator, value if isinstance(value, list) else [value])
        return self._through(resource, steps, end, own, inner)

    def search(self, resource: Resource, path: tuple[str, ...], term: str) -> Condition:
        """Records whose property holds the term, whatever its case."""
        steps, end, own = resolve_property_path(self.contract, resource, path, "")
        text = plan.folded(term) or ""
        inner = all_of((self._may_hold(end, text), Condition(f"instr({search_column(own)}, ?) > 0", (text,))))
        return self._through(resource, steps, end, own, inner)

    def _may_hold(self, resource: Resource, text: str) -> Condition:
        """True of all records with a folded text in them, and of few others."""
        found = self.store.holding(resource.name, text, self.narrowing) if self.narrowing else None
        if found is None:
            return EVERYTHING
        numbers, last = found
        newer = f"SELECT n FROM {quoted(resource.name)} WHERE n > ?"
        return Condition(f"n IN (SELECT value FROM json_each(?) UNION ALL {newer})", (json.dumps(numbers), last))

    def _compare(self, resource: Resource, own: tuple[str, ...], op: str, values: list[Any]) -> Condition:
        said = resource.attributes[own[0]]
        column = "key" if own == (resource.key_attribute,) else property_column(own)
        if op == "from":
            return Condition(f"{column} >= ?", (_edge(values[0], said.format, "T00:00:00.000000Z"),))
        if op == "to":
            return Condition(f"{column} <= ?", (_edge(values[0], said.format, "T23:59:59.999999Z"),))
        if said.type == "array":
            inner = _in("value", [plan.listed(value) for value in values])
            return Condition(f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {inner.sql})", inner.parameters)
        if column == "key":
            return _in(column, [plan.key_from(resource, value) for value in values])
        return _in(column, [plan.comparable(v, said.format) for v in values])

    def _through(
        self, resource: Resource, steps: tuple[Relation, ...], end: Resource, own: tuple[str, ...], inner: Condition
    ) -> Condition:
        """`inner`, a condition on `end`, as one on `resource` that leads to it by `steps`."""
        if not steps:
            return inner
        step, rest = steps[0], steps[1:]
        direct = step.is_stored and not step.to_many and len(step.targets) == 1 and not rest
        if direct and inner.sql.startswith("key "):
            return Condition(reference_column(step.name) + inner.sql.removeprefix("key"), inner.parameters)
        ways = []
        for name in step.targets:
            target = self.contract.resources[name]
            if (rest and rest[0].name not in target.relations) or (not rest and own[0] not in target.attributes):
                continue
            below = self._through(target, rest, end, own, inner)
            ways.append(self._step(resource, step, name, below))
        return any_of(ways)

    def _step(self, resource: Resource, step: Relation, target: str, below: Condition) -> Condition:
        table = quoted(target)
        if step.inverse is not None:
            back = self.contract.resources[target].relations[step.inverse]
            column = reference_column(back.name)
            found = f"SELECT {column} FROM {table} WHERE {below.sql} AND {column} IS NOT NULL"
            if back.to_many:
                link = self.store.tables[target].links[back.name]
                found = f"SELECT target FROM {link.name} WHERE owner IN (SELECT key FROM {table} WHERE {below.sql})"
            mine = f"{plan.literal(resource.name + '/')} || key" if len(back.targets) > 1 else "key"
            return Condition(f"{mine} IN ({found})", below.parameters)
        mark = f"{plan.literal(target + '/')} || key" if len(step.targets) > 1 else "key"
        keys = f"SELECT {mark} FROM {table} WHERE {below.sql}"
        if step.to_many:
            link = self.store.tables[resource.name].links[step.name]
            return Condition(f"key IN (SELECT owner FROM {link.name} WHERE target IN ({keys}))", below.parameters)
        return Condition(f"{reference_column(step.name)} IN ({keys})", below.parameters)

    def _exists(self, resource: Resource, step: Relation) -> Condition:
        if step.is_stored and not step.to_many:
            return Condition(f"({reference_column(step.name)} IS NOT NULL)")
        return any_of(self._step(resource, step, target, EVERYTHING) for target in step.targets)

    # Rows -------------------------------------------------------------------------------------------------------

    def order(self, resource: Resource, sort: str | None, direction: str | None, *, backwards: bool = False) -> str:
        """SQL's order: by the asked property and the key, or newest first; or that read from its end."""
        descending = direction != "asc" if sort is None else direction == "desc"
        way, key = ("DESC" if descending != backwards else "ASC"), ("key DESC" if backwards else "key")
        if sort is None:
            created = resource.attributes_with_stamp("created")
            return f"{property_column((created[0],)) if created else 'n'} {way}, {key}"
        if sort in resource.attributes:
            return f"{property_column((sort,))} {way}, {key}"
        table = self.store.tables[resource.name]
        return f"{self.store.derived_sql(resource.name, resource.derived_properties[sort], f'{table.name}.key')} {way}, {key}"

    def listing(self, resource: Resource, asked: Iterable[Asked]) -> Listing:
        """The query's words together, for this viewer."""
        listed = tuple(asked)
        one: dict[str, Any] = {a.word.role: a.value for a in listed if a.word.role != "filter"}
        sort, direction = one.get("sort"), one.get("direction")
        return Listing(
            resource,
            all_of((self.conditions(resource, listed), self.visible(resource))),
            listed if "search" in one else (),
            self.order(resource, sort, direction),
            self.order(resource, sort, direction, backwards=True),
            int(one.get("page", 1)),
            int(one.get("size", UNPAGED)),
        )

    def page(self, listing: Listing) -> Page:
        """One page of the records that a query asks for and the viewer may see."""
        name, size = listing.resource.name, listing.size
        total = self.total(listing)
        before = (listing.number - 1) * size
        on_page = max(0, min(size, total - before))
        after = total - before - on_page
        # SQLite goes through all rows before a page: those of the second half are nearer to the end.
        backwards = after < before
        rows: list[Stored] = []
        if on_page:
            condition = self._narrowed(listing, min(FEW, isqrt(WANTED * self.store.numbers.get(name, 0))))
            order, offset = (listing.backwards, after) if backwards else (listing.order, before)
            limit = f"LIMIT {on_page} OFFSET {offset}"
            rows = self.store.rows(name, condition.sql, condition.parameters, order, limit)
        return Page(rows[::-1] if backwards else rows, total, listing.number, size)

    def total(self, listing: Listing) -> int:
        """How many records a query asks for and the viewer may see."""
        name = listing.resource.name

        def sooner() -> tuple[str, tuple[Any, ...]]:
            found = self._narrowed(listing, max(FEW, self.store.numbers.get(name, 0) // PART))
            return found.sql, found.parameters

        return self.store.count(name, listing.condition.sql, listing.condition.parameters, sooner)

    def _narrowed(self, listing: Listing, most: int) -> Condition:
        """The condition, with those named who may hold a searched term, if they are so few: true just now."""
        if not listing.searched:
            return listing.condition
        query = replace(self, narrowing=most)
        return all_of((query.conditions(listing.resource, listing.searched), self.visible(listing.resource)))

    def included(
        self, resource: Resource, asked: Iterable[Asked]
    ) -> tuple[list[tuple[str, ...]] | None, frozenset[str]]:
        """(relation paths that the query embeds, None for the default; optional properties that it shows)."""
        paths: list[tuple[str, ...]] | None = None
        shown: set[str] = set()
        for one in asked:
            if one.word.role == "include" and one.value:
                values = one.value if isinstance(one.value, list) else str(one.value).split(",")
                paths = [resolve_include(self.contract, resource, name, "") for name in values]
            elif one.word.role == "count":
                values = one.value if isinstance(one.value, list) else str(one.value).split(",")
                shown |= {resolve_count(resource, name, "") for name in values}
            elif one.word.role == "show" and one.value:
                shown.add(one.word.paths[0][0])
        return paths, frozenset(shown)


def asked(parameters: Iterable[Any], values: Mapping[str, Any]) -> list[Asked]:
    """The query words of an operation's parameters (or a body's fields) that were given a value."""
    return [Asked(p.name, p.word, values[p.name]) for p in parameters if p.word and values.get(p.name) is not None]


def _in(column: str, values: Iterable[Any]) -> Condition:
    listed = tuple(values)
    if not listed:
        return NOTHING
    if len(listed) == 1:
        return Condition(f"{column} = ?", listed)
    return Condition(f"{column} IN ({', '.join('?' * len(listed))})", listed)


def _edge(value: Any, format_: str | None, time: str) -> Any:
    """A bound of a period: a date means its whole day."""
    if format_ != "date-time":
        return plan.comparable(value, format_)
    return value + time if len(value) == 10 else plan.instant(value)
