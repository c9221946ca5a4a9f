"""The contract as the mock shows it: Swagger UI on local assets, and the file itself with this server in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from spec.document import Document
from spec.loader import Contract, Operation

# What of swagger_ui_bundle is served, and as what.
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
<p class="hint">A mock: press <b>Authorize</b>, paste <code>{token}</code>, then <b>Try it out</b> on any operation.</p>
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
    """The pages, made once. `yaml_parts` and `json_parts`: the contract's text before and after the URL of its server."""

    contract: Contract
    html: bytes
    yaml_parts: tuple[bytes, bytes]
    json_parts: tuple[bytes, bytes]
    assets_folder: Path | None

    @classmethod
    def from_contract(cls, contract: Contract, token: str) -> "Docs":
        """The pages of `contract`; `token` is one that its reader may try."""
        page = _PAGE_TEMPLATE.format(title=escape(contract.title or "API"), token=escape(token))
        return cls(contract, page.encode(), _split_yaml(contract), _split_json(contract), _find_assets_folder())

    def render_yaml(self, base_url: str) -> bytes:
        """The contract's own text, its comments and order kept, for the mock at `base_url`."""
        return self.yaml_parts[0] + base_url.encode() + self.yaml_parts[1]

    def render_json(self, base_url: str) -> bytes:
        """The contract as JSON for the mock at `base_url`."""
        return self.json_parts[0] + base_url.encode() + self.json_parts[1]

    def render_json_with_examples(self, base_url: str, example_keys: Mapping[str, Any]) -> bytes:
        """The contract as the page shows it: each operation's path names the record that `example_keys` (by operationId) has
        for it, so that what the page fills in can be sent. Anything else is as the contract says it.
        """
        document = self.contract.document
        paths = {path: _omit_parameters(item) for path, item in document.root["paths"].items()}
        for operation in self.contract.operations.values():
            item, path = document.root["paths"][operation.path], paths[operation.path]
            merged = _merge_parameters(document, item, operation, example_keys.get(operation.id))
            path[operation.method] = {**item[operation.method], **({"parameters": merged} if merged else {})}
        servers = [{"url": base_url + self.contract.base_path}]
        return orjson.dumps({**document.root, "servers": servers, "paths": paths})

    def read_asset(self, name: str) -> bytes | None:
        """One file of Swagger UI, if it is one that is served."""
        if self.assets_folder is None or name not in ASSETS:
            return None
        return (self.assets_folder / name).read_bytes()


def _omit_parameters(item: Mapping[str, Any]) -> dict[str, Any]:
    return {keyword: value for keyword, value in item.items() if keyword != "parameters"}


def _merge_parameters(document: Document, item: Mapping[str, Any], operation: Operation, key: Any) -> list[Any]:
    """An operation's parameters together with its path's, which Swagger UI would show twice where both say one.

    `key`: what is filled in for the one in the path; None: what the contract says.
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
    """The contract as JSON with our server in it, split where its URL goes."""
    placeholder = contract.document.digest  # no text holds its own digest
    encoded = orjson.dumps({**contract.document.root, "servers": [{"url": placeholder}]}, option=option)
    before, _, after = encoded.partition(placeholder.encode())
    return before, contract.base_path.encode() + after


def _split_yaml(contract: Contract) -> tuple[bytes, bytes]:
    """The text with its servers taken out, split where ours goes."""
    text = contract.document.content
    if text.lstrip()[:1] == b"{":  # JSON is YAML too
        return _split_json(contract, orjson.OPT_INDENT_2)
    match = _SERVERS_BLOCK.search(text)
    start, end = match.span() if match else (0, 0)
    path = contract.base_path.encode()
    return text[:start] + b'servers: [{url: "', path + b'"}]\n' + text[end:]


def _find_assets_folder() -> Path | None:
    """The folder of the installed Swagger UI; found without importing the package."""
    package = find_spec("swagger_ui_bundle")
    folders = package.submodule_search_locations if package else None
    return next((path for folder in folders or () for path in Path(folder).glob("vendor/swagger-ui-*")), None)
