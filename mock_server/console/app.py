"""Serves the console: finds the page, renders it, and protects it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.console.control_client import ControlClient, ControlError
from mock_server.console.page import CONSOLE_PREFIX, Download, Page, PageRequest, PageResult, Redirect, ShowPage
from mock_server.console.pages import data, requests, steering
from mock_server.sandbox.sandbox import DEFAULT_NAME
from mock_server.web.context import RequestContext, send_response
from mock_server.web.routing import method_not_allowed_error
from spec.model import Contract

TOKEN_COOKIE = "mock_control"
MAX_FORM_BYTES = 1024 * 1024
ASSETS = {
    "htmx.min.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
}
# First segment of the path -> (page, what its forms do).
PAGES: Mapping[str, tuple[ShowPage, ShowPage | None]] = {
    "": (requests.show_requests, None),
    "requests": (requests.show_requests, requests.change_requests),
    "requests.har": (requests.download_archive, None),
    "data": (data.show_data, data.change_data),
    "changes": (data.show_changes, data.change_snapshots),
    "rules": (steering.show_rules, steering.change_rules),
    "clock": (steering.show_clock, steering.change_clock),
    "sandboxes": (steering.show_sandboxes, steering.change_sandboxes),
    "contract": (steering.show_contract, None),
}
_SIGN_IN = "token"
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
    """The pages below CONSOLE_PREFIX."""

    contract: Contract

    def has_page(self, raw_path: bytes) -> bool:
        """Whether the console serves a path."""
        path = raw_path.decode("latin-1")
        if path == CONSOLE_PREFIX.rstrip("/"):
            return True
        name = path.removeprefix(CONSOLE_PREFIX).partition("/")[0]
        return path.startswith(CONSOLE_PREFIX) and (name in PAGES or name in (_SIGN_IN, "assets"))

    async def __call__(self, app: ASGIApp, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a page. `app`: the application with the control API. Raises ApiError (405)."""
        path = unquote(context.raw_path.decode("latin-1")).removeprefix(CONSOLE_PREFIX.rstrip("/")).strip("/")
        name, *parts = path.split("/")
        if context.method not in ("GET", "HEAD", "POST"):
            raise method_not_allowed_error(context, "GET, HEAD, POST")
        if name == "assets":
            await _send_asset(context, "/".join(parts), send)
            return
        query = dict(parse_qsl(context.raw_query.decode("latin-1"), keep_blank_values=True))
        form = await _read_form(receive) if context.method == "POST" else {}
        if name == _SIGN_IN:
            await _sign_in(context, scope, form, send)
            return
        client = ControlClient(app, scope, _get_token(context))
        sandbox = form.get("sandbox") or query.get("sandbox") or DEFAULT_NAME
        request = PageRequest(self.contract, client, sandbox, tuple(parts), query, form)
        await self.send_result(context, request, name or "requests", await self.run(context, request, name), send)

    async def run(self, context: RequestContext, request: PageRequest, name: str) -> PageResult:
        show, change = PAGES[name]
        if context.method == "POST" and change is None:
            raise method_not_allowed_error(context, "GET, HEAD")
        try:
            return await (change if context.method == "POST" and change else show)(request)
        except ControlError as error:
            template = "sign_in.html.j2" if error.status == HTTPStatus.UNAUTHORIZED else "error.html.j2"
            return Page(template, {"errors": error.messages}, HTTPStatus(error.status))

    async def send_result(
        self, context: RequestContext, request: PageRequest, name: str, result: PageResult, send: Send
    ) -> None:
        if isinstance(result, Redirect):
            await send_response(send, context, HTTPStatus.SEE_OTHER, b"", headers={"Location": result.url})
        elif isinstance(result, Download):
            disposition = f'attachment; filename="{result.name}"'
            headers = {**_HEADERS, "Content-Disposition": disposition}
            content_type = (b"content-type", result.media_type.encode())
            await send_response(send, context, 200, result.content, content_type=content_type, headers=headers)
        else:
            common = {"name": name, "request": request, "notice": request.query.get("notice", "")}
            body = render(result.template, {**common, **result.context})
            await send_response(send, context, result.status, body, content_type=_HTML, headers=_HEADERS)


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """Render a template; every value is escaped."""
    return str(_environment().get_template(template).render(context)).encode("utf-8", "replace")


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only a console needs it

    environment = Environment(
        loader=PackageLoader("mock_server.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "indent": 2}
    environment.filters["pretty"] = _format_json
    return environment


def _format_json(value: Any) -> str:
    """Return a value as indented JSON; a text unchanged."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


async def _read_form(receive: Receive) -> dict[str, str]:
    """Return the fields of a form."""
    content, has_more = b"", True
    while has_more and len(content) <= MAX_FORM_BYTES:
        message = await receive()
        content += message.get("body", b"")
        has_more = message.get("more_body", False)
    return dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))


def _get_token(context: RequestContext) -> str:
    """Return the control token of a browser that signed in, or of another client."""
    scheme, _, token = context.get_header(b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else unquote(context.get_cookie(TOKEN_COOKIE) or "")


async def _sign_in(context: RequestContext, scope: Scope, form: Mapping[str, str], send: Send) -> None:
    """Store the control token in a cookie that scripts cannot read and other sites cannot send."""
    token = urlencode({"t": form.get("token", "").strip()})[2:]
    cookie = f"{TOKEN_COOKIE}={token}; Path={CONSOLE_PREFIX}; HttpOnly; SameSite=Strict"
    cookie += "; Secure" if context.base_url.startswith("https:") else ""
    headers = {"Location": CONSOLE_PREFIX, "Set-Cookie": cookie}
    await send_response(send, context, HTTPStatus.SEE_OTHER, b"", headers=headers)


async def _send_asset(context: RequestContext, name: str, send: Send) -> None:
    if name not in ASSETS:
        await send_response(send, context, HTTPStatus.NOT_FOUND, b"", headers=_HEADERS)
        return
    content = (resources.files("mock_server.console") / "assets" / name).read_bytes()
    headers = {**_HEADERS, "Cache-Control": "max-age=3600"}
    await send_response(
        send, context, 200, content, content_type=(b"content-type", ASSETS[name].encode()), headers=headers
    )
