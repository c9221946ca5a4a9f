"""The packages of the distribution. `pyproject.toml` has everything else.

All packages are installed inside `athena_contract`; see `scripts/athena_contract/__init__.py`.
"""

import shutil
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

FOLDERS = ("spec", "fixtures", "mock_server", "conformance")  # at the root of the repository

patterns = [pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")]
packages = find_namespace_packages(include=patterns, exclude=["*.__pycache__", "spec.dist"])


class CleanBuildPy(build_py):  # type: ignore[misc]  # setuptools has no py.typed
    """Copies the packages to an empty build folder, so that no file of an earlier build gets into the wheel."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib, "athena_contract"), ignore_errors=True)
        super().run()


setup(
    cmdclass={"build_py": CleanBuildPy},
    packages=["athena_contract", *(f"athena_contract._packages.{package}" for package in packages)],
    package_dir={
        "athena_contract": "scripts/athena_contract",
        **{f"athena_contract._packages.{folder}": folder for folder in FOLDERS},
    },
)
