"""Public OpenAPI files of npm packages, which `make test-contracts` installs; none is part of this repository."""

from pathlib import Path

import pytest

from tests.contracts.invariant import InvariantCheck

PACKAGES = Path(__file__).parent / "packages" / "node_modules"
README = "@readme/oas-examples"
FILES = (
    "@directus/specs/dist/openapi.json",
    "@scalar/galaxy/dist/latest.yaml",
    f"{README}/3.0/json/complex-nesting.json",
    f"{README}/3.0/json/discriminators.json",
    f"{README}/3.0/json/http-status-codes.json",
    f"{README}/3.0/json/link-example.json",
    f"{README}/3.0/json/petstore.json",
    f"{README}/3.0/json/polymorphism.json",
    f"{README}/3.0/json/request-examples.json",
    f"{README}/3.0/json/response-schemas.json",
    f"{README}/3.0/json/schema-enums.json",
    f"{README}/3.0/json/star-trek.json",
    f"{README}/3.0/yaml/parameters-style.yaml",
    f"{README}/3.0/yaml/uspto.yaml",
    f"{README}/3.1/json/petstore.json",
    f"{README}/3.1/json/readme.json",
    f"{README}/3.1/json/schema-types.json",
    f"{README}/3.1/json/security.json",
    f"{README}/3.1/yaml/train-travel.yaml",
    f"{README}/3.0/json/schema-circular.json",
)
# Operations for which Schemathesis generates no request, and why.
NOT_REQUESTED = {
    "PUT /anything/quirks/polymorphism": "its schemas contradict each other",
    "PATCH /anything/quirks/polymorphism": "the same",
    "GET /cookies#formNonExploded": "no request contains the fragment of a path",
    "GET /cookies#formExploded": "the same",
    "PATCH /files/{id}": "the file has the unregistered media type multipart/data",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.clients,
    pytest.mark.skipif(not PACKAGES.is_dir(), reason="the packages are not installed: make test-contracts"),
]


@pytest.mark.parametrize("file", FILES)
def test_public_file_is_served_as_it_documents(file: str) -> None:
    check = InvariantCheck.create(PACKAGES / file)
    assert check.run() == []
    assert check.samples.failures.keys() <= NOT_REQUESTED.keys()
