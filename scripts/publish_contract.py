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
    """Write the files. Returns 1 if the Postman collection cannot be written, since it may be outdated then."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in build_files().items():
        (FOLDER / name).write_bytes(content)
    if not (shutil.which("node") and (CLIENTS / "node_modules").is_dir()):
        sys.stderr.write(
            f"{COLLECTION.relative_to(ROOT)} was not written and may be outdated: its generator is not installed. "
            "Install Node.js 20 or newer, run `make test-clients` (it installs the generator), then `make contract`.\n"
        )
        return 1
    COLLECTION.write_bytes(build_collection(FOLDER / "openapi.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
