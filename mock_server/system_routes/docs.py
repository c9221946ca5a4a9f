"""The documentation: Scalar and Swagger UI with local assets, and the published contract with this server's URL."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from spec.document import Document
from spec.model import Contract, Operation

# Files of swagger_ui_bundle -> media type.
SWAGGER_UI_ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
# Files of this package -> media type. scalar.js is stored compressed: 1.4 MB instead of 4.9 MB.
OWN_ASSETS = {
    "scalar.js": "text/javascript; charset=utf-8",
    "reference.js": "text/javascript; charset=utf-8",
    "try.js": "text/javascript; charset=utf-8",
    "pages.css": "text/css; charset=utf-8",
}
COMPRESSED_ASSETS = frozenset({"scalar.js"})
ASSETS: Mapping[str, str] = {**SWAGGER_UI_ASSETS, **OWN_ASSETS}
# Both tools style elements by script, so styles are not restricted; nothing is sent to another host.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_SERVERS_BLOCK = re.compile(rb"^servers:.*\n(?:(?:[ \t-].*|#.*|\r?)\n)*", re.MULTILINE)

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="{assets}favicon-32x32.png">
<link rel="stylesheet" href="{assets}pages.css">
"""
_REFERENCE_PAGE = (
    _HEAD
    + """</head>
<body>
<p class="hint">This is a mock server. <a href="docs/try">Try the operations</a> · <a href="./">All pages</a></p>
<div id="reference" data-contract="openapi.json" data-token="{token}" data-schemes="{schemes}"></div>
<script src="{assets}scalar.js"></script>
<script src="{assets}reference.js"></script>
</body>
</html>
"""
)
_TRY_PAGE = (
    _HEAD
    + """<link rel="stylesheet" href="{assets}swagger-ui.css">
</head>
<body class="try">
<p class="hint">This is a mock server. Press <b>Try it out</b> on any operation. The token <code>{token}</code> is
filled in; <b>Authorize</b> changes it. <a href="../docs">Documentation</a> · <a href="../">All pages</a></p>
<div id="ui" data-contract="openapi.json" data-token="{token}" data-schemes="{schemes}"></div>
<script src="{assets}swagger-ui-bundle.js"></script>
<script src="{assets}try.js"></script>
</body>
</html>
"""
)
_HOME_PAGE = (
    _HEAD
    + """</head>
<body class="home">
<main>
<h1>{title}: mock server</h1>
<ul>
{links}
</ul>
</main>
</body>
</html>
"""
)
_CONSOLE_LINK = ("__mock/", "Console", "see the requests and the data, and control the responses")
_LINKS = (
    ("docs", "Documentation", "read the contract, and how far each part is known"),
    ("docs/try", "Try it", "send requests from the browser"),
    ("openapi.json", "Contract", "OpenAPI 3.0 as JSON"),
    ("openapi.yaml", "Contract", "OpenAPI 3.0 as YAML"),
    ("openapi-3.1.json", "Contract", "OpenAPI 3.1 as JSON"),
    ("__mock/contract.yaml", "Source of the contract", "with the specification extensions of the mock"),
    ("__mock/health", "Health", "number of operations and records"),
)


