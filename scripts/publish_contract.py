"""Writes the published forms of the contract to `spec/dist/`."""

import shutil
import subprocess
import sys
from pathlib import Path

from spec.loader import load_contract
from spec.publishing.openapi30 import PUBLISHED_FILES

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = ROOT / "spec" / "openapi.yaml"
FOLDER = ROOT / "spec" / "dist"
COLLECTION = FOLDER / "postman-collection.json"
CLIENTS = ROOT / "tests" / "clients"


def build_files() -> dict[str, bytes]:
    """Return the content of each published file of the contract by name, without the Postman collection."""
    contract = load_contract(CONTRACT)
    return {name: render(contract) for name, render in PUBLISHED_FILES.items()}


def build_collection(source: Path) -> bytes:
    """Return the Postman collection of the published file `source`. Needs Node.js and `npm ci` in tests/clients."""
    script = CLIENTS / "postman_collection.mjs"
    return subprocess.run(["node", script, source], capture_output=True, check=True).stdout


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name, content in build_files().items():
        (FOLDER / name).write_bytes(content)
    if shutil.which("node") and (CLIENTS / "node_modules").is_dir():
        COLLECTION.write_bytes(build_collection(FOLDER / "openapi.json"))
    else:
        sys.stderr.write(f"{COLLECTION.name} not written: run `npm ci` in tests/clients first\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
