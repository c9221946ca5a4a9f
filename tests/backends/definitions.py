"""Declares the backends: how to install and start each, and where it serves its OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

FOLDER = Path(__file__).parent


class Registry(Enum):
    """Package registry of a backend."""

    PYPI = "PyPI"
    NPM = "npm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A backend of a package registry.

    `packages`: with their versions. `command`: starts the backend; `{bin}` is the folder of the installed programs,
    `{folder}` a new folder for its data, `{port}` its port. `contract_path`: path of the OpenAPI document. `base_path`:
    base path of the checked operations. `path_values`: path parameters with a fixed value, such as a tenant. `files`:
    path -> content of files in the data folder. `operations`: operationIds to check; empty for all.
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
        """File with the overlay, which adds the extensions that the suite needs."""
        return FOLDER / "overlays" / f"{self.name}.yaml"

    @property
    def findings(self) -> Path:
        """File with the known failures of the suite and their causes."""
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
            # All others need the id of a collection and embeddings.
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
