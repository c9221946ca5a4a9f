"""Health check of the container image: exits with 1 and one line unless the mock on ATHENA_MOCK_PORT responds."""

import os
import ssl
import sys
import urllib.request
from collections.abc import Mapping

TIMEOUT = 2.0  # seconds; less than the timeout of HEALTHCHECK, so that the cause is printed


def build_url(env: Mapping[str, str]) -> str:
    """Return the URL of the health endpoint for the settings of the mock in `env`."""
    is_tls = any(env.get(f"ATHENA_MOCK_{name}") for name in ("TLS", "TLS_CERT"))
    return f"{'https' if is_tls else 'http'}://127.0.0.1:{env.get('ATHENA_MOCK_PORT') or 8000}/__mock/health"


def main() -> int:
    url = build_url(os.environ)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it connects to its own container
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=TIMEOUT):
            return 0
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
