"""Faults for the clinic that no mutant of the pool has: each breaks one promise of one law.

A maker of a fault has no arguments, and gives the fault a memory of its own.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from spec.loader import load_contract

Plant = Callable[[], Fault]
Dress = Callable[[ASGIApp], ASGIApp]

CLINIC = load_contract(Path(__file__).parents[1] / "foreign" / "clinic.yaml")

MINE = "Bearer demo-token"
THEIRS = "Bearer other-token"
JSON = {"content-type": "application/json"}


def refused(status: int, message: str) -> InterceptedResponse:
    """A refusal in the contract's shape."""
    return InterceptedResponse(status, JSON, json.dumps({"message": message}).encode())


def of(asked: InterceptedRequest, token: str) -> bool:
    """Whether a request has this token."""
    return asked.headers.get("authorization") == token


def parameter(asked: InterceptedRequest, name: str) -> str:
    """What a query parameter is sent as, or ""."""
    return dict(asked.query).get(name, "")


def showing(change: Callable[[InterceptedRequest, Any], Any]) -> Plant:
    """A fault in the JSON of successes: what it is changed to."""

    def plant() -> Fault:
        async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
            answered = await ask(asked)
            return (
                answered.with_json(change(asked, answered.json)) if answered.is_success and answered.body else answered
            )

        return fault

    return plant


def showing_data(**changes: Callable[[Any], Any]) -> Plant:
    """A fault in properties of the record that a success shows: name -> what its value is changed to."""

    def change(asked: InterceptedRequest, body: Any) -> Any:
        data = body["data"]
        return {**body, "data": {**data, **{name: to(data[name]) for name, to in changes.items()}}}

    return showing(change)


def asking(change: Callable[[InterceptedRequest], InterceptedRequest]) -> Plant:
    """A fault in what is understood of a request: what it is taken for."""

    def plant() -> Fault:
        async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
            return await ask(change(asked))

        return fault

    return plant


def reads_any_media_type(asked: InterceptedRequest) -> InterceptedRequest:
    """Whatever is sent is taken for JSON."""
    return asked.with_headers(content_type="application/json") if asked.body else asked


# Lists ----------------------------------------------------------------------------------------------------------


def total_is_of_the_page(asked: InterceptedRequest, body: Any) -> Any:
    """The total of a list is the number of rows that its page has."""
    return {**body, "meta": {**body["meta"], "total": len(body["data"])}}


def deaf_to_brackets(asked: InterceptedRequest) -> InterceptedRequest:
    """An array that is spelled with brackets is an unknown parameter."""
    return asked.with_query(tuple((name, value) for name, value in asked.query if not name.endswith("[]")))


def takes_a_blank_for_a_value(asked: InterceptedRequest, body: Any) -> Any:
    """A list that is narrowed to what has no value, where a parameter was sent without one."""
    blank = any(not value for _, value in asked.query)
    return {**body, "data": [], "meta": {**body["meta"], "from": None, "to": None, "total": 0}} if blank else body


def total_is_of_all() -> Fault:
    """A filtered list names the total of the whole one."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        whole = await ask(asked.with_query(()))
        if not answered.is_success or not whole.is_success:
            return answered
        body = answered.json
        return answered.with_json({**body, "meta": {**body["meta"], "total": whole.json["meta"]["total"]}})

    return fault


def counts_one_too_few(name: str) -> Callable[[InterceptedRequest, Any], Any]:
    """A count in the rows of a list is one too low."""

    def change(asked: InterceptedRequest, body: Any) -> Any:
        return {**body, "data": [{**row, name: max(0, row[name] - 1)} for row in body["data"]]}

    return change


def sorts_by_when_it_was_made(asked: InterceptedRequest) -> InterceptedRequest:
    """What was changed last is taken for what was made last."""
    changed = {"updated_at": "created_at"}
    return asked.with_query(tuple((name, changed.get(value, value)) for name, value in asked.query))


def fails_on_an_apostrophe() -> Fault:
    """A search that is put into SQL as it was sent."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        return refused(500, "Server Error") if "'" in parameter(asked, "search") else await ask(asked)

    return fault


def takes_signs_for_patterns(asked: InterceptedRequest) -> InterceptedRequest:
    """A search that is put into LIKE as it was sent: a sign stands for any text, here for what follows it too."""
    cut = {"search": parameter(asked, "search").replace("%", "_").partition("_")[0]}
    return asked.with_query(tuple((name, cut.get(name, value)) for name, value in asked.query))


def searches_everywhere(asked: InterceptedRequest) -> InterceptedRequest:
    """An OR without brackets: who searches finds what is anybody's."""
    return asked.with_headers(authorization=MINE) if parameter(asked, "search") and of(asked, THEIRS) else asked


# The frame ------------------------------------------------------------------------------------------------------


def answers_any_path(app: ASGIApp) -> ASGIApp:
    """A page for people wherever there is nothing else, as of a single page application."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if "no-such-path" not in scope["path"]:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<!doctype html><title>Clinic</title>"})

    return served


# Accounts -------------------------------------------------------------------------------------------------------


def is_always_the_first(asked: InterceptedRequest) -> InterceptedRequest:
    """Whoever asks is taken for the first account."""
    return asked.with_headers(authorization=MINE) if of(asked, THEIRS) else asked


def belongs_to_another(asked: InterceptedRequest, body: Any) -> Any:
    """What was made belongs to the account after the maker's."""
    vet = body["data"]["vet"]
    return {**body, "data": {**body["data"], "vet": {**vet, "id": vet["id"] + 1}}}


