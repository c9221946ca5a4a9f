"""The packages of the distribution. `pyproject.toml` has everything else.

All packages are installed inside `athena_contract`; see `scripts/athena_contract/__init__.py`.
"""

from setuptools import find_namespace_packages, setup

FOLDERS = ("spec", "fixtures", "mock_server", "conformance")  # at the root of the repository

patterns = [pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")]
packages = find_namespace_packages(include=patterns, exclude=["*.__pycache__", "spec.dist"])

setup(
    packages=["athena_contract", *(f"athena_contract._packages.{package}" for package in packages)],
    package_dir={
        "athena_contract": "scripts/athena_contract",
        **{f"athena_contract._packages.{folder}": folder for folder in FOLDERS},
    },
)
