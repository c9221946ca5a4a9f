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

from conformance.errors import UsageError
from conformance.exchange import BEARER, Request
from conformance.recording import Path
from conformance.redaction import plain
from conformance.reported import Told
from conformance.rewriting import remarked, renamed
from conformance.sequence import Sequence, Step
from conformance.settings import Settings
from spec.contract import Contract

COMMENT = 300
_RUN = "zqrunqz"
_PLACE = re.compile("zq([a-z]+[0-9]*)qz")  # stands for the shell's variable of that name while a text is made
_NUMBER = re.compile('"zq(num[0-9]+)qz"')

# Reads JSON and prints what stands at a path (its parts joined by slashes); texts as they are written, without quotes.
_READER = r"""
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

_ASK = r"""
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
class _Made:
    """What a step creates: the shell's variable for its key, where the answer shows it, and how it is deleted."""

    name: str
    path: Path
    target: str


def of(sequence: Sequence, contract: Contract, failure: Told, settings: Settings) -> str:
    """The whole script. Raises UsageError."""
    names = {value: f"{'num' if value.isdigit() else 'id'}{number}" for number, value in enumerate(sequence.sources, 1)}
    made = {number: m for number, step in enumerate(sequence.steps) if (m := _made(contract, number, step)) is not None}
    lines = [*_head(sequence, contract, failure, settings), _READER, *_sending(settings), _ASK, *_cleaning(made)]
    for number, step in enumerate(sequence.steps):
        lines += ["", _comment(step, sum(one.shown for one in sequence.steps))]
        request = remarked(step.request, sequence.marker, f"{_stem(sequence.marker)}{_RUN}")
        places = {value: f"zq{name}qz" for value, name in names.items()}
        lines += _asked(number + 1, step, renamed(contract, request, places))
        if number in made:
            lines.append(f"{made[number].name}=$(at {shlex.quote(_joined(made[number].path))})")
        for value, source in sequence.sources.items():
            if source.step == number:
                lines.append(f"take {shlex.quote(_joined(source.path))}; {names[value]}=$found")
        if step.shown or number == len(sequence.steps) - 1:
            lines.append('cat "$answer"; echo')
    lines += ["", "exit $differs"]
    return "\n".join(lines) + "\n"


def _stem(marker: str) -> str:
    return marker.rsplit("-", 1)[0] + "-" if "-" in marker else marker


def _head(sequence: Sequence, contract: Contract, failure: Told, settings: Settings) -> Iterator[str]:
    base = settings.base_url if urlsplit(settings.base_url).path else settings.base_url + contract.base_path
    yield "#!/bin/sh"
    yield f"# {_line(' '.join(filter(None, [failure.operation, failure.parameter, failure.law, failure.short])))}"
    yield f"# due:   {_line(failure.sentence)}"
    yield f"# found: {_line(failure.said)}"
    yield f"# place: {_line(failure.place)}"
    yield "# Ends with 0 when every status is that of the run, 1 when one differs, 3 when it cannot go on."
    yield f"BASE=${{BASE_URL:-{shlex.quote(base)}}}"
    for name, env in _tokens(sequence, settings):
        yield f"{name}=${{{env}:?a token is due there}}"
    for name, _ in settings.header:
        yield f": ${{{_variable(name)}:?the value of the header {name} is due there}}"
    yield "run=$(printf %08x $$) differs=0 answer=$(mktemp) sent=$(mktemp)"


def _tokens(sequence: Sequence, settings: Settings) -> Iterator[tuple[str, str]]:
    """(the script's variable, the environment's) of each token that is sent."""
    for who, env in (("self", settings.token_env), ("other", settings.other_token_env)):
        if any(_speaks(step.request) == who for step in sequence.steps):
            if not (env.isascii() and env.isidentifier()):
                raise UsageError(f"--token-env: found {env[:80]!a}; allowed: a name that a shell knows as a variable")
            yield who, env


def _speaks(request: Request) -> str:
    """Whose token goes with a request; "" where none does, or its own header."""
    given = {name.lower() for name in request.headers}
    return request.as_ if request.as_ in ("self", "other") and BEARER.lower() not in given else ""


def _variable(header: str) -> str:
    return "HEADER_" + re.sub("[^A-Z0-9]", "_", header.upper())


