"""Name and version of the installed distribution."""

from importlib import metadata

DISTRIBUTION_NAME = "athena-contract"


def get_version() -> str:
    """Return the installed version, or ``(not installed)`` when the code runs from a source tree."""
    try:
        return metadata.version(DISTRIBUTION_NAME)
    except metadata.PackageNotFoundError:
        return "(not installed)"
