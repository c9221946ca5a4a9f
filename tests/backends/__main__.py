"""`python -m tests.backends [NAME ...]`: install real backends, run the suite on them, and compare the findings."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.backends.contracts import build_contract
from tests.backends.definitions import BACKENDS, Backend
from tests.backends.findings import Triage
from tests.backends.overlay import OverlayError
from tests.backends.process import BackendError, install, run_backend

ROOT = Path(__file__).parents[2]
BUILD_FOLDER = ROOT / "build" / "backends"
COMPLETED = (0, 1, 5)  # exit codes of a run whose results can be compared


def run_suite(backend: Backend, folder: Path, seed: int) -> tuple[int, dict[str, Any]]:
    """Run the suite on a new backend; return its exit code and the JSON report. Raises BackendError, OverlayError."""
    programs = install(backend, folder)
    reports = folder / f"{backend.name}-reports"
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "conformance.json").unlink(missing_ok=True)
    contract = reports / "contract.yaml"
    with run_backend(backend, programs) as (address, document):
        contract.write_text(yaml.safe_dump(build_contract(backend, document), sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "conformance", "run", "--contract", str(contract), "--no-fuzzing"]
        command += ["--base-url", address + backend.base_path, "--seed", str(seed), "--report-dir", str(reports)]
        command += ["--consistency-timeout", "1"]
        command += [part for operation in backend.operations for part in ("--operation", operation)]
        completed = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    (reports / "output.txt").write_text(completed.stdout + completed.stderr, encoding="utf-8")
    if completed.returncode not in COMPLETED:
        problem = f"the suite: got exit code {completed.returncode}, expected one of {COMPLETED}"
        raise BackendError(f"{problem}\n{completed.stdout}{completed.stderr}")
    return completed.returncode, json.loads((reports / "conformance.json").read_text(encoding="utf-8"))


def check_backend(backend: Backend, folder: Path, seed: int) -> bool:
    """Run the suite on a backend, print a summary and the failures without a finding; return whether there are none."""
    try:
        code, report = run_suite(backend, folder, seed)
    except (BackendError, OverlayError) as error:
        sys.stdout.write(f"{backend.name}: {error}\n")
        return False
    triage = Triage.load(backend.findings)
    unknown = triage.find_unknown(report)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in triage.count(report).items())
    summary = f"exit {code}, {report['counts']['checks_run']} checks, {report['run']['seconds']:.0f} s"
    sys.stdout.write(
        f"{backend.name} (seed {seed}): {summary}; {counts or 'no failures'}; {len(unknown)} without a finding\n"
    )
    sys.stdout.writelines(f"  {line}\n" for line in unknown)
    sys.stdout.flush()
    return not unknown


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the selected backends; return 0 if each failure has a finding, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.backends", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[[], *BACKENDS], help="backends to check (default: all)")
    parser.add_argument("--seed", type=int, action="append", help="seed of a run; repeatable (default: 1)")
    parser.add_argument(
        "--folder", type=Path, default=BUILD_FOLDER, help="folder of the installed backends and the reports"
    )
    options = parser.parse_args(arguments)
    backends = [BACKENDS[name] for name in options.name or BACKENDS]
    results = [check_backend(backend, options.folder, seed) for backend in backends for seed in options.seed or [1]]
    return int(not all(results))


if __name__ == "__main__":
    raise SystemExit(main())
