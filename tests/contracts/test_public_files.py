"""Public OpenAPI files of npm packages, which `make test-contracts` installs; none is part of this repository."""

from pathlib import Path

import pytest

from tests.contracts.invariant import InvariantCheck

PACKAGES = Path(__file__).parent / "packages" / "node_modules"
README = "@readme/oas-examples"
FILES = (
    f"{README}/3.0/json/complex-nesting.json",
    f"{README}/3.0/json/link-example.json",
    f"{README}/3.0/json/request-examples.json",
    f"{README}/3.0/json/response-schemas.json",
    f"{README}/3.0/json/schema-enums.json",
    f"{README}/3.0/json/star-trek.json",
    f"{README}/3.0/yaml/parameters-style.yaml",
    f"{README}/3.0/yaml/uspto.yaml",
    f"{README}/3.1/json/schema-types.json",
    f"{README}/3.1/json/security.json",
    f"{README}/3.1/yaml/train-travel.yaml",
    f"{README}/3.0/json/schema-circular.json",
)
# Operations for which Schemathesis generates no request, and why.
NOT_REQUESTED = {
    "PUT /anything/quirks/polymorphism": "its schemas contradict each other",
    "PATCH /anything/quirks/polymorphism": "the same",
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
