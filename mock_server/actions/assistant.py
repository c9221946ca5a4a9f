"""What the mock says where the real backend asks a language model: believable, and a function of its question alone."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mock_server.actions.wording import topic

_PLACEHOLDER = re.compile(r"\{\{([^{}]+)\}\}")  # linear: a prompt may be 100,000 braces and blanks
_PLAIN = ({"kind": "other", "opening": "You asked about {subject}.", "middle": "", "closing": "Shall I go on?"},)


def pick(options: Sequence[Any], *of: object) -> Any:
    """One of `options`, always the same for the same `of`."""
    digest = hashlib.sha256("\0".join(map(str, of)).encode("utf-8", "replace")).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


def answer(
    phrases: Mapping[str, Sequence[Mapping[str, str]]], question: str, agent: Mapping[str, Any] | None, turn: int
) -> str:
    """An assistant's answer to a question.

    `phrases`: ``answers`` (kind of question, opening, middle, closing) as the dataset's texts give them. `agent`: the
    agent's own properties: what it is and what it aims at shape the answer. `turn`: how many messages stand before, so
    that a repeated question is not answered by the same words.
    """
    about = topic(question)
    frames = phrases.get("answers") or _PLAIN
    fitting = [frame for frame in frames if frame["kind"] == about.kind] or frames
    frame, last = pick(fitting, question, turn), pick(fitting, "closing", question, turn)
    metadata = (agent or {}).get("metadata") or {}
    opening, character = frame["opening"], _character(metadata, question, turn)
    if about.kind == "greeting":
        opening, character = metadata.get("greetings") or opening, ""
    long = about.kind == "other" and len(about.words) > 3  # a whole sentence, not a name for something
    subject = f"“{about.phrase}”" if long else about.phrase
    parts = [opening, frame["middle"], character, last["closing"]]
    return " ".join(said.replace("{subject}", subject) for said in parts if said)


def _character(metadata: Mapping[str, Any], *of: object) -> str:
    """One sentence by which an agent is known: its aim in its role, or a rule that it keeps."""
    role, goal, rule = (_sentence(metadata.get(name)) for name in ("role", "goal_statement", "guardrails"))
    said = []
    if role and goal:
        said.append(f"My aim as {'an' if role[0] in 'aeiouAEIOU' else 'a'} {_lower(role)}: {_lower(goal)}.")
    if rule:
        said.append(f"One rule I keep to: {_lower(rule)}.")
    return str(pick(said, *of)) if said else ""


def _sentence(text: Any) -> str:
    """The first sentence of a text, without its full stop; nothing of what is no text."""
    return text[:500].split(". ")[0].strip().rstrip(".") if isinstance(text, str) else ""


def _lower(text: str) -> str:
    """A text as it stands within a sentence: its capital words small, but not abbreviations."""
    return " ".join(word.lower() if word.istitle() else word for word in text.split(" "))


def tokens(*texts: str) -> int:
    """About how many tokens texts have: four characters each."""
    return sum(-(-len(text) // 4) for text in texts)


def filled(template: str, variables: Mapping[str, Any]) -> str:
    """A prompt with its ``{{placeholders}}`` replaced; those without a value keep their name."""

    def value(found: re.Match[str]) -> str:
        name = found[1].strip()
        return str(variables.get(name, name))

    return _PLACEHOLDER.sub(value, template)
