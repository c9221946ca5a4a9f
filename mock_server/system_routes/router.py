"""Routes outside the contract's base path: documentation, media files and the health endpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import orjson
from starlette.types import Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import StoredRecord
from mock_server.store.schema import parse_key
from mock_server.system_routes.docs import ASSETS, COMPRESSED_ASSETS, PAGE_POLICY, Docs
from mock_server.system_routes.examples import iter_example_keys
from mock_server.system_routes.media import GeneratedFile, generate_file
from mock_server.web.context import READ_METHODS, RequestContext, send_response
from mock_server.web.request_log import escape_unprintable
from mock_server.web.routing import method_not_allowed_error
from spec.model import Contract, Resource

_IMMUTABLE_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_NO_CACHE_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = {**_NO_CACHE_HEADERS, "Content-Security-Policy": PAGE_POLICY}
_ASSET_HEADERS = {**_NO_CACHE_HEADERS, "Cache-Control": "max-age=86400"}
_HTML = "text/html; charset=utf-8"
_STORAGE_PREFIX = "/storage/"
_MAX_PATH_CHARS = 300
_ASSETS_PREFIX = "/docs/"


@dataclass(frozen=True, slots=True)
class SystemPage:
    content: bytes
    media_type: str
    headers: Mapping[str, str]


class SystemRoutes:
    """Serves the system routes. `collections`: the resources by the folder of their files."""

    def __init__(self, docs: Docs, contract: Contract) -> None:
        self.docs = docs
        self.collections = {resource.collection: resource for resource in contract.resources.values()}
        # Path -> (function that renders the page for a request, media type, headers)
        self.handlers: Mapping[str, tuple[Callable[[RequestContext], bytes], str, Mapping[str, str]]] = {
            "": (lambda context: docs.home_page, _HTML, _PAGE_HEADERS),
            "/docs": (lambda context: docs.reference_page, _HTML, _PAGE_HEADERS),
            "/docs/try": (lambda context: docs.try_page, _HTML, _PAGE_HEADERS),
            "/docs/openapi.json": (self.render_examples, "application/json", _NO_CACHE_HEADERS),
            "/openapi.yaml": (_for_base_url(docs.render_yaml), "application/yaml", _NO_CACHE_HEADERS),
            "/openapi.json": (_for_base_url(docs.render_json), "application/json", _NO_CACHE_HEADERS),
            "/openapi-3.1.json": (_for_base_url(docs.render_json_31), "application/json", _NO_CACHE_HEADERS),
            "/__mock/contract.yaml": (_for_base_url(docs.render_source), "application/yaml", _NO_CACHE_HEADERS),
            "/__mock/health": (self.render_health, "application/json", {"Cache-Control": "no-store"}),
        }

    def render_examples(self, context: RequestContext) -> bytes:
        """Render the published contract with example keys, for Swagger UI."""
        keys = {operation.id: key for operation, key in iter_example_keys(context.sandbox)}
        return self.docs.render_json_with_examples(context.base_url, keys)

    def render_health(self, context: RequestContext) -> bytes:
        """Render ``{"status": "ok", "operations": 76, "records": {"Message": 240, ...}}``."""
        sandbox = context.sandbox
        operations, records = len(sandbox.contract.operations), dict(sandbox.store.count_by_resource())
        return orjson.dumps({"status": "ok", "operations": operations, "records": records})

    def find_page(self, context: RequestContext) -> SystemPage | None:
        """Return the page at the context's path; None if there is none."""
        path = context.raw_path.decode("latin-1")
        handler = self.handlers.get(path.rstrip("/"))
        if handler is not None:
            render, media_type, headers = handler
            return SystemPage(render(context), media_type, headers)
        if path.startswith(_STORAGE_PREFIX):
            file = self.find_file(context.sandbox, unquote(path))
            return SystemPage(file.content, file.media_type, _IMMUTABLE_HEADERS)
        if path.startswith(_ASSETS_PREFIX):
            name = path[len(_ASSETS_PREFIX) :]
            if content := self.docs.read_asset(name):
                encoding = {"Content-Encoding": "gzip"} if name in COMPRESSED_ASSETS else {}
                return SystemPage(content, ASSETS[name], {**_ASSET_HEADERS, **encoding})
        return None

    def find_file(self, sandbox: Sandbox, path: str) -> GeneratedFile:
        """Return the file at a path (``/storage/users/7.svg``). Raises ApiError (404) if no record refers to it.

        The path contains the key of the record, which must exist and have the file's URL.
        """
        folder, _, name = path.removeprefix(_STORAGE_PREFIX).rpartition("/")
        resource = self.collections.get(folder)
        if resource is not None:
            key = parse_key(resource, name.rpartition(".")[0] or name)
            record = None if key is None else sandbox.store.get(resource.name, key)
            if record is not None and _has_file_url(resource, record, path):
                file = generate_file(path.removeprefix(_STORAGE_PREFIX))
                if file is not None:
                    return file
        display_path = escape_unprintable(path[:_MAX_PATH_CHARS])
        detail = f"no record refers to {display_path}"
        raise ApiError(ErrorKind.RECORD_NOT_FOUND, detail, resource="file", key=display_path)

    async def serve(self, context: RequestContext, send: Send) -> bool:
        """Send the response if the path is a system route. Returns True if sent."""
        page = self.find_page(context)
        if page is None:
            return False
        if context.method == "OPTIONS":
            await send_response(send, context, 204, headers={"Allow": READ_METHODS})
        elif context.method not in ("GET", "HEAD"):
            raise method_not_allowed_error(context, READ_METHODS)
        else:
            content_type = (b"content-type", page.media_type.encode())
            await send_response(send, context, 200, page.content, content_type=content_type, headers=page.headers)
        return True


def _for_base_url(render: Callable[[str], bytes]) -> Callable[[RequestContext], bytes]:
    return lambda context: render(context.base_url)


def _has_file_url(resource: Resource, record: StoredRecord, path: str) -> bool:
    """Whether a file attribute of the record has this path, with or without the mock's base URL."""
    attributes = record.attributes
    urls = (attributes.get(prop.name) for prop in resource.attributes.values() if prop.is_file)
    return any(isinstance(url, str) and url.endswith(path) for url in urls)
