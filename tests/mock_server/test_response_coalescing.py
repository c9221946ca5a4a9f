"""What all connections write in one event-loop iteration is sent in the next one, one system call per connection."""

import asyncio
from typing import Any

from mock_server.server.response_coalescing import Coalescer


class FakeTransport:
    """Records the calls that reach the operating system."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def writelines(self, parts: list[bytes]) -> None:
        self.calls.append(parts)

    def close(self) -> None:
        self.calls.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.calls

    def get_write_buffer_size(self) -> int:
        return 7


def wrap_transports(*transports: Any) -> tuple[Coalescer, list[Any]]:
    coalescer = Coalescer()
    return coalescer, [coalescer.wrap(transport) for transport in transports]


def test_writes_of_one_iteration_are_sent_together_and_in_order() -> None:
    first, second = FakeTransport(), FakeTransport()

    async def write() -> None:
        _, transports = wrap_transports(first, second)
        for index, data in ((0, b"head"), (1, b"other head"), (0, b"body"), (1, b"other body")):
            transports[index].write(data)
        assert first.calls == second.calls == []
        await asyncio.sleep(0)
        assert first.calls == [[b"head", b"body"]]
        assert second.calls == [[b"other head", b"other body"]]
        transports[0].write(b"next")
        await asyncio.sleep(0)

    asyncio.run(write())
    assert first.calls == [[b"head", b"body"], [b"next"]]


def test_close_sends_pending_data_first() -> None:
    transport = FakeTransport()

    async def write() -> None:
        _, (wrapper,) = wrap_transports(transport)
        wrapper.write(b"head")
        wrapper.write(b"body")
        wrapper.close()
        await asyncio.sleep(0)

    asyncio.run(write())
    assert transport.calls == [[b"head", b"body"], "closed"]


def test_nothing_is_written_to_an_aborted_connection() -> None:
    aborted, other = FakeTransport(), FakeTransport()

    async def write() -> None:
        coalescer, wrappers = wrap_transports(aborted, other)
        for wrapper in wrappers:
            wrapper.write(b"response")
        aborted.close()
        assert wrappers[0].is_closing()
        coalescer.flush()
        await asyncio.sleep(0)

    asyncio.run(write())
    assert aborted.calls == ["closed"]
    assert other.calls == [[b"response"]]


def test_wrapper_delegates_other_methods_to_the_transport() -> None:
    _, (wrapper,) = wrap_transports(FakeTransport())
    assert wrapper.get_write_buffer_size() == 7


def test_deferred_close_sends_pending_data_and_leaves_the_connection_open() -> None:
    transport = FakeTransport()

    async def write() -> None:
        wrapper = Coalescer().wrap(transport, lambda: True)  # type: ignore[arg-type]
        wrapper.write(b"head")
        wrapper.close()

    asyncio.run(write())
    assert transport.calls == [[b"head"]]
