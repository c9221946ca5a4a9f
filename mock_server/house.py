"""What the mock serves beside the API, outside the contract's base path: its documentation, media, and side door."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import Send

from mock_server.console import printable
from mock_server.control import health
from mock_server.docs import ASSETS, Docs
from mock_server.examples import keys
from mock_server.exchange import Exchange, answer
from mock_server.media import File, file_at
from mock_server.problems import Problem, Refusal
from mock_server.representation import is_file
from mock_server.store import Stored
from mock_server.store.plan import key_from
from mock_server.world import World
from spec.contract import Resource

ALLOW = "GET, HEAD, OPTIONS"
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_FRESH = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_STORAGE = "/storage/"
_SHOWN = 300
_ASSETS = "/docs/"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the house."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]


class House:
    """Finds the page for a path. `collections`: the resources, by the folder that their files lie in."""

    def __init__(self, docs: Docs, world: World) -> None:
        self.docs = docs
        self.world = world
        self.collections = {resource.collection: resource for resource in world.contract.resources.values()}
        self.pages: Mapping[str, Callable[[str], Page]] = {
            "/docs": lambda base: Page(docs.page, "text/html; charset=utf-8", _FRESH),
            "/docs/openapi.json": lambda base: Page(docs.tried_at(base, keys(world)), "application/json", _FRESH),
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
            file = self.file(unquote(path))
            return Page(file.content, file.media_type, _FOREVER)
        if path.startswith(_ASSETS):
            name = path[len(_ASSETS) :]
            content = self.docs.asset(name)
            return Page(content, ASSETS[name], _FRESH | {"Cache-Control": "max-age=86400"}) if content else None
        return None

    def file(self, path: str) -> File:
        """The file at a path like ``/storage/users/7.svg``. Raises Refusal (404) where no record refers to it.

        The path names the record that it was made for, which must still say so: with it goes its file.
        """
        folder, _, name = path.removeprefix(_STORAGE).rpartition("/")
        resource = self.collections.get(folder)
        if resource is not None:
            key = key_from(resource, name.rpartition(".")[0] or name)
            record = None if key is None else self.world.store.get(resource.name, key)
            if record is not None and _refers(resource, record, path):
                file = file_at(path.removeprefix(_STORAGE))
                if file is not None:
                    return file
        shown = printable(path[:_SHOWN])
        why = f"no record refers to {shown}; the URLs that answers show are served"
        raise Refusal(Problem.NO_RECORD, why, resource="file", key=shown)

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


def _refers(resource: Resource, record: Stored, path: str) -> bool:
    """Whether a file of a record has this path; one that a client sent back has our address before it."""
    said = (record.own.get(prop.name) for prop in resource.attributes.values() if is_file(prop))
    return any(isinstance(text, str) and text.endswith(path) for text in said)
