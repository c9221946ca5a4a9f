"""The documentation: Swagger UI with local assets, and the contract with this server's URL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from spec.document import Document
from spec.model import Contract, Operation

# File of swagger_ui_bundle -> media type.
ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_SERVERS_BLOCK = re.compile(rb"^servers:.*\n(?:(?:[ \t-].*|#.*|\r?)\n)*", re.MULTILINE)

_PAGE_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<style>
body {{ margin: 0 }}
.hint {{ font: 15px/1.5 sans-serif; margin: 0; padding: 10px 24px; background: #f0f6ff }}
.hint code {{ padding: 1px 5px; background: #fff }}
</style>
</head>
<body>
<p class="hint">This is a mock server. Press <b>Authorize</b>, paste <code>{token}</code>, then press
<b>Try it out</b> on any operation.</p>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
window.ui = SwaggerUIBundle({{
  url: new URL("docs/openapi.json", location.href).href, dom_id: "#ui",
  deepLinking: true, persistAuthorization: true, displayRequestDuration: true,
  docExpansion: "list", filter: true, defaultModelsExpandDepth: 0, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
}});
</script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Docs:
    """The pages. `yaml_parts`, `json_parts`: the contract before and after the server URL."""

    contract: Contract
    html: bytes
    yaml_parts: tuple[bytes, bytes]
    json_parts: tuple[bytes, bytes]
    assets_folder: Path | None

    @classmethod
    def from_contract(cls, contract: Contract, token: str) -> "Docs":
        """Build the pages of `contract`; `token` is shown as an example."""
        page = _PAGE_TEMPLATE.format(title=escape(contract.title or "API"), token=escape(token))
        return cls(contract, page.encode(), _split_yaml(contract), _split_json(contract), _find_assets_folder())

    def render_yaml(self, base_url: str) -> bytes:
        """Return the contract's text, with its comments and order, for the mock at `base_url`."""
        return self.yaml_parts[0] + base_url.encode() + self.yaml_parts[1]

    def render_json(self, base_url: str) -> bytes:
        """Return the contract as JSON for the mock at `base_url`."""
        return self.json_parts[0] + base_url.encode() + self.json_parts[1]

    def render_json_with_examples(self, base_url: str, example_keys: Mapping[str, Any]) -> bytes:
        """Return the contract with examples of path parameters from `example_keys` (by operationId)."""
        document = self.contract.document
        items = document.root["paths"]
        paths = {path: {k: v for k, v in item.items() if k != "parameters"} for path, item in items.items()}
        for operation in self.contract.operations.values():
            item, path = items[operation.path], paths[operation.path]
            merged = _merge_parameters(document, item, operation, example_keys.get(operation.id))
            path[operation.method] = {**item[operation.method], **({"parameters": merged} if merged else {})}
        servers = [{"url": base_url + self.contract.base_path}]
        return orjson.dumps({**document.root, "servers": servers, "paths": paths})

    def read_asset(self, name: str) -> bytes | None:
        """Return a file of Swagger UI; None for any other name."""
        if self.assets_folder is None or name not in ASSETS:
            return None
        return (self.assets_folder / name).read_bytes()


def _merge_parameters(document: Document, item: Mapping[str, Any], operation: Operation, key: Any) -> list[Any]:
    """Merge the parameters of path and operation; Swagger UI shows one that is in both twice.

    `key`: the example of the path parameter; None: the contract's example.
    """
    merged: dict[tuple[str, str], Any] = {}
    for parameter_node in (*item.get("parameters", ()), *item[operation.method].get("parameters", ())):
        parameter, _ = document.dereference(parameter_node, "")
        in_path = parameter["in"] == "path" and key is not None
        merged[parameter["name"], parameter["in"]] = _add_example(parameter, key) if in_path else parameter_node
    return list(merged.values())


def _add_example(parameter: Mapping[str, Any], example: Any) -> dict[str, Any]:
    return {**{keyword: value for keyword, value in parameter.items() if keyword != "examples"}, "example": example}


def _split_json(contract: Contract, option: int = 0) -> tuple[bytes, bytes]:
    """Return the contract as JSON, split at the server URL."""
    placeholder = contract.document.digest  # a text cannot contain its own digest
    encoded = orjson.dumps({**contract.document.root, "servers": [{"url": placeholder}]}, option=option)
    before, _, after = encoded.partition(placeholder.encode())
    return before, contract.base_path.encode() + after


def _split_yaml(contract: Contract) -> tuple[bytes, bytes]:
    """Return the contract's text without its servers, split at the server URL."""
    text = contract.document.content
    if text.lstrip()[:1] == b"{":  # JSON
        return _split_json(contract, orjson.OPT_INDENT_2)
    match = _SERVERS_BLOCK.search(text)
    start, end = match.span() if match else (0, 0)
    path = contract.base_path.encode()
    return text[:start] + b'servers: [{url: "', path + b'"}]\n' + text[end:]


def _find_assets_folder() -> Path | None:
    """Return the folder of the installed Swagger UI, without importing the package."""
    package = find_spec("swagger_ui_bundle")
    folders = package.submodule_search_locations if package else None
    return next((path for folder in folders or () for path in Path(folder).glob("vendor/swagger-ui-*")), None)
