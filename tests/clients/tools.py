"""The client generators: how each generates code, how the code is compiled, and how it parses answers.

`scripts/clients.sh` installs the generators at the versions of `locks/clients.lock` and `package-lock.json`.
`make test-clients-all` also installs the Kotlin compiler of `kotlin/package-lock.json`.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.clients.compare import find_difference
from tests.clients.recording import Answer

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NPM = HERE / "node_modules" / ".bin"
PYTHON = ROOT / ".venv-clients" / "bin"
DRIVERS = HERE / "drivers"
KOTLIN = HERE / "kotlin" / "node_modules"
GSON = Path("/usr/share/java/gson.jar")  # of Debian's package libgoogle-gson-java
GENERATED = "generated"  # folder or module of the generated code in the folder of a run
TYPESCRIPT_OPTIONS = (
    *("--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--lib", "es2022,dom,dom.iterable"),
    *("--module", "esnext", "--moduleResolution", "bundler", "--pretty", "false"),
)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")

# Part of an error of a compiler -> why it is accepted.
ACCEPTED_ERRORS = {
    'Argument 1 to "__exit__" of "Client"': "openapi-python-client: its template, whatever the contract",
    'Argument 1 to "__aexit__" of "AsyncClient"': "the same",
}
# Part of a warning -> why it is accepted.
ACCEPTED_WARNINGS = {
    "(reserved word) cannot be used as model name": "openapi-generator: Swift has types of these names",
    "OpenAPI 3.1 support is still in beta": "openapi-generator: of the tool, whatever the contract",
    "Failed to get the schema name: null": "openapi-generator: schema of a free-form object without a name",
    "FutureWarning": "datamodel-code-generator: announces other default formatters",
}
# Part of an error of the Kotlin client that rejects an answer -> what openapi-generator lacks with gson.
KOTLIN_REJECTIONS = {
    "Interface name: org.openapitools.client.models.Share": "it ignores the discriminator of the union",
    ".nodes[0]": "it ignores `oneOf`: a node is an object or a string",
    "primary_workspace": "it makes a class without properties of an `anyOf`",
}


@dataclass(frozen=True, slots=True)
class Output:
    """The result of a command: exit status and text without colours."""

    status: int
    text: str

    @property
    def warnings(self) -> list[str]:
        """The lines that report a warning."""
        return [line.strip() for line in self.text.splitlines() if re.search(r"\bwarn(ing)?s?\b", line, re.IGNORECASE)]


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A generator of clients.

    `generate`: returns the command that writes the client of a contract file to `GENERATED` in the current folder.
    `compile`: returns the errors of the compiler for a folder. `parse`: returns answer name -> error, for the answers
    that the generated code rejects; None if the tool has no compiler here.
    """

    name: str
    language: str
    generate: Callable[[Path], Sequence[str | Path]]
    compile: Callable[[Path], list[str]] | None = None
    parse: Callable[[Path, Sequence[Answer]], dict[str, str]] | None = None