def _sending(settings: Settings) -> Iterator[str]:
    headers = "".join(f' -H "{name}: ${_variable(name)}"' for name, _ in settings.header)
    yield "send() {  # method, path, more words for curl: prints the status"
    yield "  method=$1 path=$2; shift 2"
    yield '  curl -sS --globoff -o "$answer" -w \'%{http_code}\' -X "$method" \\'
    yield f'    -H \'Accept: application/json\'{headers} "$@" "$BASE$path"'
    yield "}"


def _cleaning(made: dict[int, _Made]) -> Iterator[str]:
    """Whatever happens, what was made is deleted, the last first."""
    yield "clean() {"
    yield from (
        f'  [ -z "${m.name}" ] || send DELETE {_quoted(m.target)} -H "Authorization: Bearer $self" > /dev/null'
        for m in reversed(made.values())
    )
    yield '  rm -f "$answer" "$sent"'
    yield "}"
    yield "trap clean EXIT"
    yield "trap 'exit 3' INT TERM"
    yield from (f"{m.name}=" for m in made.values())


def _made(contract: Contract, number: int, step: Step) -> _Made | None:
    """What a step made, where the contract can delete it."""
    operation = contract.operations[step.request.operation]
    view = contract.views.get(operation.envelope.view_name or "")
    if (
        view is None
        or operation.envelope.status != 201
        or not 200 <= step.status < 300
        or _speaks(step.request) != "self"
    ):
        return None
    deleting = contract.find_operation(view.resource, "delete")
    if deleting is None or len(deleting.path_parameter_names) != 1:
        return None
    name = f"made{number + 1}"
    target = deleting.path.replace(f"{{{deleting.path_parameter_names[0]}}}", f"zq{name}qz")
    key = contract.resources[view.resource].key_attribute
    return _Made(name, (operation.envelope.data_property, key) if operation.envelope.data_property else (key,), target)


def _comment(step: Step, shown: int) -> str:
    """What a request is for. `shown`: how many show the failure."""
    if not step.shown:
        return f"# {step.request.operation}: {step.status} is due"
    which = "which shows the failure" if shown == 1 else f"one of {shown} answers that show the failure together"
    return f"# {step.request.operation}: it answered {step.status}, {which}"


def _asked(number: int, step: Step, request: Request) -> Iterator[str]:
    """The lines that send a request."""
    who = _speaks(request)
    words = [str(number), str(step.status), request.method.upper(), f'"${who}"' if who else "''"]
    words.append(_quoted(request.target))
    words += [f"-H {_quoted(f'{name}: {value}')}" for name, value in request.headers.items()]
    if request.method == "head":
        words.append("-I")
    typed = any(name.lower() == "content-type" for name in request.headers)
    if request.raw is not None:
        yield _file(request.raw)
        words += ['--data-binary "@$sent"', *([] if typed else ["-H 'Content-Type:'"])]
    elif request.body is not None:
        body = _NUMBER.sub(_unquoted, json.dumps(request.body))
        words += ["-H 'Content-Type: application/json'", f"--data-raw {_quoted(body)}"]
    yield "ask " + " ".join(words)


def _file(raw: bytes) -> str:
    """The line that writes bytes, with identifiers in them, into the file that is sent."""
    parts = []
    for index, part in enumerate(_PLACE.split(raw.decode("latin-1"))):
        if index % 2:
            parts.append(f'printf %s "${part}"')
        elif part:
            parts.append("printf '" + "".join(f"\\{ord(sign):03o}" for sign in part) + "'")
    return f'{{ {"; ".join(parts) or ":"}; }} > "$sent"'


def _unquoted(found: "re.Match[str]") -> str:
    return f"zq{found[1]}qz"


def _quoted(text: str) -> str:
    """A text as one word for the shell, with the variables that its places stand for."""
    words = []
    for index, part in enumerate(_PLACE.split(text)):
        if index % 2:
            words.append(f'"${{{part}}}"')
        elif part:
            words.append(shlex.quote(part))
    return "".join(words) or "''"


def _joined(path: Path) -> str:
    return "".join(f"/{part}" for part in path)


def _line(text: str) -> str:
    """A text on one line of a comment."""
    return " ".join(plain(text).split())[:COMMENT]
