"""Serves the console: routes requests to pages, checks their origin, and renders the results."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.console.clock_state import describe_difference
from mock_server.console.control_client import ControlClient, ControlError
from mock_server.console.page import (
    CONSOLE_PREFIX,
    Download,
    Page,
    PageRequest,
    PageResult,
    Redirect,
    ShowPage,
    create_unknown_page_error,
)
from mock_server.console.pages import data, requests, rules, simulation
from mock_server.control.access import ControlAccess
from mock_server.errors import ApiError
from mock_server.sandbox.sandbox import DEFAULT_NAME
from mock_server.web.context import READ_METHODS, RequestContext, send_response
from mock_server.web.routing import method_not_allowed_error
from spec.model import Contract

TOKEN_COOKIE = "mock_control"
MAX_FORM_BYTES = 1024 * 1024
ASSETS: Mapping[str, str] = {  # name -> media type
    "htmx.min.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class PageRoute:
    """The functions of a page.

    `show`: handles GET. `change`: handles POST, None if the page has no forms. `has_parts`: whether the path may have
    further segments.
    """

    show: ShowPage
    change: ShowPage | None = None
    has_parts: bool = False


# First segment of the path -> page.
PAGES: Mapping[str, PageRoute] = {
    "": PageRoute(requests.show_requests),
    "requests": PageRoute(requests.show_requests, requests.change_requests, has_parts=True),
    "requests.har": PageRoute(requests.download_archive),
    "data": PageRoute(data.show_data, data.change_data, has_parts=True),
    "changes": PageRoute(data.show_changes, data.change_snapshots),
    "rules": PageRoute(rules.show_rules, rules.change_rules),
    "clock": PageRoute(simulation.show_clock, simulation.change_clock),
    "sandboxes": PageRoute(simulation.show_sandboxes, simulation.change_sandboxes),
    "contract": PageRoute(simulation.show_contract),
}
_VOWEL_SOUND = re.compile("[AEIO]|U(?!s|ni)", re.IGNORECASE)
_SIGN_IN, _ASSETS = "token", "assets"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HTML = (b"content-type", b"text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Console:
    """Serves the pages below CONSOLE_PREFIX. `access`: the access rules of the control API."""

    contract: Contract
    access: ControlAccess

    def has_page(self, raw_path: bytes) -> bool:
        """Whether the console serves a path."""
        if not (raw_path + b"/").startswith(CONSOLE_PREFIX.encode()):
            return False
        name = _split_path(raw_path)[0]
        return name in PAGES or name in (_SIGN_IN, _ASSETS)

    async def __call__(self, app: ASGIApp, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request. `app`: the application that serves the control API. Raises ApiError (405)."""
        name, *parts = _split_path(context.raw_path)
        if context.method not in ("GET", "HEAD", "POST"):
            raise method_not_allowed_error(context, "GET, HEAD, POST")
        if name == _ASSETS:
            await _send_asset(context, "/".join(parts), send)
            return
        query = dict(parse_qsl(context.raw_query.decode("latin-1"), keep_blank_values=True))
        client = ControlClient(app, scope, _get_token(context))
        request = PageRequest(self.contract, client, query.get("sandbox") or DEFAULT_NAME, tuple(parts), query)
        try:
            if context.method == "POST":
                self.check_origin(context)
                form = await _read_form(receive)
                request = replace(request, form=form, sandbox=form.get("sandbox") or request.sandbox)
            result = await self.run(context, request, name)
        except ControlError as error:
            template = "sign_in.html.j2" if error.status == HTTPStatus.UNAUTHORIZED else "error.html.j2"
            result = Page(template, {"errors": error.messages}, HTTPStatus(error.status))
        await self.send_result(context, request, name or "requests", result, send)

    def check_origin(self, context: RequestContext) -> None:
        """Raise ControlError (403) if another site sent the form."""
        try:
            self.access.check_origin(context)
        except ApiError as error:
            raise ControlError(HTTPStatus.FORBIDDEN, [error.message]) from None

    async def run(self, context: RequestContext, request: PageRequest, name: str) -> PageResult:
        """Show a page or process its form. Raises ControlError, and ApiError (405)."""
        if name == _SIGN_IN:
            return await _sign_in(context, request)
        route = PAGES[name]
        if request.parts and not route.has_parts:
            raise create_unknown_page_error()
        if context.method != "POST":
            return await route.show(request)
        if route.change is None:
            raise method_not_allowed_error(context, READ_METHODS)
        return await route.change(request)

    async def send_result(
        self, context: RequestContext, request: PageRequest, name: str, result: PageResult, send: Send
    ) -> None:
        """Send a redirect, a file or a rendered page. `name`: of the page, to highlight its link."""
        if isinstance(result, Redirect):
            await send_response(
                send, context, HTTPStatus.SEE_OTHER, b"", headers={**_HEADERS, "Location": result.url, **result.headers}
            )
        elif isinstance(result, Download):
            disposition = f'attachment; filename="{result.name}"'
            headers = {**_HEADERS, "Content-Disposition": disposition}
            content_type = (b"content-type", result.media_type.encode())
            await send_response(send, context, 200, result.content, content_type=content_type, headers=headers)
        else:
            common = {"name": name, "request": request, "notice": request.query.get("notice", "")}
            common["clock_difference"] = "" if result.is_fragment else await _describe_clock(request)
            body = render(result.template, {**common, **result.context})
            await send_response(send, context, result.status, body, content_type=_HTML, headers=_HEADERS)


