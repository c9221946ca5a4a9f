"""The backends: how each is installed and started, and where its contract is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

FOLDER = Path(__file__).parent


class Registry(Enum):
    """Where a package comes from."""

    PYPI = "PyPI"
    NPM = "npm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A backend of a registry.

    `packages`: with their versions. `command`: starts it; `{bin}` is the folder of the installed programs, `{folder}` a
    new folder for its data, `{port}` its port. `contract_path`: of the OpenAPI document that it serves. `base_path`: of
    the checked operations. `path_values`: parameters of all paths that have one value, such as a tenant.
    `files`: in the folder for its data. `operations`: those that are checked; all without any.
    """

    name: str
    registry: Registry
    packages: tuple[str, ...]
    command: tuple[str, ...]
    contract_path: str
    base_path: str = ""
    path_values: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    operations: tuple[str, ...] = ()

    @property
    def overlay(self) -> Path:
        """What we state in addition to its contract."""
        return FOLDER / "overlays" / f"{self.name}.yaml"

    @property
    def findings(self) -> Path:
        """The failures of the suite, triaged by hand."""
        return FOLDER / "findings" / f"{self.name}.yaml"


BACKENDS = {
    backend.name: backend
    for backend in (
        Backend(
            name="loopback-todo",
            registry=Registry.NPM,
            packages=("@loopback/example-todo@6.0.0",),
            command=("node", "{bin}/../@loopback/example-todo"),
            contract_path="/openapi.json",
            environment={"HOST": "127.0.0.1", "PORT": "{port}"},
            files={"data/db.json": '{"ids": {}, "models": {}}'},
        ),
        Backend(
            name="chroma",
            registry=Registry.PYPI,
            packages=("chromadb==1.5.9",),
            command=("{bin}/chroma", "run", "--path", "{folder}", "--host", "127.0.0.1", "--port", "{port}"),
            contract_path="/openapi.json",
            base_path="/api/v2/tenants/default_tenant/databases/default_database",
            path_values={"tenant": "default_tenant", "database": "default_database"},
            # The others expect the id of a collection, and embeddings.
            operations=(
                *("list_collections", "create_collection", "get_collection", "delete_collection", "count_collections"),
                *("get_collection_by_id", "fork_collection", "indexing_status"),
            ),
        ),
        Backend(
            name="piccolo",
            registry=Registry.PYPI,
            packages=("piccolo-admin==1.14.0", "piccolo[sqlite]==1.38.0", "piccolo-api==1.11.0", "fastapi==0.165.0"),
            command=("{bin}/python", str(FOLDER / "piccolo_app.py"), "{folder}/movies.sqlite", "{port}"),
            contract_path="/openapi.json",
        ),
    )
}
