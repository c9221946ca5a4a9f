"""Writes the generated tables of `docs/` from the code, and the example files that its pages show.

    python -m scripts.reference_tables

A table is the text between the comments `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from conformance.cli.commands import COMMANDS, EXIT_CODES, SuiteCommand
from conformance.config.options import ALL, SuiteOption
from conformance.config.options import OPTIONS as SUITE_OPTIONS
from mock_server.cli.settings import OPTIONS as MOCK_OPTIONS
from mock_server.errors import ErrorKind
from scripts.licences import list_licences

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs"
REPORT_SCHEMA = ROOT / "conformance" / "reporting" / "report.schema.json"
_BLOCK = re.compile(r"(?<=<!-- generated: )([a-z-]+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def main() -> None:
    for path in sorted(FOLDER.rglob("*.md")):
        path.write_text(fill_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


def fill_tables(page: str) -> str:
    """Replace the generated tables of a page."""
    return _BLOCK.sub(lambda match: f"{match[1]} -->\n\n{TABLES[match[1]]()}\n", page)


def _table(header: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _code(text: object) -> str:
    return f"`{text}`" if text not in ("", None) else ""


# Settings of the mock


def mock_settings() -> str:
    return _table(("option", "default", "environment variable", "meaning"), map(_mock_row, MOCK_OPTIONS))


def _mock_row(option: click.Option) -> Sequence[str]:
    has_default = option.default is not None and not option.is_flag and not option.multiple
    default = option.default if isinstance(option.default, str | int) and has_default else ""
    flag = f"{option.opts[0]} {option.metavar or ''}".strip()
    choices = f" One of {_choices(option)}." if isinstance(option.type, click.Choice) else ""
    return _code(flag), _code(default), _code(option.envvar), (option.help or "") + choices


_PHRASES = {**http.client.responses, 419: "Page Expired"}  # 419: Laravel's


def error_kinds() -> str:
    specs = sorted((kind.value for kind in ErrorKind), key=lambda spec: int(spec.status))
    rows = (
        (_code(int(spec.status)), _PHRASES[spec.status], _code(spec.reason), _message(spec.message)) for spec in specs
    )
    return _table(("status", "name", "`X-Mock-Reason`", "message"), rows)


def _message(template: str) -> str:
    return "(states the cause)" if template == "{message}" else _code(template)


# Commands, options and exit codes of the suite


def suite_commands() -> str:
    return _table(("command", "purpose"), ((_code(_usage(command)), command.help or "") for command in COMMANDS))


def _usage(command: SuiteCommand) -> str:
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    return " ".join([str(command.name), *arguments])


def suite_options() -> str:
    return _table(("option", "default", "commands", "meaning"), map(_suite_row, SUITE_OPTIONS))


def _suite_row(option: SuiteOption) -> Sequence[str]:
    is_choice = isinstance(option.type, click.Choice)
    metavar = "" if option.is_flag or is_choice else f" {option.type.name}"
    help_text, _, default_in_help = (option.help or "").partition("  [default: ")
    has_default = not (option.is_flag or option.multiple)
    default = default_in_help.rstrip("]") or (option.setting_default if has_default else "")
    commands = "all" if option.commands == ALL else ", ".join(option.commands)
    meaning = help_text + (f": {_choices(option)}" if is_choice else "")
    return _code(f"--{option.key}{metavar}"), _code(default), commands, meaning


def _choices(option: click.Option) -> str:
    assert isinstance(option.type, click.Choice)
    return ", ".join(map(_code, option.type.choices))


def exit_codes() -> str:
    return _table(("exit code", "meaning"), ((_code(code), text) for code, text in EXIT_CODES.items()))


def command_exit_codes() -> str:
    rows = (
        (_code(command.name), _code(code), text)
        for command in COMMANDS
        if command.exit_codes is not EXIT_CODES
        for code, text in command.exit_codes.items()
    )
    return _table(("command", "exit code", "meaning"), rows)


# Schema of the JSON report


def report_schema() -> str:
    """One table for each object of the schema, nested objects without a name of their own included."""
    definitions: Mapping[str, Any] = json.loads(REPORT_SCHEMA.read_text(encoding="utf-8"))["$defs"]
    objects = {name: schema for name, schema in definitions.items() if "properties" in schema}
    return "\n".join(_object_section(name, schema) for name, schema in objects.items())


def _object_section(name: str, schema: Mapping[str, Any]) -> str:
    description = f"{schema['description']}\n\n" if "description" in schema else ""
    rows = _property_rows(schema, "")
    return f"## {name}\n\n{description}{_table(('key', 'type', 'meaning'), rows)}"


def _property_rows(schema: Mapping[str, Any], prefix: str) -> Iterator[Sequence[str]]:
    for key, child in schema["properties"].items():
        path = f"{prefix}{key}"
        yield _code(path), _type(child), child.get("description", "")
        for nested, suffix in ((child, "."), (child.get("items", {}), "[].")):
            if "properties" in nested:
                yield from _property_rows(nested, path + suffix)


def _type(schema: Mapping[str, Any]) -> str:
    """Describe the type of a value in a few words; objects with a table of their own are linked."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            return _NAMED_TYPES.get(name) or f"[{name}](#{name})"
        case {"const": value}:
            return _code(json.dumps(value))
        case {"enum": values}:
            return ", ".join(_code(json.dumps(value)) for value in values)
        case {"anyOf": options}:
            return " or ".join(_type(option) for option in options)
        case {"type": "array", "items": items}:
            return f"array of {_type(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object of {_type(values)}"
        case {"type": list(types)}:
            return " or ".join(types)
    return str(schema.get("type", "any value"))


# Licences


def licences() -> str:
    packages = list_licences(ROOT)
    rows = ((_code(p.name), p.version, ", ".join(p.needed_by), p.licence, p.copyleft) for p in packages)
    return _table(("package", "version", "needed by", "licence", "copyleft"), rows)


# Example files


def example(path: str) -> str:
    """Return a file of the folder `examples` as a code block."""
    return f"```yaml\n{(ROOT / 'examples' / path).read_text(encoding='utf-8')}```\n"


_NAMED_TYPES = {
    "count": "integer",
    "texts": "array of string",
    "text_by_operation": "object of string",
    "category": "[skip category](../guides/read-a-report.md#statuses)",
}
TABLES: Mapping[str, Callable[[], str]] = {
    "mock-settings": mock_settings,
    "error-kinds": error_kinds,
    "suite-commands": suite_commands,
    "suite-options": suite_options,
    "exit-codes": exit_codes,
    "command-exit-codes": command_exit_codes,
    "report-schema": report_schema,
    "licences": licences,
    "github-release-gate": partial(example, "github-actions/release-gate.yml"),
    "github-frontend-tests": partial(example, "github-actions/frontend-tests.yml"),
    "gitlab-release-gate": partial(example, "gitlab-ci/release-gate.yml"),
    "gitlab-frontend-tests": partial(example, "gitlab-ci/frontend-tests.yml"),
}

if __name__ == "__main__":
    main()
