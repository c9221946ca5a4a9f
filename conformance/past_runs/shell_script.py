"""The requests that show a failure as a script for a POSIX shell, curl and awk: identifiers are taken from the answers.

Tokens come from the environment. What the script makes it takes away again where the contract has an operation for it.
Statuses are compared with those of the run: 0, all are the same; 1, one differs; 3, no answer, or an answer without an
identifier that is needed.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from conformance.config.settings import Settings
from conformance.errors import UsageError
from conformance.past_runs.report_reader import ReportedFailure
from conformance.trace.identifiers import replace_identifiers, replace_marker
from conformance.trace.recorder import Path
from conformance.trace.sequence import RequestSequence, TraceStep
from conformance.transport.messages import AUTHORIZATION, Request
from conformance.transport.redaction import plain
from spec.loader import Contract

MAX_COMMENT_CHARS = 300
_RUN = "zqrunqz"
_PLACEHOLDER = re.compile("zq([a-z]+[0-9]*)qz")  # stands for the shell's variable of that name while a text is made
_NUMBER = re.compile('"zq(num[0-9]+)qz"')

# Reads JSON and prints what stands at a path (its parts joined by slashes); texts as they are written, without quotes.
_JSON_READER = r"""
at() {
  awk -v want="$1" '
    { text = text $0 " " }
    END { place = 1; value("") }
    function sign() { return substr(text, place, 1) }
    function skip() { while (place <= length(text) && index(" \t\r,:", sign())) place++ }
    function scalar(  from) {
      from = place
      if (sign() == "\"") {
        place++
        while (place <= length(text) && sign() != "\"") place += sign() == "\\" ? 2 : 1
        place++
        return substr(text, from + 1, place - from - 2)
      }
      while (place <= length(text) && !index(" \t\r,:]}", sign())) place++
      if (place == from) place++
      return substr(text, from, place - from)
    }
    function value(path,  count, name, open, said) {
      skip()
      open = sign()
      if (open != "{" && open != "[") {
        said = scalar()
        if (path == want) { print said; exit }
        return
      }
      place++
      for (count = 0; ; count++) {
        skip()
        if (place > length(text) || sign() == "]" || sign() == "}") { place++; return }
        name = open == "{" ? scalar() : count
        value(path "/" name)
      }
    }' "$answer"
}
""".strip()

_SEND_FUNCTIONS = r"""
ask() {  # number, status in the run, method, token, path, more words for curl
  number=$1 then=$2 method=$3 token=$4 path=$5
  shift 5
  [ -z "$token" ] || set -- -H "Authorization: Bearer $token" "$@"
  now=$(send "$method" "$path" "$@") || exit 3
  echo "$number. $method $path answered $now, $then in the run"
  [ "$now" = "$then" ] || differs=1
}
take() {  # the identifier at a path of the last answer
  found=$(at "$1")
  [ -n "$found" ] || { echo "answer $number shows no identifier at $1" >&2; cat "$answer" >&2; exit 3; }
}
""".strip()


@dataclass(frozen=True, slots=True)
class _CreatedByStep:
    """What a step creates: the shell's variable for its key, where the answer shows it, and how it is deleted."""

    name: str
    path: Path
    target: str


def build_script(sequence: RequestSequence, contract: Contract, failure: ReportedFailure, settings: Settings) -> str:
    """The whole script. Raises UsageError."""
    names = {value: f"{'num' if value.isdigit() else 'id'}{number}" for number, value in enumerate(sequence.sources, 1)}
    created = {
        number: step_record
        for number, step in enumerate(sequence.steps)
        if (step_record := _created_by(contract, number, step)) is not None
    }
    lines = [
        *_head(sequence, contract, failure, settings),
        _JSON_READER,
        *_sending(settings),
        _SEND_FUNCTIONS,
        *_cleanup(created),
    ]
    for number, step in enumerate(sequence.steps):
        lines += ["", _comment(step, sum(other.is_evidence for other in sequence.steps))]
        request = replace_marker(step.request, sequence.marker, f"{_stem(sequence.marker)}{_RUN}")
        placeholders = {value: f"zq{name}qz" for value, name in names.items()}
        lines += _request_lines(number + 1, step, replace_identifiers(contract, request, placeholders))
        if number in created:
            lines.append(f"{created[number].name}=$(at {shlex.quote(_json_path(created[number].path))})")
        for value, source in sequence.sources.items():
            if source.step == number:
                lines.append(f"take {shlex.quote(_json_path(source.path))}; {names[value]}=$found")
        if step.is_evidence or number == len(sequence.steps) - 1:
            lines.append('cat "$answer"; echo')
    lines += ["", "exit $differs"]
    return "\n".join(lines) + "\n"


def _stem(marker: str) -> str:
    return marker.rsplit("-", 1)[0] + "-" if "-" in marker else marker


def _head(sequence: RequestSequence, contract: Contract, failure: ReportedFailure, settings: Settings) -> Iterator[str]:
    base = settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path
    yield "#!/bin/sh"
    yield f"# {_comment_line(' '.join(filter(None, [failure.operation, failure.parameter, failure.check, failure.id])))}"
    yield f"# due:   {_comment_line(failure.requirement)}"
    yield f"# found: {_comment_line(failure.message)}"
    yield f"# place: {_comment_line(failure.location)}"
    yield "# Ends with 0 when every status is that of the run, 1 when one differs, 3 when it cannot go on."
    yield f"BASE=${{BASE_URL:-{shlex.quote(base)}}}"
    for name, env in _tokens(sequence, settings):
        yield f"{name}=${{{env}:?a token is due there}}"
    for name, _ in settings.header:
        yield f": ${{{_variable(name)}:?the value of the header {name} is due there}}"
    yield "run=$(printf %08x $$) differs=0 answer=$(mktemp) sent=$(mktemp)"


