"""A sandbox equals a plain copy of its dataset, whatever happens in it and in the other sandboxes.

Each of two named sandboxes has its own mock, without sandboxes, which gets the same requests at the same times.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mock_server.registry.registry import SandboxRegistry
from mock_server.sandbox.clock import ClockState
from mock_server.store import Store
from tests.asgi import Reply
from tests.mock_server.athena import EPOCH
from tests.mock_server.controlled_mock import DEMO, ControlledMock, build_image_with_pools

NAMES = ("a", "b")
LISTS = ("/prompts?per_page=100", "/agents?per_page=3&sort_by=name", "/workflow-executions?per_page=5", "/threads")
names, numbers = st.sampled_from(NAMES), st.integers(0, 5)


class PlainCopy:
    """A mock whose default sandbox is the only one that is used."""

    def __init__(self) -> None:
        self.mock = ControlledMock.create()
        self.saved: tuple[bytes, ClockState] | None = None

    @property
    def registry(self) -> SandboxRegistry:
        return self.mock.registry

    def load(self, content: bytes, clock: ClockState) -> None:
        """Replace everything by a new store."""
        sandbox = self.registry.default
        store = Store.from_image(sandbox.contract, content)
        sandbox.attach(self.registry.create_readers(store), is_alias=False)
        sandbox.clock.set_state(clock)


class SandboxEqualsCopy(RuleBasedStateMachine):
    """Sends the same requests to a sandbox and to its copy."""

    def __init__(self) -> None:
        super().__init__()
        self.mock = ControlledMock.create()
        self.copies = {name: PlainCopy() for name in NAMES}
        for name in NAMES:
            self.mock.control("PUT", f"/sandboxes/{name}")

    def send(self, name: str, method: str, path: str, data: Any = None) -> Reply:
        """Send a request to both; they must return the same."""
        reply = self.mock.call(name, method, path, data)
        expected = self.copies[name].mock.request(method, f"/api/v1{path}", data, authorization="Bearer demo-token")
        assert reply.status == expected.status
        assert reply.body.replace(f"/__mock/s/{name}".encode(), b"") == expected.body
        return reply

    def keys(self, name: str, path: str) -> list[str]:
        return [row["uuid"] for row in self.send(name, "GET", path).json["data"]]

    @rule(name=names, path=st.sampled_from(LISTS))
    def read(self, name: str, path: str) -> None:
        self.send(name, "GET", path)

    @rule(name=names, text=st.text(min_size=1, max_size=20))
    def create_prompt(self, name: str, text: str) -> None:
        self.send(name, "POST", "/prompts", {"name": text, "content": text})

    @rule(name=names, number=numbers, text=st.text(min_size=1, max_size=20))
    def update_prompt(self, name: str, number: int, text: str) -> None:
        for key in self.keys(name, LISTS[0])[number : number + 1]:
            self.send(name, "PUT", f"/prompts/{key}", {"name": text})

    @rule(name=names, number=numbers)
    def delete_agent(self, name: str, number: int) -> None:
        for key in self.keys(name, "/agents?per_page=100")[number : number + 1]:
            self.send(name, "DELETE", f"/agents/{key}")

    @rule(name=names)
    def reject_prompt(self, name: str) -> None:
        assert self.send(name, "POST", "/prompts", {"name": 7}).status == 422

    @rule(name=names, number=numbers)
    def start_execution(self, name: str, number: int) -> None:
        for key in self.keys(name, "/workflows?per_page=100")[number : number + 1]:
            self.send(name, "POST", "/workflow-executions", {"workflow_uuid": key})

    @rule(name=names, count=st.integers(1, 3))
    def create_records(self, name: str, count: int) -> None:
        records = {"Thread": [{}], "Message": {"count": count, "thread": "$Thread.0"}}
        created = self.mock.control("POST", f"/sandboxes/{name}/records", records)
        assert self.copies[name].mock.control("POST", "/sandboxes/default/records", records) == created

    @rule(seconds=st.integers(1, 100))
    def wait(self, seconds: int) -> None:
        for mock in (self.mock, *(copy.mock for copy in self.copies.values())):
            mock.clock.advance(seconds=seconds)

    @rule(name=names, seconds=st.integers(0, 10_000), is_frozen=st.booleans())
    def set_clock(self, name: str, seconds: int, is_frozen: bool) -> None:
        now: datetime = EPOCH + timedelta(seconds=seconds)
        body: dict[str, Any] = {"now": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "frozen": is_frozen}
        clock = self.mock.control("PATCH", f"/sandboxes/{name}/clock", body)
        self.copies[name].registry.default.clock.set_state(ClockState(now, is_frozen, 1))
        assert clock["now"].startswith(body["now"].removesuffix("Z"))

    @rule(name=names)
    def reset(self, name: str) -> None:
        self.mock.control("POST", f"/sandboxes/{name}/reset")
        self.copies[name].load(build_image_with_pools(DEMO), ClockState(EPOCH, False, 1))

    @rule(name=names)
    def delete(self, name: str) -> None:
        """The next request creates the sandbox again."""
        self.mock.control("DELETE", f"/sandboxes/{name}")
        self.copies[name].load(build_image_with_pools(DEMO), ClockState(EPOCH, False, 1))
        self.copies[name].saved = None
        self.send(name, "GET", LISTS[0])

    @rule(name=names)
    def save(self, name: str) -> None:
        self.mock.control("PUT", f"/sandboxes/{name}/snapshots/one")
        default = self.copies[name].registry.default
        self.copies[name].saved = (default.store.serialize(), default.clock.get_state())

    @precondition(lambda self: any(copy.saved for copy in self.copies.values()))
    @rule()
    def restore(self) -> None:
        for name, copy in self.copies.items():
            if copy.saved is not None:
                self.mock.control("POST", f"/sandboxes/{name}/snapshots/one/restore")
                copy.load(*copy.saved)

    @rule(name=names, seconds=st.integers(1, 10_000))
    def discard(self, name: str, seconds: int) -> None:
        """Restore the state before some writes and a change of the clock."""
        self.save(name)
        self.create_prompt(name, "Discarded")
        self.set_clock(name, seconds, True)
        self.mock.control("POST", f"/sandboxes/{name}/snapshots/one/restore")
        saved = self.copies[name].saved
        assert saved is not None
        self.copies[name].load(*saved)

    @invariant()
    def clocks_are_equal(self) -> None:
        for name, copy in self.copies.items():
            clock = self.mock.control("GET", f"/sandboxes/{name}/clock")
            assert clock == copy.mock.control("GET", "/sandboxes/default/clock")

    @invariant()
    def default_sandbox_is_unchanged(self) -> None:
        changes = self.mock.control("GET", "/sandboxes/default/changes")
        assert json.dumps(changes) == '{"created": [], "changed": [], "deleted": []}'

    def teardown(self) -> None:
        for name in NAMES:
            for path in LISTS:
                self.send(name, "GET", path)


TestSandboxEqualsCopy = SandboxEqualsCopy.TestCase
TestSandboxEqualsCopy.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
