"""Versions of the installed distribution and of its contract."""

from importlib import metadata
from pathlib import Path

from spec.errors import ContractError
from spec.reading.files import read_document

DISTRIBUTION_NAME = "athena-contract"
CONTRACT = Path(__file__).with_name("openapi.yaml")


def get_version() -> str:
    """Return the installed version, or ``(not installed)`` when the code runs from a source tree."""
    try:
        return metadata.version(DISTRIBUTION_NAME)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def format_version(program: str, contract: Path = CONTRACT) -> str:
    """Return the output of ``program --version``: the installed version, and title and version of the contract."""
    try:
        info = read_document(contract).root.get("info")
    except ContractError as error:
        summary = str(error)
    else:
        summary = f"{info.get('title')} {info.get('version')}" if isinstance(info, dict) else f"{contract} has no info"
    return f"{program} {get_version()} (contract: {summary})"
