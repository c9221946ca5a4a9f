"""Entry points of the commands `athena-mock`, `athena-conformance` and `athena-contract`.

A wheel installs this package only. It contains the packages `spec`, `fixtures`, `mock_server` and `conformance` in the
folder `_packages`, because other distributions use these names too. Only the two commands add this folder to
`sys.path`. In a checkout they add the root of the repository.
"""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def run_mock() -> int:
    """Run `athena-mock` with the arguments of this process. Returns the exit status."""
    _add_packages_to_path()
    from mock_server.cli.main import main

    return main()


def run_conformance() -> int:
    """Run `athena-conformance` with the arguments of this process. Returns the exit status."""
    _add_packages_to_path()
    from conformance.cli.main import main

    return main()


def run_contract() -> None:
    """Run `athena-contract` with the arguments of this process."""
    _add_packages_to_path()
    from spec.cli import main

    main()


def _add_packages_to_path() -> None:
    packages_folder = _FOLDER / "_packages"
    sys.path.insert(0, str(packages_folder if packages_folder.is_dir() else _FOLDER.parents[1]))
