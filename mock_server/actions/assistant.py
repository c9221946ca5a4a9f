"""What the mock says where the real backend asks a language model: believable, and a function of its question alone."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

_WORDS = re.compile(r"\w[\w'-]*", re.UNICODE)
_PLACEHOLDER = re.compile(r"\{\{([^{}]+)\}\}")  # linear: a prompt may be 100,000 braces and blanks


def pick(options: Sequence[Any], *of: object) -> Any:
    """One of `options`, always the same for the same `of`."""
    digest = hashlib.sha256("\0".join(map(str, of)).encode("utf-8", "replace")).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


def subject(text: str, words: int = 8) -> str:
    """What a text is about, in a few of its own words: at most 120 characters."""
    found = _WORDS.findall(text[:1000])
    return " ".join(found[:words])[:120].strip() or "this"


def answer(
    phrases: Mapping[str, Sequence[Mapping[str, str]]], question: str, agent: Mapping[str, Any] | None, turn: int
) -> str:
    """An assistant's answer to a question.

    `phrases`: ``answers`` (opening, closing) as the dataset's texts give them. `agent`: the agent's own properties;
    its metadata shape the middle. `turn`: how many messages stand before, so that a repeated question is not echoed.
    """
    frames = phrases.get("answers") or [{"opening": "You asked about {subject}.", "closing": "Shall I go on?"}]
    frame = pick(frames, question, turn)
    metadata = (agent or {}).get("metadata") or {}
    middles = [
        metadata.get("base_instructions"),
        metadata.get("goal_statement"),
        (agent or {}).get("description"),
    ]
    said = [m for m in middles if isinstance(m, str) and m]
    name = (agent or {}).get("name")
    middle = f"As {name}, I work by this: {pick(said, question)}" if said and name else ""
    about = subject(question)
    parts = [frame["opening"].replace("{subject}", f"“{about}”"), middle, frame["closing"].replace("{subject}", about)]
    return " ".join(part for part in parts if part)


def tokens(*texts: str) -> int:
    """About how many tokens texts have: four characters each."""
    return sum(-(-len(text) // 4) for text in texts)


def filled(template: str, variables: Mapping[str, Any]) -> str:
    """A prompt with its ``{{placeholders}}`` replaced; those without a value keep their name."""

    def value(found: re.Match[str]) -> str:
        name = found[1].strip()
        return str(variables.get(name, name))

    return _PLACEHOLDER.sub(value, template)


def title(text: str, words: int = 6) -> str:
    """A short title of a text."""
    said = subject(text, words)
    return said[:1].upper() + said[1:]
