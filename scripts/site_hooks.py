"""Hooks of the documentation site (`mkdocs.yml`): adds the linked files of the repository that are outside `docs/`.

Markdown files become pages in the folder `project`, other files are copied to `files`.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside `docs/` that a page links to, and those that these link to in turn."""
    pending = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    added: set[str] = set()
    while pending:
        for path in _outside_links(pending.pop()):
            if path not in added:
                added.add(path)
                content = (ROOT / path).read_text(encoding="utf-8")
                files.append(File.generated(config, _site_path(path), content=content))
                pending += [path] if path.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite the links that lead out of `docs/`, and all links of a page from outside of it."""
    source = _repository_path(page.file.src_uri)
    return _LINK.sub(lambda match: _rewrite_link(match[1], source, page.file.src_uri), markdown)


def _rewrite_link(link: str, source: str, page_path: str) -> str:
    target = _resolve(link, source)
    if not (ROOT / target).is_file():
        return link
    return posixpath.relpath(_site_path(target), posixpath.dirname(page_path) or ".")


def _outside_links(source: str) -> Iterator[str]:
    """Yield the files outside `docs/` to which a Markdown file links."""
    for link in _LINK.findall((ROOT / source).read_text(encoding="utf-8")):
        target = _resolve(link, source)
        if not target.startswith(("docs/", "..")) and (ROOT / target).is_file():
            yield target


def _resolve(link: str, source: str) -> str:
    """Return the path of a link relative to the root of the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _site_path(path: str) -> str:
    """Return the path of a repository file within the source folder of the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"project/{path.lower()}" if path.endswith(".md") else f"files/{path}"


def _repository_path(site_path: str) -> str:
    """Return the path of a page relative to the root of the repository."""
    name = site_path.removeprefix("project/")
    if name == site_path:
        return f"docs/{site_path}"
    return next(path.name for path in ROOT.glob("*.md") if path.name.lower() == name)