def _tokens(sequence: RequestSequence, settings: Settings) -> Iterator[tuple[str, str]]:
    """(the script's variable, the environment's) of each token that is sent."""
    for who, env in (("self", settings.token_env), ("other", settings.other_token_env)):
        if any(_token_name(step.request) == who for step in sequence.steps):
            if not (env.isascii() and env.isidentifier()):
                raise UsageError(f"--token-env: found {env[:80]!a}; allowed: a name that a shell knows as a variable")
            yield who, env


def _token_name(request: Request) -> str:
    """Whose token goes with a request; "" where none does, or its own header."""
    header_names = {name.lower() for name in request.headers}
    return request.actor if request.actor in ("self", "other") and AUTHORIZATION.lower() not in header_names else ""


def _variable(header: str) -> str:
    return "HEADER_" + re.sub("[^A-Z0-9]", "_", header.upper())


def _sending(settings: Settings) -> Iterator[str]:
    headers = "".join(f' -H "{name}: ${_variable(name)}"' for name, _ in settings.header)
    yield "send() {  # method, path, more words for curl: prints the status"
    yield "  method=$1 path=$2; shift 2"
    yield '  curl -sS --globoff -o "$answer" -w \'%{http_code}\' -X "$method" \\'
    yield f'    -H \'Accept: application/json\'{headers} "$@" "$BASE$path"'
    yield "}"


def _cleanup(created: dict[int, _CreatedByStep]) -> Iterator[str]:
    """Whatever happens, what was made is deleted, the last first."""
    yield "clean() {"
    yield from (
        f'  [ -z "${m.name}" ] || send DELETE {_quote(m.target)} -H "Authorization: Bearer $self" > /dev/null'
        for m in reversed(created.values())
    )
    yield '  rm -f "$answer" "$sent"'
    yield "}"
    yield "trap clean EXIT"
    yield "trap 'exit 3' INT TERM"
    yield from (f"{m.name}=" for m in created.values())


def _created_by(contract: Contract, number: int, step: TraceStep) -> _CreatedByStep | None:
    """What a step made, where the contract can delete it."""
    operation = contract.operations[step.request.operation]
    view = contract.views.get(operation.envelope.view_name or "")
    if (
        view is None
        or operation.envelope.status != 201
        or not 200 <= step.status < 300
        or _token_name(step.request) != "self"
    ):
        return None
    delete_operation = contract.find_operation(view.resource, "delete")
    if delete_operation is None or len(delete_operation.path_parameter_names) != 1:
        return None
    name = f"made{number + 1}"
    target = delete_operation.path.replace(f"{{{delete_operation.path_parameter_names[0]}}}", f"zq{name}qz")
    key = contract.resources[view.resource].key_attribute
    return _CreatedByStep(
        name, (operation.envelope.data_property, key) if operation.envelope.data_property else (key,), target
    )


def _comment(step: TraceStep, evidence_count: int) -> str:
    """What a request is for. `evidence_count`: how many show the failure."""
    if not step.is_evidence:
        return f"# {step.request.operation}: {step.status} is due"
    which = (
        "which shows the failure"
        if evidence_count == 1
        else f"one of {evidence_count} answers that show the failure together"
    )
    return f"# {step.request.operation}: it answered {step.status}, {which}"


def _request_lines(number: int, step: TraceStep, request: Request) -> Iterator[str]:
    """The lines that send a request."""
    token_name = _token_name(request)
    words = [str(number), str(step.status), request.method.upper(), f'"${token_name}"' if token_name else "''"]
    words.append(_quote(request.target))
    words += [f"-H {_quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    if request.method == "head":
        words.append("-I")
    has_content_type = any(name.lower() == "content-type" for name in request.headers)
    if request.raw_body is not None:
        yield _write_file(request.raw_body)
        words += ['--data-binary "@$sent"', *([] if has_content_type else ["-H 'Content-Type:'"])]
    elif request.body is not None:
        body = _NUMBER.sub(_unquote, json.dumps(request.body))
        words += ["-H 'Content-Type: application/json'", f"--data-raw {_quote(body)}"]
    yield "ask " + " ".join(words)


def _write_file(raw: bytes) -> str:
    """The line that writes bytes, with identifiers in them, into the file that is sent."""
    parts = []
    for index, part in enumerate(_PLACEHOLDER.split(raw.decode("latin-1"))):
        if index % 2:
            parts.append(f'printf %s "${part}"')
        elif part:
            parts.append("printf '" + "".join(f"\\{ord(character):03o}" for character in part) + "'")
    return f'{{ {"; ".join(parts) or ":"}; }} > "$sent"'


def _unquote(match: "re.Match[str]") -> str:
    return f"zq{match[1]}qz"


def _quote(text: str) -> str:
    """A text as one word for the shell, with the variables that its places stand for."""
    words = []
    for index, part in enumerate(_PLACEHOLDER.split(text)):
        if index % 2:
            words.append(f'"${{{part}}}"')
        elif part:
            words.append(shlex.quote(part))
    return "".join(words) or "''"


def _json_path(path: Path) -> str:
    return "".join(f"/{part}" for part in path)


def _comment_line(text: str) -> str:
    """A text on one line of a comment."""
    return " ".join(plain(text).split())[:MAX_COMMENT_CHARS]
