"""The licences of the packages that the mock and the suite need, from the metadata of the installed packages."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

LOCKS: Mapping[str, str] = {"locks/run.lock": "mock", "locks/conformance.lock": "suite"}  # file -> what needs it
# Packages that are installed on some platforms only.
OTHER_PLATFORMS: Mapping[str, str] = {"tzdata": "Apache-2.0", "uvloop": "MIT", "colorama": "BSD"}
_SPDX: Mapping[str, str] = {
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_CLASSIFIER = "License :: OSI Approved :: "
_STRONG_COPYLEFT = re.compile(r"\b(A?GPL|EUPL|OSL)\b|(?<!Lesser )General Public")
_WEAK_COPYLEFT = re.compile(r"\b(LGPL|MPL|EPL|CDDL)\b|Lesser General Public|Mozilla Public")
MAX_LICENCE_CHARS = 60  # a longer `License` field is the text of a licence, not its name


class LicenceError(Exception):
    """A locked package states no licence, or is not installed."""


@dataclass(frozen=True, slots=True)
class PackageLicence:
    """`needed_by`: the parts of this project that need the package. `copyleft`: weak, strong or empty."""

    name: str
    version: str
    needed_by: tuple[str, ...]
    licence: str

    @property
    def copyleft(self) -> str:
        if _STRONG_COPYLEFT.search(self.licence):
            return "strong"
        return "weak" if _WEAK_COPYLEFT.search(self.licence) else ""


def read_lock(text: str) -> dict[str, str]:
    """Return the packages of a lock file with their versions."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))


def list_licences(root: Path) -> list[PackageLicence]:
    """Return the licences of all packages in `LOCKS`. Raises LicenceError."""
    locks = {needed_by: read_lock((root / path).read_text(encoding="utf-8")) for path, needed_by in LOCKS.items()}
    versions = {name: version for packages in locks.values() for name, version in packages.items()}
    return [
        PackageLicence(name, version, tuple(key for key in locks if name in locks[key]), find_licence(name))
        for name, version in sorted(versions.items())
    ]


def find_licence(name: str) -> str:
    """Return the licence of an installed package, as an SPDX expression where possible. Raises LicenceError."""
    try:
        fields = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        if name in OTHER_PLATFORMS:
            return OTHER_PLATFORMS[name]
        raise LicenceError(f"{name} is locked but not installed (expected: `make install`)") from None
    licence = next(_candidates(fields), "")
    if not licence:
        raise LicenceError(f"{name} states no licence in its metadata")
    return licence


def _candidates(fields: "metadata.PackageMetadata") -> Iterator[str]:
    """Yield the statements of a licence, the most precise first."""
    for name in ("License-Expression", "License"):
        stated = str(fields[name] or "") if name in fields else ""
        if stated not in ("", "UNKNOWN") and len(stated) <= MAX_LICENCE_CHARS and "\n" not in stated:
            yield _SPDX.get(stated, stated)
    classifiers = [str(c) for c in fields.get_all("Classifier") or [] if str(c).startswith(_CLASSIFIER)]
    if classifiers:
        names = (classifier.removeprefix(_CLASSIFIER) for classifier in classifiers)
        yield " OR ".join(_SPDX.get(name, name) for name in names)
