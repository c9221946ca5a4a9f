"""Servers that differ from the mock and keep every promise: a failure on one of them is a false alarm.

Among them is an ordinary Laravel on MySQL. Each is an ASGI wrapper; `wait` lets time pass by the mock's own clock.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.mutants.inside import Watch
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from spec.contract import Contract

STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$")


@dataclass(frozen=True, slots=True)
class Variant:
    """A server that keeps every promise. `plant`: what makes it, given the contract and the mock's clock."""

    name: str
    plant: Callable[[Contract, Watch], Fault]


def mapped(change: Callable[[Any], Any]) -> Callable[[Contract, Watch], Fault]:
    """A variant that changes the JSON of every answer."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        return answered if answered.json is None else answered.showing(change(answered.json))

    return lambda contract, watch: fault


def values(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What changes every value that is no object and no list, at any depth."""

    def below(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: below(one) for name, one in value.items()}
        return [below(one) for one in value] if isinstance(value, list) else change(value)

    return below


def objects(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    """What changes every object, at any depth."""

    def below(value: Any) -> Any:
        if isinstance(value, dict):
            return change({name: below(one) for name, one in value.items()})
        return [below(one) for one in value] if isinstance(value, list) else value

    return below


# What a JSON encoder, a database or a proxy may do otherwise ---------------------------------------------------------


def _stamped(like: str) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        found = STAMP.match(value) if isinstance(value, str) else None
        return f"{found[1]}{like}" if found else value

    return values(change)


def _floating(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else value


def _encoded(encode: Callable[[Any], str]) -> Callable[[Contract, Watch], Fault]:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        return answered if answered.json is None else replace(answered, body=encode(answered.json).encode())

    return lambda contract, watch: fault


def _php(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace("/", r"\/")


def _with_headers(headers: Mapping[str, str | None]) -> Callable[[Contract, Watch], Fault]:
    """Headers more, or less (None)."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        if headers.get("content-type") and "content-type" not in answered.headers:
            return answered
        changed = {**answered.headers, **headers}
        return replace(answered, headers={name: value for name, value in changed.items() if value is not None})

    return lambda contract, watch: fault


def _reworded(value: dict[str, Any]) -> dict[str, Any]:
    """Errors in other words, and more than one for a field."""
    if "message" not in value or not set(value) <= {"message", "errors"}:
        return value
    errors = {name: ["Das ist nicht gültig.", *said] for name, said in value.get("errors", {}).items()}
    return {**value, "message": "So geht das nicht.", **({"errors": errors} if errors else {})}


def _spaced_allow(contract: Contract, watch: Watch) -> Fault:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        if "allow" not in answered.headers:
            return answered
        methods = sorted(answered.headers["allow"].replace(" ", "").split(","))
        return replace(answered, headers={**answered.headers, "allow": ",".join(methods)})

    return fault


def _proxied(contract: Contract, watch: Watch) -> Fault:
    """Links with another host, and the brackets of arrays encoded."""

    def change(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("http://localhost:8000/"):
            return value.replace("[]", "%5B%5D")
        return value

    return mapped(values(change))(contract, watch)


# What a framework does with what it is sent --------------------------------------------------------------------------


def _trimming(contract: Contract, watch: Watch) -> Fault:
    async def fault(asked: Asked, ask: Ask) -> Answered:
        if asked.json is None:
            return await ask(asked)
        return await ask(asked.saying(values(lambda v: v.strip() if isinstance(v, str) else v)(asked.json)))

    return fault


def _unknown_is_invalid(contract: Contract, watch: Watch) -> Fault:
    """422 where a record that the body names is unknown."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        named = [
            f.name
            for f in (asked.operation.request_body.fields.values() if asked.operation.request_body else ())
            if f.relation_setter
        ]
        sent = [name for name in named if isinstance(asked.json, dict) and name in asked.json]
        if answered.status != 404 or not sent or asked.values:
            return answered
        said = {name: [f"The selected {name.replace('_', ' ')} is invalid."] for name in sent}
        return replace(answered, status=422).showing({"message": said[sent[0]][0], "errors": said})

    return fault


# Time ----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Throttled:
    """So many requests a minute; the others are told when to come again."""

    watch: Watch
    most: int = 60
    began: float = 0.0
    counted: int = 0

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        now = self.watch().timestamp()
        if now - self.began >= 60:
            self.began, self.counted = now, 0
        self.counted += 1
        if self.counted <= self.most:
            return await ask(asked)
        wait = str(max(1, round(60 - (now - self.began))))
        headers = {"content-type": "application/json", "retry-after": wait}
        return Answered(429, headers, b"").showing({"message": "Too Many Attempts."})


def _taking(seconds: float) -> Callable[[Contract, Watch], Fault]:
    def plant(contract: Contract, watch: Watch) -> Fault:
        async def fault(asked: Asked, ask: Ask) -> Answered:
            watch.wait(seconds)
            return await ask(asked)

        return fault

    return plant


@dataclass(slots=True)
class Late:
    """Shows a write only when `delay` seconds have passed: until then a record is as it was, there or not.

    `before`: key -> (until when, the record as it was; None: it was not there).
    """

    contract: Contract
    watch: Watch
    delay: float
    before: dict[str, tuple[float, dict[str, Any] | None]] = field(default_factory=dict)

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        operation = asked.operation
        if operation.action in ("update", "delete"):
            await self._remember(asked, ask)
            return await ask(asked)
        answered = await ask(asked)
        if operation.method == "post" and answered.ok:
            self._made(asked, answered)
        if operation.method == "get" and operation.action == "retrieve":
            return self._retrieved(asked, answered)
        return self._listed(asked, answered) if operation.action == "list" and answered.ok else answered

    def _now(self) -> float:
        return self.watch().timestamp()

    def _shown(self, asked: Asked, answered: Answered) -> Any:
        data, body = asked.operation.envelope.data_property, answered.json
        return body.get(data) if data and isinstance(body, dict) else body

    async def _remember(self, asked: Asked, ask: Ask) -> None:
        key = next(iter(asked.values.values()), "")
        own = self.contract.find_operation(asked.operation.resource, "retrieve")
        until, _ = self.before.get(key, (0.0, None))
        if own is None or until > self._now():
            return
        seen = await ask(asked.of(own, key))
        if seen.ok:
            self.before[key] = (self._now() + self.delay, self._shown(replace(asked, operation=own), seen))

    def _made(self, asked: Asked, answered: Answered) -> None:
        view = self.contract.views.get(asked.operation.envelope.view_name or "")
        shown = self._shown(asked, answered)
        if view is not None and isinstance(shown, dict) and asked.operation.path.count("/") == 1:
            key = shown.get(self.contract.resources[view.resource].key_attribute)
            self.before[str(key)] = (self._now() + self.delay, None)

    def _retrieved(self, asked: Asked, answered: Answered) -> Answered:
        key = next(iter(asked.values.values()), "")
        until, was = self.before.get(key, (0.0, None))
        if until <= self._now() or asked.query:
            return answered
        if was is None:
            return replace(answered, status=404).showing({"message": "Not found."}) if answered.ok else answered
        data, status = asked.operation.envelope.data_property, asked.operation.envelope.status
        body = {data: was} if data else was
        return answered.showing(body) if answered.ok else replace(answered, status=status).showing(body)

    def _listed(self, asked: Asked, answered: Answered) -> Answered:
        """Rows that have just been made are not there yet, changed ones as they were."""
        data = asked.operation.envelope.data_property
        view = self.contract.views.get(asked.operation.envelope.view_name or "")
        if data is None or view is None:
            return answered
        key = self.contract.resources[view.resource].key_attribute
        pending = {k: was for k, (until, was) in self.before.items() if until > self._now()}
        rows = []
        for row in answered.json[data]:
            was = pending.get(str(row.get(key)), row)
            if was is not None:
                rows.append({**row, **{n: v for n, v in was.items() if n in row}})
        return answered.showing({**answered.json, data: rows})


def _late(seconds: float) -> Callable[[Contract, Watch], Fault]:
    return lambda contract, watch: Late(contract, watch, seconds)


@dataclass(slots=True)
class LateTotals:
    """Totals of the page words as they were so many seconds ago."""

    watch: Watch
    delay: float
    known: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        pages = asked.operation.envelope.pagination
        words = {word: (name, key) for name, page in pages.items() for key, word in page.items()}
        if not answered.ok or "total" not in words:
            return answered
        name, key = words["total"]
        now, body = self.watch().timestamp(), answered.json
        seen = self.known.setdefault(asked.path + str(sorted(asked.query)), [])
        seen.append((now, body[name][key]))
        old = [total for at, total in seen if at <= now - self.delay]
        total = old[-1] if old else seen[0][1]
        return answered.showing({**body, name: {**body[name], key: total}})


# Identifiers and neighbours ------------------------------------------------------------------------------------------

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TURNED = str.maketrans("0123456789abcdef", "fedcba9876543210")


def _turned(text: str) -> str:
    return _UUID.sub(lambda found: found[0].translate(_TURNED), text)


def _other_ids(contract: Contract, watch: Watch) -> Fault:
    """Every identifier is another, and stands for the same."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        query = tuple((name, _turned(value)) for name, value in asked.query)
        body = _turned(asked.body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        answered = await ask(replace(asked, path=_turned(asked.path), query=query, body=body))
        if not answered.headers.get("content-type", "").startswith("application/json"):
            return answered
        return replace(answered, body=_turned(answered.body.decode()).encode())

    return fault


@dataclass(slots=True)
class Neighbour:
    """Somebody of the same tenant who makes a record of each kind now and then, by the last body that was granted."""

    every: int
    times: int = 0
    last: list[Asked] = field(default_factory=list)

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        created = asked.operation.method == "post" and asked.operation.envelope.status == 201
        if created and answered.ok and asked.operation.path.count("/") == 1 and not asked.operation.effects:
            self.last = [*self.last[-4:], replace(asked, body=re.sub(rb"conformance-\w+", b"neighbour", asked.body))]
        self.times += 1
        if self.last and self.times % self.every == 0:
            await ask(self.last[self.times // self.every % len(self.last)])
        return answered


# Order ---------------------------------------------------------------------------------------------------------------


def _bare(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def _ordered(reading: Callable[[str], str] | None) -> Callable[[Contract, Watch], Fault]:
    """Texts in the order of another collation; None: without a wish for an order, the oldest first."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        roles = {p.x_query.role: p.name for p in asked.operation.query_parameters if p.x_query}
        if asked.operation.action != "list" or not {"sort", "direction", "page", "size"} <= roles.keys():
            return await ask(asked)
        answered = await ask(asked)
        said = {name: value for name, value in asked.query if value}
        by, data = said.get(roles["sort"]), asked.operation.envelope.data_property
        if not answered.ok or data is None or (by is None) == (reading is not None):
            return answered
        rows = await _every(asked, ask, roles, data)
        if reading is None:
            rows.reverse()
        elif all(isinstance(row.get(by), (str, type(None))) for row in rows):
            down = said.get(roles["direction"]) == "desc"
            rows.sort(key=lambda row: (row.get(by) is not None, reading(row.get(by) or "")), reverse=down)
        size = len(answered.json[data]) if not rows else int(said.get(roles["size"], "20"))
        at = (int(said.get(roles["page"], "1")) - 1) * size
        return answered.showing({**answered.json, data: rows[at : at + size]})

    return lambda contract, watch: fault


async def _every(asked: Asked, ask: Ask, roles: Mapping[str, str], data: str) -> list[Any]:
    """The rows of all pages."""
    rest = tuple((n, v) for n, v in asked.query if n not in (roles["page"], roles["size"]))
    rows: list[Any] = []
    for page in range(1, 60):
        pairs = (*rest, (roles["page"], str(page)), (roles["size"], "100"))
        answered = await ask(asked.querying(pairs))
        found = answered.json[data] if answered.ok else []
        rows += found
        if len(found) < 100:
            break
    return rows


def together(*plants: Callable[[Contract, Watch], Fault]) -> Callable[[Contract, Watch], Fault]:
    """All of them, the first nearest to the mock."""

    def plant(contract: Contract, watch: Watch) -> Fault:
        faults = [one(contract, watch) for one in plants]

        async def fault(asked: Asked, ask: Ask) -> Answered:
            def behind(number: int) -> Ask:
                return ask if number < 0 else (lambda other: faults[number](other, behind(number - 1)))

            return await faults[-1](asked, behind(len(faults) - 2))

        return fault

    return plant


LARAVEL = together(
    mapped(_stamped(".000000Z")),
    _ordered(_bare),
    _trimming,
    _unknown_is_invalid,
    _encoded(_php),
    _with_headers({"x-powered-by": "PHP/8.3", "cache-control": "no-cache, private", "x-ratelimit-limit": "60"}),
)


def variants() -> Iterator[Variant]:
    """All of them."""
    yield from (
        Variant("an ordinary Laravel on MySQL", LARAVEL),
        Variant("stamps of whole seconds", mapped(_stamped(".000000Z"))),
        Variant("stamps without a fraction", mapped(_stamped("Z"))),
        Variant("stamps with an offset", mapped(_stamped("+00:00"))),
        Variant("stamps in milliseconds", mapped(_stamped(".000Z"))),
        Variant("keys in reverse", mapped(objects(lambda one: dict(reversed(one.items()))))),
        Variant("keys by the alphabet", mapped(objects(lambda one: dict(sorted(one.items()))))),
        Variant("1.0 for 1", mapped(values(_floating))),
        Variant("JSON laid out", _encoded(lambda value: json.dumps(value, indent=4, ensure_ascii=False))),
        Variant("JSON as PHP writes it", _encoded(_php)),
        Variant("JSON in ASCII", _encoded(json.dumps)),
        Variant("a charset beside the media type", _with_headers({"content-type": "application/json; charset=utf-8"})),
        Variant("the media type in capitals", _with_headers({"content-type": "Application/JSON"})),
        Variant("headers of a framework", _with_headers({"x-powered-by": "PHP/8.3", "set-cookie": "a=b; HttpOnly"})),
        Variant("headers of a throttle", _with_headers({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59"})),
        Variant("headers of a cache", _with_headers({"cache-control": "no-cache, private", "vary": "Accept"})),
        Variant("no headers of the mock's own", _with_headers({"x-mock-reason": None, "x-request-id": None})),
        Variant("a challenge beside 401", _with_headers({"www-authenticate": 'Bearer realm="api"'})),
        Variant("errors in other words", mapped(objects(_reworded))),
        Variant("Allow in another order", _spaced_allow),
        Variant("links with brackets encoded", _proxied),
        Variant("texts are trimmed", _trimming),
        Variant("422 for an unknown record in a body", _unknown_is_invalid),
        Variant("sixty requests a minute", lambda contract, watch: Throttled(watch)),
        Variant("slower by a second", _taking(1.0)),
        Variant("slower by five seconds", _taking(5.0)),
        Variant("writes seen 2 s late", _late(2.0)),
        Variant("totals 2 s late", lambda contract, watch: LateTotals(watch, 2.0)),
        Variant("other identifiers", _other_ids),
        Variant("a neighbour who writes", lambda contract, watch: Neighbour(7)),
        Variant("a busy neighbour", lambda contract, watch: Neighbour(3)),
        Variant("order without case and accents", _ordered(_bare)),
        Variant("order without case", _ordered(str.casefold)),
        Variant("the oldest first", _ordered(None)),
    )
