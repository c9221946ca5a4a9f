"""The records by resource: list, search, create, edit and delete. Changes and snapshots of the sandbox."""

from http import HTTPStatus
from typing import Any

from mock_server.console.control_client import ControlError
from mock_server.console.forms import FormError, FormField, build_fields, parse_changes
from mock_server.console.page import Page, PageRequest, PageResult, Redirect

PAGE_SIZE = 50


async def show_data(request: PageRequest) -> PageResult:
    """Show all resources, the records of one, one record, or the form of a new one (`parts`: resource, key)."""
    match request.parts:
        case ():
            return Page("resources.html.j2", await request.get("/resources"))
        case (resource,):
            return await _show_records(request, resource)
        case (resource, "new"):
            return await _show_new_record(request, resource)
        case (resource, key):
            return await _show_record(request, resource, key)
    raise ControlError(404, ["There is no such page."])


async def change_data(request: PageRequest) -> PageResult:
    """Create, change or delete a record (`parts`: resource, then ``new``, key, or key and ``delete``)."""
    match request.parts:
        case (resource, "new"):
            return await _create_record(request, resource)
        case (resource, key):
            return await _update_record(request, resource, key)
        case (resource, key, "delete"):
            try:
                await request.send("DELETE", f"/records/{resource}/{key}")
            except ControlError as error:
                return await _show_record(request, resource, key, error.messages)
            return Redirect(request.build_url(f"data/{resource}", notice="deleted"))
    raise ControlError(404, ["There is no such page."])


async def show_changes(request: PageRequest) -> PageResult:
    """Show the changes since the creation of the sandbox or since a snapshot, and the snapshots."""
    since = request.query.get("since", "")
    changes = await request.get("/changes", since=since)
    snapshots = (await request.get("/snapshots"))["snapshots"]
    return Page("changes.html.j2", {"changes": changes, "snapshots": snapshots, "since": since})


async def change_snapshots(request: PageRequest) -> PageResult:
    """Save, restore or delete a snapshot, or reset the sandbox (field ``do``)."""
    name = request.form.get("name", "")
    match request.form.get("do"):
        case "save":
            await request.send("PUT", f"/snapshots/{name}")
        case "restore":
            await request.send("POST", f"/snapshots/{name}/restore")
        case "delete":
            await request.send("DELETE", f"/snapshots/{name}")
        case _:
            await request.send("POST", "/reset")
    return Redirect(request.build_url("changes", notice=request.form.get("do", "")))


async def _show_records(request: PageRequest, resource: str) -> Page:
    search, offset = request.query.get("search", ""), request.query.get("offset", "0")
    listed = await request.get(f"/records/{resource}", search=search, limit=PAGE_SIZE, offset=offset)
    first = int(offset)
    following = first + PAGE_SIZE if first + PAGE_SIZE < listed["total"] else None
    context = {"resource": resource, "listed": listed, "search": search, "first": first, "following": following}
    return Page("records.html.j2", {**context, "page_size": PAGE_SIZE})


async def _show_record(request: PageRequest, resource: str, key: str, messages: list[str] | None = None) -> Page:
    record = await request.get(f"/records/{resource}/{key}")
    fields = build_fields(await _read_schema(request, resource), record["record"])
    return _create_form_page("record.html.j2", fields, messages, resource=resource, record=record)


async def _show_new_record(request: PageRequest, resource: str, messages: list[str] | None = None) -> Page:
    fields = build_fields(await _read_schema(request, resource), {})
    return _create_form_page("new_record.html.j2", fields, messages, resource=resource)


def _create_form_page(template: str, fields: list[FormField], messages: list[str] | None, **context: Any) -> Page:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if messages else HTTPStatus.OK
    return Page(template, {**context, "fields": fields, "errors": messages or []}, status)


async def _read_schema(request: PageRequest, resource: str) -> Any:
    """Return the schema of the records of a resource in requests. Raises ControlError (404)."""
    schemas = (await request.client.get("/openapi.json"))["components"]["schemas"]
    if f"{resource}Input" not in schemas:
        raise ControlError(404, [f"The contract has no resource {resource}."])
    return schemas[f"{resource}Input"]


async def _create_record(request: PageRequest, resource: str) -> PageResult:
    """Create a record with the values that were filled in; the mock chooses the others."""
    fields = build_fields(await _read_schema(request, resource), {})
    filled = {name: text for name, text in request.form.items() if text or name.endswith(":null")}
    try:
        created = await request.send("POST", "/records", {resource: [parse_changes(fields, filled)]})
    except (ControlError, FormError) as error:
        return await _show_new_record(request, resource, _list_messages(error))
    resources = (await request.get("/resources"))["resources"]
    key_attribute = next(item["key"] for item in resources if item["name"] == resource)
    return Redirect(request.build_url(f"data/{resource}/{created[resource][-1][key_attribute]}", notice="created"))


async def _update_record(request: PageRequest, resource: str, key: str) -> PageResult:
    record = await request.get(f"/records/{resource}/{key}")
    fields = build_fields(await _read_schema(request, resource), record["record"])
    try:
        changes = parse_changes(fields, request.form)
        if changes:
            await request.send("PATCH", f"/records/{resource}/{key}", changes)
    except (ControlError, FormError) as error:
        return await _show_record(request, resource, key, _list_messages(error))
    return Redirect(request.build_url(f"data/{resource}/{key}", notice="saved" if changes else "unchanged"))


def _list_messages(error: ControlError | FormError) -> list[str]:
    return error.messages if isinstance(error, ControlError) else str(error).split("\n")
