"""Pages of the records (list, search, create, update, delete), and of the changes and snapshots of the sandbox."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from mock_server.console.control_client import ControlError
from mock_server.console.field_errors import NamedField, assign_errors
from mock_server.console.forms import NULL_SUFFIX, FormField, build_fields, fill_fields, parse_changes
from mock_server.console.page import (
    Page,
    PageRequest,
    PageResult,
    Redirect,
    create_unknown_action_error,
    create_unknown_page_error,
    parse_whole_number,
)
from spec.model import Attribute, Contract, Relation
from spec.provenance import get_provenance

PAGE_SIZE = 50


async def show_data(request: PageRequest) -> PageResult:
    """Show all resources, the records of one, one record, or the form of a new one (`parts`: resource, key)."""
    match request.parts:
        case ():
            return Page("resources.html.j2", await request.get("resources"))
        case (resource,):
            return await _show_records(request, resource)
        case (resource, "new"):
            return await _show_new_record(request, resource)
        case (resource, key):
            return await _show_record(request, resource, key)
    raise create_unknown_page_error()


async def change_data(request: PageRequest) -> PageResult:
    """Create, change or delete a record (`parts`: resource, then ``new``, key, or key and ``delete``)."""
    match request.parts:
        case (resource, "new"):
            return await _create_record(request, resource)
        case (resource, key):
            return await _update_record(request, resource, key)
        case (resource, key, "delete"):
            try:
                await request.send("DELETE", "records", resource, key)
            except ControlError as error:
                return (await _show_record(request, resource, key)).with_error(error)
            return Redirect(request.build_url("data", resource, notice="deleted"))
    raise create_unknown_page_error()


async def show_changes(request: PageRequest) -> Page:
    """Show the changes since the creation of the sandbox or since a snapshot, and the snapshots."""
    since = request.query.get("since", "")
    changes = await request.get("changes", since=since)
    snapshots = (await request.get("snapshots"))["snapshots"]
    context = {"changes": changes, "snapshots": snapshots, "since": since}
    return Page("changes.html.j2", context)


async def change_snapshots(request: PageRequest) -> PageResult:
    """Save, restore or delete a snapshot, or reset the sandbox (field ``do``)."""
    action = request.form.get("do", "")
    try:
        await _run_snapshot_action(request, action, request.form.get("name", ""))
    except ControlError as error:
        return (await show_changes(request)).with_error(error)
    return Redirect(request.build_url("changes", notice=action))


async def _run_snapshot_action(request: PageRequest, action: str, name: str) -> None:
    match action:
        case "save":
            await request.send("PUT", "snapshots", name)
        case "restore":
            await request.send("POST", "snapshots", name, "restore")
        case "delete":
            await request.send("DELETE", "snapshots", name)
        case "reset":
            await request.send("POST", "reset")
        case _:
            raise create_unknown_action_error(action)


async def _show_records(request: PageRequest, resource: str) -> Page:
    search, offset = request.query.get("search", ""), request.query.get("offset", "0")
    listed = await request.get("records", resource, search=search, limit=PAGE_SIZE, offset=offset)
    first = parse_whole_number(offset) or 0
    next_offset = first + PAGE_SIZE if first + PAGE_SIZE < listed["total"] else None
    resources = (await request.get("resources"))["resources"]
    context = {
        "resource": resource,
        "listed": listed,
        "search": search,
        "first": first,
        "next_offset": next_offset,
        "page_size": PAGE_SIZE,
        "has_owner": any(item["has_owner"] for item in resources if item["name"] == resource),
        "provenance": list_provenance(request.contract, resource),
    }
    return Page("records.html.j2", context)


def list_provenance(contract: Contract, resource_name: str) -> dict[str, str]:
    """Return the provenance of the stored properties of a resource by name; {} for an unknown resource."""
    resource = contract.resources.get(resource_name)
    if resource is None:
        return {}
    relations = [relation for relation in resource.relations.values() if relation.is_stored]
    parts: list[Attribute | Relation] = [*resource.attributes.values(), *relations]
    return {part.name: get_provenance(contract.document, part.pointer) for part in parts}


async def _build_fields(request: PageRequest, resource: str, record: Mapping[str, Any]) -> list[FormField]:
    """Return the fields of a record. Raises ControlError (404)."""
    schema, provenance = await _read_schema(request, resource), list_provenance(request.contract, resource)
    return build_fields(schema, record, provenance, request.contract.resources[resource])


def _show_form_error(
    page: Page, fields: list[FormField], form: Mapping[str, str], error: ControlError, prefix: str = ""
) -> Page:
    """Return the page of a rejected form: with the submitted texts, and the errors at their fields.

    `prefix`: of the location of a field in the request to the control API; a field that was rejected before has none.
    """
    locations: dict[str, NamedField] = {name: field for field in fields for name in (field.name, prefix + field.name)}
    errors = assign_errors(error, locations)
    filled = replace(page, context={**page.context, "fields": fill_fields(fields, form, errors)})
    return filled.with_form_errors(error, errors)


async def _show_record(request: PageRequest, resource: str, key: str) -> Page:
    record = await request.get("records", resource, key)
    fields = await _build_fields(request, resource, record["record"])
    return Page("record.html.j2", {"fields": fields, "resource": resource, "record": record})


async def _show_new_record(request: PageRequest, resource: str) -> Page:
    fields = await _build_fields(request, resource, {})
    return Page("new_record.html.j2", {"fields": fields, "resource": resource})


async def _read_schema(request: PageRequest, resource: str) -> Any:
    """Return the schema of a record in requests to the control API. Raises ControlError (404)."""
    schemas = (await request.client.get("openapi.json"))["components"]["schemas"]
    if f"{resource}Input" not in schemas:
        raise ControlError(
            HTTPStatus.NOT_FOUND, [f'resource: unknown name "{resource[:100]}" (expected a resource of the contract).']
        )
    return schemas[f"{resource}Input"]


async def _create_record(request: PageRequest, resource: str) -> PageResult:
    """Create a record with the submitted values; the mock generates the others."""
    fields = await _build_fields(request, resource, {})
    filled = {name: text for name, text in request.form.items() if text or name.endswith(NULL_SUFFIX)}
    try:
        created = await request.send("POST", "records", body={resource: [parse_changes(fields, filled)]})
    except ControlError as error:
        page = Page("new_record.html.j2", {"resource": resource})
        return _show_form_error(page, fields, request.form, error, f"{resource}.0.")
    resources = (await request.get("resources"))["resources"]
    key_attribute = next(item["key"] for item in resources if item["name"] == resource)
    return Redirect(request.build_url("data", resource, created[resource][-1][key_attribute], notice="created"))


async def _update_record(request: PageRequest, resource: str, key: str) -> PageResult:
    record = await request.get("records", resource, key)
    fields = await _build_fields(request, resource, record["record"])
    try:
        changes = parse_changes(fields, request.form)
        if changes:
            await request.send("PATCH", "records", resource, key, body=changes)
    except ControlError as error:
        page = Page("record.html.j2", {"resource": resource, "record": record})
        return _show_form_error(page, fields, request.form, error)
    return Redirect(request.build_url("data", resource, key, notice="saved" if changes else "unchanged"))
