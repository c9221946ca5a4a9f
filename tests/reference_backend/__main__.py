"""`python -m tests.reference_backend [--port N] [--bugs]`: serve the backend on loopback, or list its bugs."""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from werkzeug.serving import make_server

from tests.reference_backend.application import PREFIX, create_app
from tests.reference_backend.bugs import BUGS
from tests.reference_backend.database import create_tables
from tests.reference_backend.seed import seed

DEFAULT_TOKENS = "demo-token other-token viewer-token"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. BACKEND_BUG enables a bug, BACKEND_TOKENS contains three tokens."""
    parser = argparse.ArgumentParser(prog="python -m tests.reference_backend", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--bugs", action="store_true", help="list the values of BACKEND_BUG and exit")
    options = parser.parse_args(arguments)
    if options.bugs:
        sys.stdout.writelines(f"{name}: {bug.description}\n" for name, bug in BUGS.items())
        return 0
    bug, tokens = os.environ.get("BACKEND_BUG", ""), os.environ.get("BACKEND_TOKENS", DEFAULT_TOKENS).split()
    if bug and bug not in BUGS:
        parser.error(f"BACKEND_BUG: invalid value {bug!r} (expected one of {', '.join(BUGS)})")
    if len(tokens) != len(DEFAULT_TOKENS.split()):
        parser.error(f"BACKEND_TOKENS: got {len(tokens)} tokens, expected 3, separated by spaces")
    _serve(options.port, bug, tokens)
    return 0


def _serve(port: int, bug: str, tokens: Sequence[str]) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="reference-backend-") as folder:
        path = Path(folder) / "backend.sqlite"
        create_tables(path)
        seed(path, tokens)
        server = make_server("127.0.0.1", port, create_app(path, bug), threaded=True)
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}{PREFIX}\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.server_close()


if __name__ == "__main__":
    raise SystemExit(main())
