"""The distribution by which contract, mock and suite are installed together, and its version."""

from importlib import metadata

DISTRIBUTION_NAME = "athena-contract"


def get_version() -> str:
    """The installed version; from a bare source tree, that it is not installed."""
    try:
        return metadata.version(DISTRIBUTION_NAME)
    except metadata.PackageNotFoundError:
        return "(not installed)"
