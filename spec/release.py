"""The distribution by which contract, mock and suite are installed together, and its version."""

from importlib import metadata

PACKAGE = "athena-contract"


def version() -> str:
    """The installed version; from a bare source tree, that it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "(not installed)"
