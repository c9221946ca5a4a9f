"""Health check of the container image: exits with 1 and one line unless the mock on ATHENA_MOCK_PORT responds."""

import os
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException

TIMEOUT = 1.2  # seconds for a URL; for both together less than the timeout of HEALTHCHECK, so that the cause is printed


def build_urls(env: Mapping[str, str]) -> list[str]:
    """Return the URLs of the health endpoint, the most likely one for the environment `env` of the mock first.

    The arguments of the mock, which may have `--tls`, are not known here.
    """
    is_tls = any(env.get(f"ATHENA_MOCK_{name}") for name in ("TLS", "TLS_CERT"))
    path = f"127.0.0.1:{env.get('ATHENA_MOCK_PORT') or 8000}/__mock/health"
    return [f"{scheme}://{path}" for scheme in (("https", "http") if is_tls else ("http", "https"))]


def main() -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it connects to its own container
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    errors = []
    for url in build_urls(os.environ):
        try:
            with opener.open(url, timeout=TIMEOUT):
                return 0
        except (OSError, HTTPException) as error:
            errors.append(f"{url}: {error}")
    sys.stderr.write(f"{errors[0]}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
