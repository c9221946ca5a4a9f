"""What the mock serves beside the API, outside the contract's base path: its documentation, media, and side door."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import Send

from mock_server.control import health
from mock_server.docs import ASSETS, Docs
from mock_server.exchange import Exchange, answer
from mock_server.media import file_at
from mock_server.problems import Problem, Refusal
from mock_server.world import World

ALLOW = "GET, HEAD, OPTIONS"
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_FRESH = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_STORAGE = "/storage/"
_ASSETS = "/docs/"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the house."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]


class House:
    """Finds the page for a path."""

    def __init__(self, docs: Docs, world: World) -> None:
        self.docs = docs
        self.world = world
        self.pages: Mapping[str, Callable[[str], Page]] = {
            "/docs": lambda base: Page(docs.page, "text/html; charset=utf-8", _FRESH),
            "/openapi.yaml": lambda base: Page(docs.yaml_at(base), "application/yaml", _FRESH),
            "/openapi.json": lambda base: Page(docs.json_at(base), "application/json", _FRESH),
            "/__mock/health": lambda base: Page(health(world), "application/json", {"Cache-Control": "no-store"}),
        }

    def page(self, exchange: Exchange) -> Page | None:
        """What stands at a path, if anything."""
        path = exchange.path.decode("latin-1")
        made = self.pages.get(path.rstrip("/"))
        if made is not None:
            return made(exchange.base)
        if path.startswith(_STORAGE):
            file = file_at(unquote(path[len(_STORAGE) :]))
            return Page(file.content, file.media_type, _FOREVER) if file else None
        if path.startswith(_ASSETS):
            name = path[len(_ASSETS) :]
            content = self.docs.asset(name)
            return Page(content, ASSETS[name], _FRESH | {"Cache-Control": "max-age=86400"}) if content else None
        return None

    async def serve(self, exchange: Exchange, send: Send) -> bool:
        """Answer if the path is the house's; whether it was."""
        home = exchange.path == b"/"
        page = None if home else self.page(exchange)
        if page is None and not home:
            return False
        if exchange.method == "OPTIONS":
            await answer(send, exchange, 204, headers={"Allow": ALLOW})
        elif exchange.method not in ("GET", "HEAD"):
            shown = exchange.shown_path
            raise Refusal(Problem.METHOD, headers={"Allow": ALLOW}, method=exchange.method, path=shown, allowed=ALLOW)
        elif page is None:
            await answer(send, exchange, 302, b"", headers={"Location": f"{exchange.base}/docs"})
        else:
            kind = (b"content-type", page.media_type.encode())
            await answer(send, exchange, 200, page.content, content_type=kind, headers=page.headers)
        return True
