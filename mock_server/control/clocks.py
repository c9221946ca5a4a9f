"""Operations on the clock of a sandbox."""

from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.errors import ApiError, ErrorKind
from mock_server.registry.entries import SandboxEntry
from mock_server.sandbox.clock import ClockState, format_timestamp


async def retrieve_clock(request: ControlRequest) -> ControlResult:
    return ControlResult(HTTPStatus.OK, _describe_clock(await request.find_entry()))


async def update_clock(request: ControlRequest) -> ControlResult:
    """Set the time, freeze or continue, and set the speed."""
    entry, body = await request.find_entry(), request.body
    state = entry.sandbox.clock.get_state()
    if "now" in body:
        state = replace(state, now=datetime.fromisoformat(body["now"]))
    if "frozen" in body:
        state = replace(state, is_frozen=body["frozen"])
    if "speed" in body:
        state = replace(state, speed=float(body["speed"]))
    return _set_clock(request, entry, state)


async def advance_clock(request: ControlRequest) -> ControlResult:
    """Move the clock forward. Raises ApiError (409) at the end of its range."""
    entry = await request.find_entry()
    state = entry.sandbox.clock.get_state()
    return _set_clock(request, entry, replace(state, now=state.now + timedelta(seconds=request.body["seconds"])))


async def synchronize_clock(request: ControlRequest) -> ControlResult:
    """Set the time of the system, and let the clock run at its speed."""
    entry = await request.find_entry()
    return _set_clock(request, entry, ClockState(entry.sandbox.clock.source(), is_frozen=False, speed=1.0))


def _set_clock(request: ControlRequest, entry: SandboxEntry, state: ClockState) -> ControlResult:
    """Set the clock and apply the changes that are scheduled up to its time."""
    try:
        request.registry.set_clock(entry, state)
    except ValueError as error:
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=f"The clock cannot be set: {error}.") from None
    entry.sandbox.apply_scheduled_changes(state.now)
    return ControlResult(HTTPStatus.OK, _describe_clock(entry))


def _describe_clock(entry: SandboxEntry) -> dict[str, Any]:
    clock = entry.sandbox.clock
    state = clock.get_state()
    offset = round((state.now - clock.source()).total_seconds(), 3)
    return {
        "now": format_timestamp(state.now),
        "frozen": state.is_frozen,
        "speed": state.speed,
        "offset_seconds": offset,
    }