class PublishedContract:
    """The published forms of a contract. Each is built when it is first needed, since that takes 0.2 to 0.6 s."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    @cached_property
    def openapi(self) -> Mapping[str, Any]:
        """The OpenAPI 3.0 document."""
        from spec.publishing.openapi30 import build_openapi  # not imported by a server that starts

        return build_openapi(self.contract)

    @cached_property
    def openapi_31(self) -> Mapping[str, Any]:
        """The OpenAPI 3.1 document."""
        from spec.publishing.openapi30 import build_openapi_31

        return build_openapi_31(self.contract)

    @cached_property
    def yaml(self) -> bytes:
        """The OpenAPI 3.0 document as YAML."""
        from spec.publishing.openapi30 import render_yaml

        return render_yaml(self.openapi)


@dataclass(frozen=True, slots=True)
class Docs:
    """The pages of a contract.

    `reference_page`: for reading. `try_page`: sends requests. `home_page`: links to all other pages.
    """

    contract: Contract
    published: PublishedContract
    reference_page: bytes
    try_page: bytes
    home_page: bytes
    assets_folder: Path | None

    @classmethod
    def from_contract(cls, contract: Contract, token: str, *, has_console: bool = False) -> "Docs":
        """Build the pages of `contract`; `token` is filled in where requests are sent."""
        title, schemes = escape(contract.title or "API"), escape(" ".join(_list_token_schemes(contract)))
        return cls(
            contract,
            PublishedContract(contract),
            _REFERENCE_PAGE.format(title=title, assets="docs/", token=escape(token), schemes=schemes).encode(),
            _TRY_PAGE.format(title=title, assets="", token=escape(token), schemes=schemes).encode(),
            _HOME_PAGE.format(title=title, assets="docs/", links=_render_links(has_console)).encode(),
            _find_assets_folder(),
        )

    def render_source(self, base_url: str) -> bytes:
        """Return the source contract's text, with its extensions, comments and order, for the mock at `base_url`."""
        text = self.contract.document.content
        if text.lstrip()[:1] == b"{":  # JSON
            return self._dump(self.contract.document.root, base_url, orjson.OPT_INDENT_2)
        return self._replace_servers(text, base_url)

    def render_yaml(self, base_url: str) -> bytes:
        """Return the published contract as YAML for the mock at `base_url`."""
        return self._replace_servers(self.published.yaml, base_url)

    def render_json(self, base_url: str) -> bytes:
        """Return the published contract as JSON for the mock at `base_url`."""
        return self._dump(self.published.openapi, base_url)

    def render_json_31(self, base_url: str) -> bytes:
        """Return the published contract as OpenAPI 3.1 for the mock at `base_url`."""
        return self._dump(self.published.openapi_31, base_url)

    def render_json_with_examples(self, base_url: str, example_keys: Mapping[str, Any]) -> bytes:
        """Return the published contract with examples of path parameters from `example_keys` (by operationId)."""
        root = self.published.openapi
        document = replace(self.contract.document, root=root)
        items = root["paths"]
        paths = {path: {k: v for k, v in item.items() if k != "parameters"} for path, item in items.items()}
        for operation in self.contract.operations.values():
            item, path = items[operation.path], paths[operation.path]
            merged = _merge_parameters(document, item, operation, example_keys.get(operation.id))
            path[operation.method] = {**item[operation.method], **({"parameters": merged} if merged else {})}
        return self._dump({**root, "paths": paths}, base_url)

    def _dump(self, root: Mapping[str, Any], base_url: str, option: int = 0) -> bytes:
        local_root = {**root, "servers": _list_servers(base_url, self.contract.base_paths)}
        if any(operation.base_paths for operation in self.contract.operations.values()):
            local_root["paths"] = self._replace_own_servers(root["paths"], base_url)
        return orjson.dumps(local_root, option=option)

    def _replace_own_servers(self, items: Mapping[str, Any], base_url: str) -> dict[str, Any]:
        """Return path items whose own servers, and those of their operations, are this server."""
        paths = {path: {key: node for key, node in item.items() if key != "servers"} for path, item in items.items()}
        for operation in self.contract.operations.values():
            if operation.base_paths and operation.method in paths.get(operation.path, {}):
                item = paths[operation.path]
                servers = _list_servers(base_url, operation.base_paths)
                item[operation.method] = {**item[operation.method], "servers": servers}
        return paths

    def _replace_servers(self, text: bytes, base_url: str) -> bytes:
        urls = ", ".join(f'{{url: "{base_url}{base_path}"}}' for base_path in self.contract.base_paths)
        servers = f"servers: [{urls}]\n".encode()
        match = _SERVERS_BLOCK.search(text)
        start, end = match.span() if match else (0, 0)
        return text[:start] + servers + text[end:]

    def read_asset(self, name: str) -> bytes | None:
        """Return a file of a page, as it is stored; None for any other name."""
        if name in OWN_ASSETS:
            file_name = f"{name}.gz" if name in COMPRESSED_ASSETS else name
            return (resources.files("mock_server.system_routes") / "assets" / file_name).read_bytes()
        if self.assets_folder is None or name not in SWAGGER_UI_ASSETS:
            return None
        return (self.assets_folder / name).read_bytes()


def _render_links(has_console: bool) -> str:
    links = (_CONSOLE_LINK, *_LINKS) if has_console else _LINKS
    return "\n".join(f'<li><a href="{path}">{name}</a> <code>/{path}</code>: {text}</li>' for path, name, text in links)


def _list_token_schemes(contract: Contract) -> list[str]:
    """Return the names of the security schemes that a bearer token fits."""
    schemes = contract.document.root.get("components", {}).get("securitySchemes", {})
    return [
        name
        for name, scheme in schemes.items()
        if isinstance(scheme, dict) and scheme.get("type") == "http" and str(scheme.get("scheme")).lower() == "bearer"
    ]


def _list_servers(base_url: str, base_paths: Sequence[str]) -> list[dict[str, str]]:
    return [{"url": base_url + base_path} for base_path in base_paths]


def _merge_parameters(document: Document, item: Mapping[str, Any], operation: Operation, key: Any) -> list[Any]:
    """Merge the parameters of path and operation; Swagger UI shows one that is in both twice.

    `key`: the example of the path parameter; None: the contract's example. Swagger UI sends the example of an optional
    parameter with each request, so only those of choices that select no records remain.
    """
    parameters = {(p.name, p.location): p for p in operation.parameters}
    merged: dict[tuple[str, str], Any] = {}
    for parameter_node in (*item.get("parameters", ()), *item[operation.method].get("parameters", ())):
        parameter, _ = document.dereference(parameter_node, "")
        if parameter["in"] == "path" and key is not None:
            parameter_node = {k: v for k, v in parameter.items() if k != "examples"} | {"example": key}
        parsed = parameters[parameter["name"], parameter["in"]]
        if not parsed.required and (parsed.x_query or "enum" not in parsed.schema):
            parameter_node = _remove_examples(parameter) | {"schema": _remove_examples(parsed.schema)}
        merged[parsed.name, parsed.location] = parameter_node
    return list(merged.values())


def _remove_examples(node: Mapping[str, Any]) -> dict[str, Any]:
    return {keyword: value for keyword, value in node.items() if keyword not in ("example", "examples")}


def _find_assets_folder() -> Path | None:
    """Return the folder of the installed Swagger UI, without importing the package."""
    package = find_spec("swagger_ui_bundle")
    folders = package.submodule_search_locations if package else None
    return next((path for folder in folders or () for path in Path(folder).glob("vendor/swagger-ui-*")), None)
