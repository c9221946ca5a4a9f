"""Writes the files of npm packages that the wheel contains, at the versions and digests of locks/assets.json.

    python -m scripts.assets

Downloads each package with `npm pack`. To update one, change its version and digest first. Exits with 1 if a file has
another digest.
"""

import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "locks" / "assets.json"
TIMEOUT = 300  # seconds for one package


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a package. `file`: in the repository, compressed if it ends with ``.gz``; `path`: in the package."""

    file: str
    package: str
    version: str
    path: str
    sha256: str

    def read(self, root: Path = ROOT) -> bytes:
        """Return the content of the file in the repository."""
        content = (root / self.file).read_bytes()
        return gzip.decompress(content) if self.file.endswith(".gz") else content

    def write(self, content: bytes, root: Path = ROOT) -> None:
        """Write the file in the repository."""
        is_compressed = self.file.endswith(".gz")
        (root / self.file).write_bytes(gzip.compress(content, 9, mtime=0) if is_compressed else content)


def read_lock(path: Path = LOCK) -> list[Asset]:
    """Return the assets of the lock file."""
    return [Asset(**item) for item in json.loads(path.read_text(encoding="utf-8"))]


def find_difference(asset: Asset, content: bytes) -> str:
    """Return how the digest of a content differs from that of the lock; empty if it does not."""
    digest = hashlib.sha256(content).hexdigest()
    return "" if digest == asset.sha256 else f"{asset.file}: got SHA-256 {digest}, expected {asset.sha256}"


def download(asset: Asset) -> bytes:
    """Return the file of the package in the npm registry."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{asset.package}@{asset.version}"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TIMEOUT)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            member = package.extractfile(f"package/{asset.path}")
            if member is None:
                raise FileNotFoundError(f"{asset.package} {asset.version} has no file {asset.path}")
            return member.read()


def main() -> int:
    exit_code = 0
    for asset in read_lock():
        try:
            content = download(asset)
        except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"{asset.package}: cannot be downloaded: {error}\n")
            return 1
        difference = find_difference(asset, content)
        if difference:
            sys.stderr.write(f"{difference}\n")
            exit_code = 1
        else:
            asset.write(content)
            sys.stdout.write(f"{asset.file}: {asset.package} {asset.version}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
