"""Requests that reproduce a failure as a script for a POSIX shell, curl and awk (template ``replay.sh.j2``).

Tokens come from the environment, identifiers from the responses. Records that the script creates are deleted at the end
if the contract has an operation for it.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.past_runs.report_reader import ReportedResult
from conformance.reporting.templating import render_template
from conformance.session.credentials import resolve_credentials
from conformance.trace.identifiers import replace_identifiers, replace_marker
from conformance.trace.recorder import Path
from conformance.trace.sequence import RequestSequence, TraceStep
from conformance.transport.credentials import PrintedCredentials
from conformance.transport.messages import Actor, Request, header_variable
from spec.model import Contract
from spec.redaction import remove_unsafe_chars

MAX_COMMENT_CHARS = 300
_RUN = "zqrunqz"
_PLACEHOLDER = re.compile("zq([a-z]+[0-9]*)qz")  # replaced by the shell variable of that name when a text is quoted
_NUMBER = re.compile('"zq(num[0-9]+)qz"')


@dataclass(frozen=True, slots=True)
class _CreatedByStep:
    """Record created by a step: shell variable of its key, path of the key in the response, arguments of DELETE."""

    name: str
    path: Path
    arguments: str


def build_script(sequence: RequestSequence, contract: Contract, failure: ReportedResult, settings: Settings) -> str:
    """Build the script. Raises UsageError."""
    names = {value: f"{'num' if value.isdigit() else 'id'}{number}" for number, value in enumerate(sequence.sources, 1)}
    placeholders = {value: f"zq{name}qz" for value, name in names.items()}
    marker = sequence.marker.rsplit("-", 1)[0] + f"-{_RUN}" if "-" in sequence.marker else sequence.marker + _RUN
    header_names, credentials = _resolve_credentials(contract, settings)
    created: list[_CreatedByStep] = []
    steps: list[list[str]] = []
    evidence_count = sum(step.is_evidence for step in sequence.steps)
    for number, step in enumerate(sequence.steps):
        request = replace_marker(step.request, sequence.marker, marker)
        request = replace_identifiers(contract, request, placeholders.get)
        lines = [_comment(step, evidence_count), *_request_lines(number + 1, step, request, credentials)]
        record = _created_by(contract, number, step, credentials)
        if record is not None:
            created.append(record)
            lines.append(f"{record.name}=$(value_at {_json_path(record.path)})")
        for value, source in sequence.sources.items():
            if source.step == number:
                lines.append(f"require {_json_path(source.path)}; {names[value]}=$identifier")
        if step.is_evidence or number == len(sequence.steps) - 1:
            lines.append('cat "$response"; echo')
        steps.append(lines)
    title = " ".join(filter(None, (failure.operation, failure.parameter, failure.check, failure.id)))
    return render_template(
        "replay.sh.j2",
        title=_comment_line(title),
        requirement=_comment_line(failure.requirement),
        message=_comment_line(failure.message),
        location=_comment_line(failure.location),
        variables=list(_variables(sequence, contract, settings, header_names, credentials)),
        headers="".join(f' -H "{name}: ${header_variable(name)}"' for name in header_names),
        created=created[::-1],
        steps=steps,
        quote=_quote,
    )


def _resolve_credentials(contract: Contract, settings: Settings) -> tuple[list[str], PrintedCredentials]:
    """Return the names of the other headers of each request, and the credentials as shell variables."""
    headers, credentials = resolve_credentials(settings, contract)
    actors = {actor: str(actor) for actor in (Actor.OWNER, Actor.OTHER_TENANT, Actor.MEMBER)}
    is_login = settings.token is None or ":" in settings.token
    return [name for name, _ in headers], PrintedCredentials(credentials, actors, is_login)


def _variables(
    sequence: RequestSequence,
    contract: Contract,
    settings: Settings,
    header_names: Sequence[str],
    credentials: PrintedCredentials,
) -> Iterator[str]:
    """Yield the lines that set the variables from the environment."""
    base = settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path
    yield f"BASE=${{BASE_URL:-{shlex.quote(base)}}}"
    variables = {
        Actor.OWNER: settings.token_env,
        Actor.OTHER_TENANT: settings.other_token_env,
        Actor.MEMBER: settings.member_token_env,
    }
    for actor, env in variables.items():
        used = [c for step in sequence.steps for c in _list_credentials(step.request, credentials)]
        if str(actor) in used:
            if not (env.isascii() and env.isidentifier()):
                raise UsageError(f"--token-env: invalid value {env[:80]!a} (expected a valid name of a shell variable)")
            yield f"{actor}=${{{env}:?must contain a token}}"
    for name in header_names:
        yield f": ${{{header_variable(name)}:?must contain the value of the header {name}}}"
    for name in dict.fromkeys(c for step in sequence.steps for c in _list_credentials(step.request, credentials)):
        if name not in tuple(Actor):
            yield f": ${{{name}:?must contain a credential}}"


def _list_credentials(request: Request, credentials: PrintedCredentials) -> list[str]:
    """Return the variables with the credentials of a request."""
    return [variable for _, variable in credentials.list_variables(request.operation, request.token_actor)]


def _created_by(
    contract: Contract, number: int, step: TraceStep, credentials: PrintedCredentials
) -> _CreatedByStep | None:
    """Return the record that a step created, if the contract can delete it."""
    envelope = contract.operations[step.request.operation].envelope
    view = contract.views.get(envelope.view_name or "")
    is_created = envelope.status == 201 and 200 <= step.status < 300 and step.request.token_actor == Actor.OWNER
    delete = contract.find_operation(view.resource, "delete") if view is not None and is_created else None
    if view is None or delete is None or len(delete.path_parameter_names) != 1:
        return None
    name = f"created{number + 1}"
    target = delete.path.replace(f"{{{delete.path_parameter_names[0]}}}", f"zq{name}qz")
    key = contract.resources[view.resource].key_attribute
    request = Request(delete.id, "delete", target)
    options, query = " ".join(credentials.list_options(request)), credentials.build_query(request)
    path = (envelope.data_property, key) if envelope.data_property else (key,)
    return _CreatedByStep(name, path, f"{_quote(target)}{query} {options}".strip())


def _comment(step: TraceStep, evidence_count: int) -> str:
    """Describe the purpose of a request. `evidence_count`: number of requests that show the failure."""
    if not step.is_evidence:
        return f"# {step.request.operation}: expected {step.status}"
    count = "" if evidence_count == 1 else f" (one of {evidence_count} responses that together show it)"
    return f"# {step.request.operation}: shows the failure, status {step.status} in the run{count}"


def _request_lines(number: int, step: TraceStep, request: Request, credentials: PrintedCredentials) -> Iterator[str]:
    arguments = [str(number), str(step.status), request.method.upper(), credentials.build_query(request) or "''"]
    arguments += [_quote_url(request), *credentials.list_options(request)]
    arguments += [f"-H {_quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    if request.method == "head":
        arguments.append("-I")
    has_content_type = any(name.lower() == "content-type" for name in request.headers)
    if request.raw_body is not None:
        yield _write_file(request.raw_body)
        arguments += ['--data-binary "@$body"', *([] if has_content_type else ["-H 'Content-Type:'"])]
    elif request.body is not None:
        content, content_type = request.encode_body()
        body = _NUMBER.sub(r"zq\1qz", (content or b"").decode())
        arguments += [f"-H {shlex.quote(f'Content-Type: {content_type}')}", f"--data-raw {_quote(body)}"]
    yield "request " + " ".join(arguments)


def _quote_url(request: Request) -> str:
    """Return the path below BASE, or the full URL if the operation declares another server."""
    wire_format = request.wire_format
    if wire_format is None or wire_format.base_path == wire_format.contract_base_path:
        return _quote(request.target)
    return f'"${{BASE%{wire_format.contract_base_path}}}"{_quote(wire_format.base_path + request.target)}'


def _write_file(raw: bytes) -> str:
    """Return the line that writes bytes, with identifiers replaced, into the file of the body."""
    commands = [
        f'printf %s "${part}"' if is_variable else "printf '" + "".join(f"\\{ord(char):03o}" for char in part) + "'"
        for part, is_variable in _split(raw.decode("latin-1"))
    ]
    return f'{{ {"; ".join(commands) or ":"}; }} > "$body"'


def _quote(text: str) -> str:
    """Quote a text for the shell; placeholders become variables."""
    quoted = (f'"${{{part}}}"' if is_variable else shlex.quote(part) for part, is_variable in _split(text))
    return "".join(quoted) or "''"


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """Split a text into (part, False) and (name of a variable, True)."""
    for index, part in enumerate(_PLACEHOLDER.split(text)):
        if part:
            yield part, bool(index % 2)


def _json_path(path: Path) -> str:
    """Return a path as an argument of `value_at` in the template."""
    return shlex.quote("".join(f"/{part}" for part in path))


def _comment_line(text: str) -> str:
    return " ".join(remove_unsafe_chars(text).split())[:MAX_COMMENT_CHARS]
