"""Tests of the documentation site: generated tables, build, and the examples and files that its pages show."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import orjson
import pytest
import yaml

from fixtures import dataset
from fixtures.dataset_validation import validate_dataset
from fixtures.digest import PINNED_EPOCH
from fixtures.expressions import KEYWORDS
from fixtures.generator import generate_records
from fixtures.personas import PersonaLibrary
from scripts.reference_tables import TABLES, fill_tables
from spec.document import parse_document
from spec.loader import load_contract, parse_contract
from tests.document_texts import DOCUMENTS, code_blocks, code_spans, read, without_code_blocks
from tests.mock_process import ROOT

DATASETS = "docs/guides/datasets.md"
OWN_CONTRACT = "docs/guides/your-own-contract.md"
BOOKSHOP = ROOT / "examples" / "bookshop.yaml"
DATASET_SCHEMA: Any = orjson.loads((ROOT / "fixtures" / "dataset.schema.json").read_bytes())


def yaml_blocks(document: str) -> list[str]:
    return [content for language, content in code_blocks(document) if language == "yaml"]


# Generated tables


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if "<!-- generated:" in read(document)])
def test_generated_tables_are_up_to_date(document: str) -> None:
    """`make docs` updates them."""
    assert fill_tables(read(document)) == read(document)


def test_every_generated_table_is_on_one_page() -> None:
    names = [name for document in DOCUMENTS for name in re.findall("<!-- generated: ([a-z-]+) -->", read(document))]
    assert sorted(names) == sorted(TABLES)


# Build

HAS_MKDOCS = importlib.util.find_spec("mkdocs") is not None and importlib.util.find_spec("material") is not None


class ResourceParser(HTMLParser):
    """Collects the addresses that a browser loads with a page: scripts, styles, images, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.classes.update(values.get("class", "").split())
        if tag == "link" and values.get("rel") not in ("canonical", "prev", "next"):
            self.addresses.append(values.get("href", ""))
        elif "src" in values:
            self.addresses.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    if not HAS_MKDOCS:
        pytest.skip("the packages of locks/docs.lock are not installed; `make docs` installs them")
    folder = tmp_path_factory.mktemp("site")
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder))
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_every_document_of_the_docs_folder_is_a_page(site: Path) -> None:
    pages = [document.removeprefix("docs/") for document in DOCUMENTS if document.startswith("docs/")]
    assert [page for page in pages if not (site / page).with_suffix(".html").exists()] == []


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    parser = ResourceParser()
    for page in site.rglob("*.html"):
        parser.feed(page.read_text(encoding="utf-8"))
    assert len(parser.addresses) > 10
    assert [address for address in parser.addresses if re.match(r"(?:[a-z]+:)?//", address)] == []
    assert "mermaid" not in parser.classes  # the theme loads Mermaid from another host
    styles = "".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//|@import", styles) == []


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def site_url(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.browser
def test_browser_requests_nothing_from_other_hosts(site: Path, site_url: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    addresses: list[str] = []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: addresses.append(request.url))
        for path in sorted(site.rglob("*.html")):
            page.goto(f"{site_url}/{path.relative_to(site).as_posix()}", wait_until="networkidle")
        page.click("input.md-search__input")  # the page loads the search index on focus
        page.wait_for_function("document.querySelector('.md-search-result__meta').textContent.startsWith('Type')")
        page.locator("input.md-search__input").press_sequentially("ratchet")
        page.wait_for_selector(".md-search-result__link")
        browser.close()
    assert len(addresses) > 20
    assert [address for address in addresses if not address.startswith((site_url, "data:", "blob:"))] == []


def test_pages_link_to_files_of_the_repository(site: Path) -> None:
    assert (site / "files" / "examples" / "bookshop.yaml").read_bytes() == BOOKSHOP.read_bytes()
    assert 'href="../files/examples/bookshop.yaml"' in (site / "guides" / "your-own-contract.html").read_text(
        encoding="utf-8"
    )
    assert 'href="../guides/datasets.html' in (site / "project" / "contributing.html").read_text(encoding="utf-8")


def test_architecture_diagram_names_every_part() -> None:
    root = ElementTree.parse(ROOT / "docs" / "explanation" / "architecture.svg").getroot()
    texts = {"".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"spec/openapi.yaml", "fixtures/", "mock_server/", "conformance/"} <= texts


# Datasets


@pytest.mark.parametrize("block", yaml_blocks(DATASETS))
def test_dataset_in_a_page_is_valid(block: str) -> None:
    definition = yaml.safe_load(block)
    jsonschema_rs.validate(DATASET_SCHEMA, orjson.loads(orjson.dumps(definition, option=orjson.OPT_NON_STR_KEYS)))
    contract = load_contract(ROOT / "spec" / "openapi.yaml")
    validate_dataset(contract, dataset.parse_dataset(definition, "page", "page"), PersonaLibrary())


def test_example_dataset_is_valid() -> None:
    path = ROOT / "examples" / "bookshop-dataset.yaml"
    jsonschema_rs.validate(DATASET_SCHEMA, yaml.safe_load(path.read_text(encoding="utf-8")))
    schema = re.findall(r"\$schema=(\S+)", path.read_text(encoding="utf-8"))
    assert [(path.parent / location).resolve() for location in schema] == [ROOT / "fixtures" / "dataset.schema.json"]
    records = list(generate_records(load_contract(BOOKSHOP), dataset.load(str(path)), epoch=PINNED_EPOCH))
    titles = [r.attributes["title"] for r in records if r.resource == "Book"]
    assert set(titles) & {"Emma", "Persuasion"}


def test_every_key_and_expression_of_a_dataset_is_documented() -> None:
    spans = code_spans(without_code_blocks(DATASETS))
    expressions = {match[1] for span in spans if (match := re.match(r"\{([a-z-]+):", span))}
    assert set(KEYWORDS) <= expressions
    definitions = DATASET_SCHEMA["$defs"]
    objects = [
        DATASET_SCHEMA,
        definitions["resource"],
        definitions["per"]["anyOf"][1],
        definitions["reference"]["anyOf"][-1],
    ]
    keys = {key for schema in objects for key in schema["properties"]}
    assert keys - set(spans) == set()


# Another API


RECIPES = ("Keys of other records", "API keys")  # sections with other contracts than the example


def find_recipe(heading: str) -> str:
    """The section of a recipe."""
    return read(OWN_CONTRACT).partition(f"\n### {heading}\n")[2].partition("\n### ")[0]


def test_excerpts_are_in_the_example_contract() -> None:
    contract = {line.strip().removeprefix("- ") for line in BOOKSHOP.read_text(encoding="utf-8").splitlines()}
    recipes = "".join(map(find_recipe, RECIPES))
    blocks = [block for block in yaml_blocks(OWN_CONTRACT) if block.strip() not in recipes]
    excerpts = [line.strip().removeprefix("- ") for block in blocks for line in block.splitlines()]
    assert len(excerpts) > 10
    assert [line for line in excerpts if line not in contract] == []


def test_recipe_of_keys_describes_a_stored_relation() -> None:
    (schema, *_) = re.findall("```yaml\n(.*?)```", find_recipe(RECIPES[0]), re.DOTALL)
    document = yaml.safe_load((ROOT / "tests/contracts/extensions/relation-shown-as-key.yaml").read_text("utf-8"))
    patient = yaml.safe_load(schema)["Patient"]
    name = document["components"]["schemas"]["Patient"]["properties"]["name"]
    document["components"]["schemas"]["Patient"] = {**patient, "properties": {**patient["properties"], "name": name}}
    contract = parse_contract(parse_document(yaml.safe_dump(document).encode(), "beds.yaml"))
    relation = contract.resources["Patient"].relations["bed"]
    assert (relation.targets, relation.is_stored, relation.on_delete) == (("Bed",), True, "cascade")


def test_recipe_of_api_keys_is_a_security_scheme() -> None:
    (block,) = re.findall("```yaml\n(.*?)```", find_recipe(RECIPES[1]), re.DOTALL)
    document = yaml.safe_load((ROOT / "tests/contracts/extensions/relation-shown-as-key.yaml").read_text("utf-8"))
    recipe = yaml.safe_load(block)
    document |= {"security": recipe["security"], "components": {**document["components"], **recipe["components"]}}
    contract = parse_contract(parse_document(yaml.safe_dump(document).encode(), "beds.yaml"))
    assert all(operation.security for operation in contract.operations.values())
