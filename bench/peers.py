"""The peers of the mock, each in its fairest configuration. A peer that is not available is left out.

Prism, json-server and WireMock are installed once from npm into the user's cache folder and started by their own
runtime, without an npm wrapper. nginx is the system's.
"""

import getpass
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.servers import (
    FACTS_FOLDER,
    MESSAGE,
    THREAD,
    BenchmarkServer,
    build_prism_document,
    find_free_port,
    run_server,
)

PACKAGES = ("@stoplight/prism-cli@5", "json-server@0.17", "wiremock@3.13")
ROWS_PER_PAGE = 20
# Records that the mixed load deletes.
DELETABLE_RECORDS = 1_000


def install_programs() -> Path | None:
    """The folder with the npm programs, installed on first use; None if npm cannot install them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "athena-contract" / "peers"
    programs = cache / "node_modules" / ".bin"
    if not (programs / "json-server").exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        cache.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(cache), *PACKAGES]
        if subprocess.run(command, check=False).returncode != 0:
            return None
    return programs


def load_example(file: str) -> Any:
    """A documented response body."""
    return json.loads((FACTS_FOLDER / file).read_text())


def build_page() -> Any:
    """The documented list, extended to a full page."""
    single_row_page = load_example("get_messages_200.json")
    return {**single_row_page, "data": single_row_page["data"][:1] * ROWS_PER_PAGE}


def _node_command(program: Path) -> list[str]:
    """Command of an npm program without the npm wrapper."""
    return [shutil.which("node") or "node", str(program.resolve())]


@contextmanager
def run_prism(programs: Path, folder: Path) -> Iterator[BenchmarkServer | None]:
    """Prism in static mode, with a schema for requests and none for responses."""
    file = folder / "prism.json"
    file.write_text(json.dumps(build_prism_document(build_page())))
    port = find_free_port()
    command = [*_node_command(programs / "prism"), "mock", "-v", "error", "-p", str(port), str(file)]
    with run_server("prism static", command, f"http://127.0.0.1:{port}", "/messages") as server:
        yield server


@contextmanager
def run_json_server(programs: Path, folder: Path) -> Iterator[BenchmarkServer | None]:
    """json-server: stateful, without validation, authentication and logging."""
    message = load_example("create_message_201.json")["data"]
    rows = [{**message, "id": MESSAGE, "thread_uuid": THREAD}]
    rows += [{**message, "id": f"row-{number}", "thread_uuid": "other"} for number in range(ROWS_PER_PAGE)]
    # json-server rewrites its complete file on each change: small spare records keep the comparison fair.
    rows += [{"id": f"spare-{number}", "thread_uuid": "other"} for number in range(DELETABLE_RECORDS)]
    file = folder / "db.json"
    file.write_text(json.dumps({"messages": rows}))
    port = find_free_port()
    command = [
        *_node_command(programs / "json-server"),
        "--quiet",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        str(file),
    ]
    with run_server("json-server", command, f"http://127.0.0.1:{port}", f"/messages/{MESSAGE}") as server:
        yield server


@contextmanager
def run_wiremock(programs: Path, folder: Path) -> Iterator[BenchmarkServer | None]:
    """WireMock with handwritten stubs and without a request journal; needs java."""
    jar = next((programs.parent / "wiremock" / "build").glob("wiremock-standalone-*.jar"), None)
    if shutil.which("java") is None or jar is None:
        yield None
        return
    stubs = folder / "wiremock" / "mappings"
    stubs.mkdir(parents=True)
    (stubs / "stubs.json").write_text(json.dumps({"mappings": _build_stubs()}))
    port = find_free_port()
    command = ["java", "-jar", str(jar), "--port", str(port), "--root-dir", str(stubs.parent)]
    command += ["--no-request-journal", "--disable-banner", "--bind-address", "127.0.0.1"]
    with run_server("wiremock", command, f"http://127.0.0.1:{port}", f"/messages/{MESSAGE}") as server:
        yield server


def _build_stubs() -> list[Mapping[str, Any]]:
    message, message_list = load_example("create_message_201.json"), load_example("get_messages_200.json")
    bearer = {"Authorization": {"matches": "Bearer .+"}}

    def build_stub(
        method: str, path: str, status: int, body: Any, priority: int = 5, **matchers: Any
    ) -> Mapping[str, Any]:
        request = {"method": method, "urlPath": path, "headers": bearer, **matchers}
        headers = {"Content-Type": "application/json"}
        response = {"status": status, "body": json.dumps(body), "headers": headers}
        return {"priority": priority, "request": request, "response": response}

    required_fields = [{"matchesJsonPath": "$.content"}, {"matchesJsonPath": "$.thread_uuid"}]
    return [
        build_stub("GET", f"/messages/{MESSAGE}", 200, message),
        build_stub("GET", "/messages", 200, message_list),
        build_stub("GET", "/pages", 200, build_page()),
        build_stub("POST", "/messages", 201, message, 1, bodyPatterns=required_fields),
        build_stub(
            "POST", "/messages", 422, {"message": "The content field is required.", "errors": {"content": ["x"]}}
        ),
    ]


@contextmanager
def run_nginx(folder: Path) -> Iterator[BenchmarkServer | None]:
    """nginx with one worker serving static files: the limit of the machine."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        yield None
        return
    port = find_free_port()
    root = folder / "nginx"
    (root / "messages").mkdir(parents=True)
    (root / "messages" / MESSAGE).write_text(json.dumps(load_example("create_message_201.json")))
    (root / "list").write_text(json.dumps(load_example("get_messages_200.json")))
    (root / "pages").write_text(json.dumps(build_page()))
    configuration = f"""
        user {getpass.getuser()}; worker_processes 1; daemon off; pid {root}/pid; error_log {root}/error;
        events {{ worker_connections 256; }}
        http {{
            access_log off; default_type application/json; sendfile on; open_file_cache max=100;
            client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
            uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
            server {{ listen 127.0.0.1:{port}; root {root}; location = /messages {{ try_files /list =404; }} }}
        }}"""
    (root / "conf").write_text(re.sub(r"\n +", "\n", configuration))
    command = [program, "-c", str(root / "conf"), "-e", str(root / "error")]
    with run_server("nginx static", command, f"http://127.0.0.1:{port}", f"/messages/{MESSAGE}") as server:
        yield server