async def _describe_clock(request: PageRequest) -> str:
    """Return how the clock of the sandbox differs from real time; "" if it does not, or cannot be read."""
    try:
        return describe_difference(await request.get("clock"))
    except ControlError:
        return ""


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """Render a template as UTF-8. Values are escaped as HTML."""
    return str(_environment().get_template(template).render(context)).encode("utf-8", "replace")


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # slow to import, and only the console uses it

    environment = Environment(
        loader=PackageLoader("mock_server.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "indent": 2}
    environment.filters["pretty"] = _format_json
    environment.filters["article"] = _find_article
    return environment


def _find_article(noun: str) -> str:
    """Return ``an`` before a vowel sound, else ``a``: an Agent, an Upload, a User, a Unit."""
    return "an" if _VOWEL_SOUND.match(noun) else "a"


def _format_json(value: Any) -> str:
    """Return a value as indented JSON; return a string unchanged."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


async def _read_form(receive: Receive) -> dict[str, str]:
    """Return the fields of a form. Raises ControlError (413)."""
    content, has_more = b"", True
    while has_more:
        message = await receive()
        content += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(content) > MAX_FORM_BYTES:
            text = f"form: got more than {MAX_FORM_BYTES} bytes (expected at most that many)."
            raise ControlError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, [text])
    return dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))


def _split_path(raw_path: bytes) -> list[str]:
    """Return the decoded segments of a path below CONSOLE_PREFIX; at least one, which may be empty."""
    path = raw_path.decode("latin-1").removeprefix(CONSOLE_PREFIX.rstrip("/")).removeprefix("/").removesuffix("/")
    return [unquote(segment) for segment in path.split("/")]


def _get_token(context: RequestContext) -> str:
    """Return the control token of the Authorization header or the cookie; "" if there is none."""
    scheme, _, token = context.get_header(b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip().encode("latin-1").decode("utf-8", "replace")
    return unquote(context.get_cookie(TOKEN_COOKIE) or "")


async def _sign_in(context: RequestContext, request: PageRequest) -> PageResult:
    """Store the control token in a cookie that scripts cannot read and other sites cannot send.

    Raises ControlError unless the control API accepts the token.
    """
    if context.method != "POST":
        return Page("sign_in.html.j2")
    token = request.form.get("token", "").strip()
    await replace(request.client, token=token).get("sandboxes")
    cookie = f"{TOKEN_COOKIE}={quote(token, safe='')}; Path={CONSOLE_PREFIX}; HttpOnly; SameSite=Strict"
    cookie += "; Secure" if context.base_url.startswith("https:") else ""
    return Redirect(CONSOLE_PREFIX, {"Set-Cookie": cookie})


async def _send_asset(context: RequestContext, name: str, send: Send) -> None:
    if name not in ASSETS:
        await send_response(send, context, HTTPStatus.NOT_FOUND, b"", headers=_HEADERS)
        return
    content = (resources.files("mock_server.console") / "assets" / name).read_bytes()
    headers = {**_HEADERS, "Cache-Control": "max-age=3600"}
    await send_response(
        send, context, 200, content, content_type=(b"content-type", ASSETS[name].encode()), headers=headers
    )