def run(command: Sequence[str | Path], folder: Path) -> Output:
    """Run a command in `folder`."""
    env = {**os.environ, "NO_COLOR": "1", "PATH": f"{PYTHON}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return Output(done.returncode, _ANSI.sub("", done.stdout + done.stderr))


# TypeScript


def compile_typescript(folder: Path) -> list[str]:
    """Return the errors of `tsc --strict` for the generated code."""
    files = [path for path in sorted(folder.rglob("*.ts")) if path.name != "answers.ts"]
    return _run_typescript(folder, files)


def _run_typescript(folder: Path, files: Sequence[Path]) -> list[str]:
    output = run((NPM / "tsc", *TYPESCRIPT_OPTIONS, *files), folder)
    return [line for line in output.text.splitlines() if ": error TS" in line]


def build_typescript_parser(
    imports: str, build_type: Callable[[Answer], str]
) -> Callable[[Path, Sequence[Answer]], dict[str, str]]:
    """Build a function that assigns each answer to its type and reports the errors of the compiler."""

    def parse(folder: Path, answers: Sequence[Answer]) -> dict[str, str]:
        lines = [imports]
        for answer in answers:
            value = "undefined!" if answer.body is None else json.dumps(answer.body)
            lines.append(f"export const {answer.name}: {build_type(answer)} = {value};")
        file = folder / "answers.ts"
        file.write_text("\n".join(lines))
        errors = [line for line in _run_typescript(folder, [file]) if line.startswith(file.name)]
        matches = (re.match(r"answers\.ts\((\d+),\d+\): (.*)", line) for line in errors)
        return {answers[int(match[1]) - 2].name: match[2] for match in matches if match}

    return parse


def build_openapi_typescript_type(answer: Answer) -> str:
    response = f'operations["{answer.operation}"]["responses"][{answer.status}]'
    return f'NonNullable<{response}["content"]>' + ("" if answer.body is None else '["application/json"]')


def capitalize(name: str) -> str:
    return name[:1].upper() + name[1:]


# Python


def compile_python(folder: Path) -> list[str]:
    """Return the errors of mypy for the generated code."""
    target = folder / GENERATED if (folder / GENERATED).is_dir() else folder / f"{GENERATED}.py"
    output = run((PYTHON / "mypy", "--no-error-summary", target), folder)
    errors = [line for line in output.text.splitlines() if ": error:" in line]
    return [line for line in errors if not any(part in line for part in ACCEPTED_ERRORS)]


def build_python_parser(driver: str) -> Callable[[Path, Sequence[Answer]], dict[str, str]]:
    """Build a function that parses answers with the generated code in the environment of the generators."""

    def parse(folder: Path, answers: Sequence[Answer]) -> dict[str, str]:
        (folder / "answers.json").write_text(json.dumps([answer.to_json() for answer in answers]))
        output = run((PYTHON / "python", DRIVERS / driver, "answers.json"), folder)
        if output.status != 0:
            raise AssertionError(output.text[-3000:])
        results = json.loads(output.text.strip().splitlines()[-1])
        errors = {answer.name: _find_error(answer, results[answer.name]) for answer in answers}
        return {name: error for name, error in errors.items() if error}

    return parse


def _find_error(answer: Answer, result: Mapping[str, Any]) -> str:
    return str(result["error"]) if "error" in result else find_difference(answer.body, result["parsed"])


# Kotlin


def find_missing_kotlin() -> str:
    """Return what is not installed of what the Kotlin client needs, "" if nothing is missing."""
    missing = {"the Kotlin compiler: make test-clients-all": KOTLIN, "gson: apt-get install libgoogle-gson-java": GSON}
    return ", ".join(name for name, path in missing.items() if not path.exists())


def _build_class_path(*more: Path) -> str:
    okhttp = sorted((KOTLIN / "allure-commandline/dist/plugins/jira-plugin/lib").glob("ok*.jar"))
    return os.pathsep.join(str(path) for path in (GSON, *okhttp, *more))


def generate_kotlin(file: Path) -> Sequence[str | Path]:
    """Write the contract without redundant `additionalProperties`, and return the command for it."""
    contract = json.loads((file.parent / "contract.json").read_bytes(), object_hook=_drop_additional_properties)
    kotlin_file = file.parent / "kotlin.json"
    kotlin_file.write_text(json.dumps(contract))
    options = (
        *("--openapi-generator-ignore-list", "**/NullValue.kt"),
        *("-p", "serializationLibrary=gson,enumPropertyNaming=UPPERCASE"),
    )
    return _generate_with_openapi_generator("kotlin", *options)(kotlin_file)


def _drop_additional_properties(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove `additionalProperties: true`, the default, with which the class is a HashMap that gson cannot create."""
    redundant = "properties" in schema and schema.get("additionalProperties") is True
    return {key: value for key, value in schema.items() if not (redundant and key == "additionalProperties")}


def compile_kotlin(folder: Path) -> list[str]:
    """Return the errors of the Kotlin compiler for the generated client and the driver that parses answers with it."""
    home = KOTLIN / "kotlin-compiler"
    compiler = ("java", "-cp", home / "lib/kotlin-compiler.jar", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler")
    options = ("-kotlin-home", home, "-no-reflect", "-nowarn", "-cp", _build_class_path(), "-d", "classes")
    output = run((*compiler, *options, f"{GENERATED}/src/main/kotlin", DRIVERS / "ParseAnswers.kt"), folder)
    errors = [line for line in output.text.splitlines() if "error: " in line]
    return errors or ([output.text[-3000:]] if output.status != 0 else [])


def parse_kotlin(folder: Path, answers: Sequence[Answer]) -> dict[str, str]:
    """Parse answers with the compiled client. Properties that are null count as absent, since it omits them."""
    if not (folder / "classes").is_dir():
        return {answer.name: "the client does not compile" for answer in answers}
    (folder / "answers.json").write_text(json.dumps([answer.to_json() for answer in answers]))
    class_path = _build_class_path(folder / "classes", KOTLIN / "kotlin-compiler/lib/kotlin-stdlib.jar")
    classes = ",".join(sorted(path.stem for path in folder.glob(f"{GENERATED}/src/main/kotlin/**/*Api.kt")))
    output = run(("java", "-cp", class_path, "ParseAnswersKt", "answers.json", classes), folder)
    if output.status != 0:
        raise AssertionError(output.text[-3000:])
    results = json.loads(output.text.strip().splitlines()[-1])
    errors = {a.name: _find_error(replace(a, body=_drop_nulls(a.body)), results[a.name]) for a in answers}
    return {name: error for name, error in errors.items() if error}


def _drop_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_nulls(item) for key, item in value.items() if item is not None}
    return [_drop_nulls(item) for item in value] if isinstance(value, list) else value


# The tools


def _generate_with_openapi_generator(generator: str, *options: str) -> Callable[[Path], Sequence[str | Path]]:
    command = PYTHON / "openapi-generator-cli"
    return lambda file: (command, "generate", "-g", generator, "-i", file, "-o", GENERATED, *options)


TYPESCRIPT_TYPES = ClientTool(
    name="openapi-typescript",
    language="TypeScript",
    generate=lambda file: (NPM / "openapi-typescript", file, "-o", f"{GENERATED}.ts"),
    compile=compile_typescript,
    parse=build_typescript_parser(f'import type {{operations}} from "./{GENERATED}";', build_openapi_typescript_type),
)
PYTHON_CLIENT = ClientTool(
    name="openapi-python-client",
    language="Python",
    generate=lambda file: (
        *(PYTHON / "openapi-python-client", "generate", "--path", file),
        *("--output-path", GENERATED, "--meta", "none", "--overwrite"),
    ),
    compile=compile_python,
    parse=build_python_parser("parse_openapi_python_client.py"),
)
FAST_TOOLS = (TYPESCRIPT_TYPES, PYTHON_CLIENT)
OTHER_TOOLS = (
    ClientTool(
        name="@hey-api/openapi-ts",
        language="TypeScript",
        generate=lambda file: (NPM / "openapi-ts", "-i", file, "-o", GENERATED),
        compile=compile_typescript,
        parse=build_typescript_parser(
            f'import type * as client from "./{GENERATED}/types.gen";',
            lambda answer: f"client.{capitalize(answer.operation)}Responses[{answer.status}]",
        ),
    ),
    ClientTool(
        name="orval",
        language="TypeScript",
        generate=lambda file: (
            *(NPM / "orval", "--input", file, "--client", "fetch"),
            *("--output", f"{GENERATED}/client.ts"),
        ),
        compile=compile_typescript,
        parse=build_typescript_parser(
            f'import type * as client from "./{GENERATED}/client";',
            lambda answer: f'client.{answer.operation}Response{answer.status}["data"]',
        ),
    ),
    ClientTool(
        name="datamodel-code-generator",
        language="Python",
        generate=lambda file: (
            *(PYTHON / "datamodel-codegen", "--input", file, "--input-file-type", "openapi"),
            *("--output", f"{GENERATED}.py", "--output-model-type", "pydantic_v2.BaseModel"),
            *("--target-python-version", "3.11", "--use-annotated", "--strict-nullable"),
            *("--capitalise-enum-members", "--formatters", "ruff-format"),
        ),
        compile=compile_python,
        parse=build_python_parser("parse_datamodel.py"),
    ),
    ClientTool(
        name="openapi-generator, kotlin",
        language="Kotlin",
        generate=generate_kotlin,
        compile=None if find_missing_kotlin() else compile_kotlin,
        parse=None if find_missing_kotlin() else parse_kotlin,
    ),
    ClientTool(
        name="openapi-generator, swift6",
        language="Swift",
        generate=_generate_with_openapi_generator("swift6"),
    ),
)


def is_installed() -> bool:
    """Whether `scripts/clients.sh` has installed the generators."""
    return (ROOT / ".venv-clients" / ".locked").exists() and NPM.is_dir()


def has_java() -> bool:
    """Whether openapi-generator can run."""
    return shutil.which("java") is not None
