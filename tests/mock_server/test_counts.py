"""Cached counts equal counts by SQL."""

import hashlib
from contextlib import suppress
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from mock_server.query.conditions import build_relation_condition
from mock_server.query.filters import build_search
from mock_server.store import Store
from mock_server.store.counts import MAX_CONDITIONS, MAX_PENDING_RECORDS
from mock_server.store.expressions import SqlExpression, on_column, one_of
from mock_server.store.schema import attribute_column
from spec.record import Record, Reference
from tests.mock_server.athena import Api
from tests.mock_server.library_contract import create_sandbox

HOME = "550e8400-e29b-41d4-a716-446655440000"
MESSAGE = "123e4567-e89b-12d3-a456-426614174000"
THREAD = "095be615-a8ad-4c33-8e9c-c7612fbf6c9f"
AT_HOME = one_of("tenant", (HOME,))


def count_directly(store: Store, condition: SqlExpression) -> int:
    """Count Messages with SQL."""
    return int(store.scalar(f'SELECT COUNT(*) FROM "Message" WHERE {condition.sql}', condition.parameters))


def has_role(role: str) -> SqlExpression:
    """Return the condition that a Message has a role."""
    return one_of(attribute_column(("role",)), (role,))


def after(number: int) -> SqlExpression:
    """Return the condition that a record has a greater number."""
    return on_column("n", "{} > ?", (number,))


def test_record_is_counted_in_its_tenant_after_its_parent_moves(api: Api) -> None:
    store = api.sandbox.store
    other = next(r.key for r in store.select("Workspace") if r.key != HOME)
    for tenant in (HOME, other):
        store.count("Message", one_of("tenant", (tenant,)))
    thread = store.get_existing(Reference("Thread", THREAD))
    store.update("Thread", THREAD, thread.attributes, {"workspace": Reference("Workspace", other)})
    for tenant in (HOME, other):
        condition = one_of("tenant", (tenant,))
        assert store.count("Message", condition) == count_directly(store, condition)


def test_rolled_back_write_is_not_counted(api: Api) -> None:
    store = api.sandbox.store
    before = store.count("Message", AT_HOME)
    attributes = {**store.get_existing(Reference("Message", MESSAGE)).attributes, "uuid": "new"}
    with suppress(ZeroDivisionError), store.transaction():
        store.add(Record("Message", "new", attributes, {"thread": Reference("Thread", THREAD)}))
        assert store.count("Message", AT_HOME) == before + 1
        raise ZeroDivisionError
    assert store.count("Message", AT_HOME) == before == count_directly(store, AT_HOME)


def test_update_moves_record_between_counts(api: Api) -> None:
    store = api.sandbox.store
    before = [store.count("Message", has_role(role)) for role in ("user", "assistant")]
    message = store.get_existing(Reference("Message", MESSAGE))
    role = "user" if message.attributes["role"] == "assistant" else "assistant"
    store.update("Message", MESSAGE, {**message.attributes, "role": role})
    after = [store.count("Message", has_role(role)) for role in ("user", "assistant")]
    assert after == [count_directly(store, has_role(role)) for role in ("user", "assistant")] != before


def test_new_records_are_counted_before_the_next_count(api: Api) -> None:
    store = api.sandbox.store
    before = store.count("Message", has_role("system"))
    attributes = {**store.get_existing(Reference("Message", MESSAGE)).attributes, "role": "system"}
    references = {"thread": Reference("Thread", THREAD)}
    for number in range(MAX_PENDING_RECORDS + 3):
        key = f"new-{number}"
        store.add(Record("Message", key, {**attributes, "uuid": key}, references), has_new_key=True)
    store.delete("Message", "new-0")
    store.update("Message", f"new-{MAX_PENDING_RECORDS}", {**attributes, "role": "user"})
    store.delete("Message", f"new-{MAX_PENDING_RECORDS + 1}")
    expected = before + MAX_PENDING_RECORDS
    assert store.count("Message", has_role("system")) == expected == count_directly(store, has_role("system"))


def test_update_evaluates_only_counts_of_changed_columns(api: Api) -> None:
    store = api.sandbox.store
    condition = build_search(store, store.contract.resources["Message"], ("content",), "quetzal")
    message = store.get_existing(Reference("Message", MESSAGE))
    store.count("Message", condition)
    statements: list[str] = []
    store.connection.set_trace_callback(statements.append)
    store.update("Message", MESSAGE, {**message.attributes, "role": "system"})
    assert not [statement for statement in statements if "instr" in statement]
    store.update("Message", MESSAGE, {**message.attributes, "content": "a quetzal"})
    assert len([statement for statement in statements if "instr" in statement]) == 2
    assert store.count("Message", condition) == count_directly(store, condition) == 1


def test_condition_on_other_tables_is_counted_again_after_their_writes(api: Api) -> None:
    store = api.sandbox.store
    name, resource = "Counted", store.contract.resources["Message"]
    has_name = SqlExpression("json_extract(own, '$.name') = ?", (name,), columns=frozenset({"own"}))
    condition = build_relation_condition(store.tables, resource, resource.relations["thread"], "Thread", has_name)
    assert store.count("Message", condition) == 0
    thread = store.get_existing(Reference("Thread", THREAD))
    store.update("Thread", THREAD, {**thread.attributes, "name": name})
    assert store.count("Message", condition) == count_directly(store, condition) > 0


def test_number_of_cached_conditions_is_limited(api: Api) -> None:
    store = api.sandbox.store
    for number in range(3 * MAX_CONDITIONS):
        store.count("Message", after(number))
        assert len(store.count_caches["Message"].counts) <= MAX_CONDITIONS
    store.delete("Message", MESSAGE)
    assert store.count("Message", after(0)) == count_directly(store, after(0))


@given(st.integers(0, 2**32))
def test_derived_uuid_is_valid(number: int) -> None:
    digest = hashlib.sha256(f"0/default/Book/{number}".encode()).digest()
    sandbox = create_sandbox()
    assert sandbox.derive_uuid("Book", number) == str(UUID(bytes=digest[:16], version=4))
    sandbox.store.close()
