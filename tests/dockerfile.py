"""Parses a Dockerfile, and runs its instructions in a folder, without a container engine.

Each stage gets a folder as its root. While a stage is built or run, the path `ROOT/current` is a link to that folder,
and the absolute paths of the Dockerfile are prefixed with it. So a file that a stage does not have is missing, as in an
image. Not executed: `useradd`, and the change of the user.
"""

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_FOLDERS = "dist|home|opt|src"  # top-level folders that the Dockerfile creates
_ABSOLUTE_PATH = re.compile(rf"(?<![\w./}}-])(?=/(?:{_FOLDERS})\b)")
MAX_OUTPUT_CHARS = 3000
TIMEOUT = 300  # seconds for an instruction; `pip install` downloads packages


@dataclass(frozen=True, slots=True)
class Instruction:
    keyword: str
    text: str

    @property
    def arguments(self) -> list[str]:
        """The arguments of the exec form (a JSON array), without the options of HEALTHCHECK."""
        arguments: list[str] = json.loads(self.text[self.text.index("[") :])
        return arguments


@dataclass(frozen=True, slots=True)
class Stage:
    """A build stage. `parent`: another stage or a base image."""

    name: str
    parent: str
    instructions: tuple[Instruction, ...]

    def find(self, keyword: str) -> Instruction:
        """Return the last instruction with a keyword."""
        return [instruction for instruction in self.instructions if instruction.keyword == keyword][-1]


def parse_dockerfile(text: str) -> list[Stage]:
    """Return the stages in their order."""
    stages: list[Stage] = []
    for instruction in _parse_instructions(text):
        if instruction.keyword == "FROM":
            parent, _, name = instruction.text.partition(" AS ")
            stages.append(Stage(name, parent, ()))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.name, last.parent, (*last.instructions, instruction))
    return stages


def _parse_instructions(text: str) -> Iterator[Instruction]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            keyword, _, rest = line.partition(" ")
            yield Instruction(keyword, rest.strip())


def list_context_files(root: Path, ignore_file: str) -> list[PurePosixPath]:
    """Return the files that `docker build` sends, by a `.dockerignore`; the last matching pattern counts."""
    patterns = [line for line in ignore_file.splitlines() if line and not line.startswith("#")]
    paths = (PurePosixPath(path.relative_to(root).as_posix()) for path in _walk(root, patterns) if path.is_file())
    return sorted(path for path in paths if not _is_ignored(path, patterns))


def _walk(root: Path, patterns: list[str]) -> Iterator[Path]:
    """Yield the files below the patterns that admit files."""
    for pattern in patterns:
        if pattern.startswith("!"):
            path = root / pattern[1:].rstrip("/")
            yield from path.rglob("*") if path.is_dir() else [path] if path.exists() else []


def _is_ignored(path: PurePosixPath, patterns: list[str]) -> bool:
    is_ignored = False
    candidates = [str(path), *(str(parent) for parent in path.parents if str(parent) != ".")]
    for pattern in patterns:
        glob = pattern.removeprefix("!").rstrip("/")
        names = [PurePosixPath(c).name for c in candidates] if glob.startswith("**/") else candidates
        if any(fnmatch.fnmatchcase(name, glob.removeprefix("**/")) for name in names):
            is_ignored = not pattern.startswith("!")
    return is_ignored


@dataclass(slots=True)
class BuiltStage:
    """The folder of a built stage, its environment variables, and its working directory (absolute)."""

    folder: Path
    env: dict[str, str]
    workdir: str = "/"


@dataclass(slots=True)
class DockerfileBuild:
    """Builds stages in `root`. `context`: files that COPY reads; `base_env`: the environment of the base image."""

    stages: Mapping[str, Stage]
    root: Path
    context: Path
    base_env: Mapping[str, str]
    built: dict[str, BuiltStage] = field(default_factory=dict)

    @property
    def current(self) -> Path:
        return self.root / "current"

    def build(self, name: str) -> BuiltStage:
        """Build a stage and those that it needs."""
        if name not in self.built:
            stage = self.stages[name]
            for needed in self._needed_stages(stage):
                self.build(needed)
            self.built[name] = self._start(stage)
            for instruction in stage.instructions:
                self.select(name)
                self._execute(self.built[name], instruction)
        return self.built[name]

    def _needed_stages(self, stage: Stage) -> list[str]:
        copied = [re.findall(r"--from=(\S+)", i.text) for i in stage.instructions if i.keyword == "COPY"]
        return [name for names in copied for name in names] + ([stage.parent] if stage.parent in self.stages else [])

    def _start(self, stage: Stage) -> BuiltStage:
        folder = self.root / stage.name
        folder.mkdir(parents=True)
        parent = self.built.get(stage.parent)
        return BuiltStage(folder, dict(parent.env if parent else self.base_env), parent.workdir if parent else "/")

    def select(self, name: str) -> BuiltStage:
        """Make a built stage the current one."""
        stage = self.built[name]
        self.current.unlink(missing_ok=True)
        self.current.symlink_to(stage.folder)
        (stage.folder / stage.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return stage

    def run(self, stage: BuiltStage, command: list[str], **env: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the current stage."""
        return subprocess.run(
            [self.localize(word) for word in command],
            cwd=self.localize(stage.workdir),
            env=self.build_environment(stage, **env),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )

    def build_environment(self, stage: BuiltStage, **env: str) -> dict[str, str]:
        """Return the environment of a stage with `env`; the base image's own values are unchanged."""
        own = {name: value for name, value in (stage.env | env).items() if value != self.base_env.get(name)}
        return {**self.base_env, **{name: self.localize(value) for name, value in own.items()}}

    def localize(self, text: str) -> str:
        """Prefix the absolute paths of the Dockerfile with the folder of the current stage."""
        return _ABSOLUTE_PATH.sub(str(self.current), text)

    def _execute(self, stage: BuiltStage, instruction: Instruction) -> None:
        match instruction.keyword:
            case "ENV":
                for name, value in re.findall(r"(\w+)=(\S+)", instruction.text):
                    stage.env[name] = _expand(value, stage.env)
            case "ARG":
                name, _, value = instruction.text.partition("=")
                stage.env[name] = value
            case "WORKDIR":
                stage.workdir = instruction.text
            case "COPY":
                self._copy(stage, instruction.text)
            case "RUN" if not instruction.text.startswith("useradd "):
                result = self.run(stage, ["sh", "-e", "-c", instruction.text])
                output = (result.stdout + result.stderr)[-MAX_OUTPUT_CHARS:]
                assert result.returncode == 0, f"RUN {instruction.text}\n{output}"

    def _copy(self, stage: BuiltStage, text: str) -> None:
        option, source, target = re.fullmatch(r"(--from=\S+ )?(\S+) (\S+)", text).groups()  # type: ignore[union-attr]
        folder = self.built[option[7:-1]].folder if option else self.context
        source_path = folder / source.lstrip("/")
        target_path = stage.folder / PurePosixPath(stage.workdir, target).as_posix().lstrip("/")
        assert source_path.exists(), f"COPY {text}: {source} does not exist"
        if source_path.is_dir():
            shutil.copytree(source_path, target_path, symlinks=True, dirs_exist_ok=True)
        else:
            target_path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source_path, target_path)


def _expand(value: str, env: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda match: env.get(match[1], ""), value)
