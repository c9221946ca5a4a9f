"""What the mock serves beside the API, outside the contract's base path: its documentation, media, and side door."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.sandbox import Sandbox
from mock_server.serialization.encoder import is_file
from mock_server.store import StoredRecord
from mock_server.store.schema import parse_key
from mock_server.system_routes import health
from mock_server.system_routes.docs import ASSETS, Docs
from mock_server.system_routes.examples import find_example_keys
from mock_server.system_routes.media import GeneratedFile, generate_file
from mock_server.web.context import RequestContext, send_response
from mock_server.web.request_log import escape_unprintable
from spec.loader import Resource

ALLOWED_METHODS = "GET, HEAD, OPTIONS"
_IMMUTABLE_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_NO_CACHE_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_STORAGE_PREFIX = "/storage/"
_MAX_PATH_CHARS = 300
_ASSETS_PREFIX = "/docs/"


@dataclass(frozen=True, slots=True)
class SystemPage:
    """An answer of the house."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]


class SystemRoutes:
    """Finds the page for a path. `collections`: the resources, by the folder that their files lie in."""

    def __init__(self, docs: Docs, sandbox: Sandbox) -> None:
        self.docs = docs
        self.sandbox = sandbox
        self.collections = {resource.collection: resource for resource in sandbox.contract.resources.values()}
        self.handlers: Mapping[str, Callable[[str], SystemPage]] = {
            "/docs": lambda base_url: SystemPage(docs.html, "text/html; charset=utf-8", _NO_CACHE_HEADERS),
            "/docs/openapi.json": lambda base_url: SystemPage(
                docs.render_json_with_examples(base_url, find_example_keys(sandbox)),
                "application/json",
                _NO_CACHE_HEADERS,
            ),
            "/openapi.yaml": lambda base_url: SystemPage(
                docs.render_yaml(base_url), "application/yaml", _NO_CACHE_HEADERS
            ),
            "/openapi.json": lambda base_url: SystemPage(
                docs.render_json(base_url), "application/json", _NO_CACHE_HEADERS
            ),
            "/__mock/health": lambda base_url: SystemPage(
                health(sandbox), "application/json", {"Cache-Control": "no-store"}
            ),
        }

    def find_page(self, context: RequestContext) -> SystemPage | None:
        """What stands at a path, if anything."""
        path = context.raw_path.decode("latin-1")
        handler = self.handlers.get(path.rstrip("/"))
        if handler is not None:
            return handler(context.base_url)
        if path.startswith(_STORAGE_PREFIX):
            file = self.find_file(unquote(path))
            return SystemPage(file.content, file.media_type, _IMMUTABLE_HEADERS)
        if path.startswith(_ASSETS_PREFIX):
            name = path[len(_ASSETS_PREFIX) :]
            content = self.docs.read_asset(name)
            return (
                SystemPage(content, ASSETS[name], _NO_CACHE_HEADERS | {"Cache-Control": "max-age=86400"})
                if content
                else None
            )
        return None

    def find_file(self, path: str) -> GeneratedFile:
        """The file at a path like ``/storage/users/7.svg``. Raises Refusal (404) where no record refers to it.

        The path names the record that it was made for, which must still say so: with it goes its file.
        """
        folder, _, name = path.removeprefix(_STORAGE_PREFIX).rpartition("/")
        resource = self.collections.get(folder)
        if resource is not None:
            key = parse_key(resource, name.rpartition(".")[0] or name)
            record = None if key is None else self.sandbox.store.get(resource.name, key)
            if record is not None and _has_file_url(resource, record, path):
                file = generate_file(path.removeprefix(_STORAGE_PREFIX))
                if file is not None:
                    return file
        display_path = escape_unprintable(path[:_MAX_PATH_CHARS])
        detail = f"no record refers to {display_path}; the URLs that answers show are served"
        raise ApiError(ErrorKind.RECORD_NOT_FOUND, detail, resource="file", key=display_path)

    async def serve(self, context: RequestContext, send: Send) -> bool:
        """Answer if the path is the house's; whether it was."""
        is_root = context.raw_path == b"/"
        page = None if is_root else self.find_page(context)
        if page is None and not is_root:
            return False
        if context.method == "OPTIONS":
            await send_response(send, context, 204, headers={"Allow": ALLOWED_METHODS})
        elif context.method not in ("GET", "HEAD"):
            display_path = context.display_path
            raise ApiError(
                ErrorKind.METHOD_NOT_ALLOWED,
                headers={"Allow": ALLOWED_METHODS},
                method=context.method,
                path=display_path,
                allowed=ALLOWED_METHODS,
            )
        elif page is None:
            await send_response(send, context, 302, b"", headers={"Location": f"{context.base_url}/docs"})
        else:
            content_type = (b"content-type", page.media_type.encode())
            await send_response(send, context, 200, page.content, content_type=content_type, headers=page.headers)
        return True


def _has_file_url(resource: Resource, record: StoredRecord, path: str) -> bool:
    """Whether a file of a record has this path; one that a client sent back has our address before it."""
    urls = (record.attributes.get(prop.name) for prop in resource.attributes.values() if is_file(prop))
    return any(isinstance(url, str) and url.endswith(path) for url in urls)