def takes_any_password() -> Fault:
    """Who knows the login of an account is let in."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        sent = asked.json
        known = isinstance(sent, dict) and sent.get("password") == "conformance-wrong-password"
        return await ask(asked.with_json({**sent, "password": "password"}) if known else asked)

    return fault


def gives_no_token() -> Fault:
    """Signing in gives a token that nobody has."""
    return showing_data(token=lambda token: token[::-1])()


# Writes ---------------------------------------------------------------------------------------------------------


def answers_the_first_key() -> Fault:
    """Every record that is made gets the key of the first."""
    made: list[Any] = []

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        if not answered.is_success:
            return answered
        made.append(answered.json["data"]["uuid"])
        return answered.with_json({"data": {**answered.json["data"], "uuid": made[0]}})

    return fault


def takes_what_the_server_sets() -> Fault:
    """Mass assignment: the stamp that is sent is stored."""
    kept: dict[Any, Any] = {}

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        if not answered.is_success or not answered.body:
            return answered
        data = answered.json["data"]
        if asked.method == "" and asked.operation.method == "post" and "created_at" in (asked.json or {}):
            kept[data["uuid"]] = asked.json["created_at"]
        return answered.with_json({"data": {**data, "created_at": kept.get(data["uuid"], data["created_at"])}})

    return fault


def adds_at_every_update() -> Fault:
    """An update adds to what is there: what it answers grows."""
    times: dict[str, int] = {}

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        if not answered.is_success:
            return answered
        times[asked.path] = times.get(asked.path, 0) + 1
        data = answered.json["data"]
        return answered.with_json({"data": {**data, "cost": data["cost"] + times[asked.path] - 1}})

    return fault


def is_in_another_zone() -> Fault:
    """Stamps in local time that say they were UTC: the answer's Date is two hours before them."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        date = parsedate_to_datetime(answered.headers["date"]) - timedelta(hours=2)
        return replace(answered, headers={**answered.headers, "date": format_datetime(date)})

    return fault


def goes_back_in_time() -> Fault:
    """The more often a record was asked for, the longer ago it was changed."""
    asked_for: dict[str, int] = {}

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        if not answered.is_success:
            return answered
        times = asked_for[asked.path] = asked_for.get(asked.path, 0) + 1
        data = answered.json["data"]
        return answered.with_json({"data": {**data, "updated_at": f"20{99 - times % 90:02}-01-01T00:00:00.000000Z"}})

    return fault


def forgets_nothing() -> Fault:
    """What is made is there at once without having been asked for, and for good."""
    seen: dict[str, InterceptedResponse] = {}

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        if asked.operation.method == "post" and answered.is_success:
            seen[f"{asked.path}/{answered.json['data']['uuid']}"] = replace(answered, status=200)
        return seen.get(asked.path, answered) if asked.operation.method == "get" else answered

    return fault


def deletes_what_is_needed() -> Fault:
    """Says that it deleted what the contract has it refuse to delete."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        return InterceptedResponse(204, {}, b"") if answered.status == 409 else answered

    return fault


def embeds_what_it_was() -> Fault:
    """A record that stands in another is shown as it was when it was first embedded."""
    first: dict[str, Any] = {}

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        patient = answered.json["data"].get("patient") if answered.is_success else None
        if not patient:
            return answered
        kept = first.setdefault(patient["uuid"], patient)
        return answered.with_json({"data": {**answered.json["data"], "patient": kept}})

    return fault


def is_nowhere() -> Fault:
    """What others refer to is not to be had by itself."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        return refused(404, "Not found.") if answered.is_success else answered

    return fault


# Named actions --------------------------------------------------------------------------------------------------


def shows_another_record() -> Fault:
    """An action answers another record than its path names."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        rows = (await ask(asked.follow_up(CLINIC.operations["listTreatments"]))).json["data"]
        other = next(row["uuid"] for row in reversed(rows) if row["uuid"] != asked.path_values["uuid"])
        shown = await ask(asked.follow_up(CLINIC.operations["retrieveTreatment"], other))
        return replace(shown, status=answered.status) if answered.is_success else answered

    return fault


def stops_again() -> Fault:
    """What has ended may be ended again."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        again = asked.follow_up(CLINIC.operations["retrieveTreatment"], *asked.path_values.values())
        return await ask(again) if answered.status == 409 else answered

    return fault


def opens_nothing() -> Fault:
    """A referral that nobody sees anything by."""

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        return refused(404, "Not found.") if of(asked, THEIRS) else await ask(asked)

    return fault


def keeps_it_open() -> Fault:
    """Whoever saw a patient once sees it for good."""
    seen: dict[str, InterceptedResponse] = {}

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        if of(asked, THEIRS) and answered.is_success:
            seen[asked.path] = answered
        return seen.get(asked.path, answered) if of(asked, THEIRS) else answered

    return fault


def counts_once() -> Fault:
    """A figure is counted once, and answered from then on."""
    counted: dict[bytes, InterceptedResponse] = {}

    async def fault(asked: InterceptedRequest, ask: CallNext) -> InterceptedResponse:
        answered = await ask(asked)
        return counted.setdefault(asked.body, answered) if answered.is_success else answered

    return fault


def total_is_of_more_than_its_parts(asked: InterceptedRequest, body: Any) -> Any:
    """A total that is one more than the values it is made of."""
    return {**body, "total": body["total"] + 1}
