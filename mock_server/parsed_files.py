"""A cache of large YAML files, of which parsing takes a second for each megabyte; reading them as JSON takes 20 ms."""

import hashlib
from pathlib import Path
from typing import Any

import orjson

from mock_server import image_cache
from mock_server.store.temporary_files import build_temporary_path, delete_temporary
from spec import document
from spec.reading import yaml_loader

MIN_BYTES = 500_000  # of a file that is cached; smaller ones are parsed as fast as the cache folder is searched
MAX_CACHED_FILES = 8
_DIGEST_BYTES = 32


def load_mapping(content: bytes, name: str) -> dict[str, Any]:
    """Parse a contract file, or return its value from the cache. Raises ContractError."""
    if len(content) < MIN_BYTES or content.lstrip()[:1] == b"{":
        return document.load_mapping(content, name)
    return _load_cached(image_cache.find_cache_folder(), content, name)


def _load_cached(folder: Path, content: bytes, name: str) -> dict[str, Any]:
    path = folder / f"{_compute_key(content)}.parsed"
    value = _read(path)
    if value is None:
        value = document.load_mapping(content, name)
        _write(path, value)
    return value


def _compute_key(content: bytes) -> str:
    """Return a digest of a file and of the parser."""
    digest = hashlib.sha256(content)
    for module in (document, yaml_loader):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:32]


def _read(path: Path) -> dict[str, Any] | None:
    """Return the value in a file; None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, text = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(text).digest() != digest:
        return None
    value: dict[str, Any] = orjson.loads(text)
    return value


def _write(path: Path, value: dict[str, Any]) -> None:
    """Write a file, and delete the oldest ones. A cache that cannot be written is not used."""
    temporary_path = build_temporary_path(path)
    try:
        text = orjson.dumps(value)
        temporary_path.write_bytes(hashlib.sha256(text).digest() + text)
        temporary_path.replace(path)  # atomic, so another process may write the same file at the same time
        outdated = sorted(path.parent.glob("*.parsed"), key=lambda each: each.stat().st_mtime, reverse=True)
        for each in outdated[MAX_CACHED_FILES:]:
            each.unlink(missing_ok=True)
    except (OSError, TypeError):  # TypeError: lone surrogates
        return
    finally:
        delete_temporary(temporary_path)
