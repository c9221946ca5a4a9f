"""Canned text in place of a language model's output, chosen deterministically."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_TITLE_CHARS = 60
MAX_PROMPT_CHARS = 2_000_000
_PLACEHOLDER_PATTERN = re.compile(r"\{\{([^{}]+)\}\}")  # matches in linear time


def pick(options: Sequence[Any], *key: object) -> Any:
    """Choose one of `options`; the same `key` always chooses the same one."""
    digest = hashlib.sha256("\0".join(map(str, key)).encode("utf-8", "replace")).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


def compose_answer(
    answers: Sequence[Mapping[str, str]], question: str, agent: Mapping[str, Any] | None, turn: int
) -> str:
    """Compose an assistant's answer to a question, which is not parsed.

    Opening, middle and closing are chosen independently from `answers`. The role, goal and guardrails of the `agent`
    add a sentence. `turn`: the number of messages in the thread, so that a repeated question gets another answer.
    """
    agent = agent or {}
    key = (question, agent.get("name"), turn)
    opening, middle, closing = (pick(answers, part, *key)[part] for part in ("opening", "middle", "closing"))
    parts = (opening, middle, _compose_character(agent.get("metadata") or {}, *key), closing)
    return " ".join(part for part in parts if part)


def _compose_character(metadata: Mapping[str, Any], *key: object) -> str:
    """Return a sentence about the agent's goal or one of its guardrails; empty if it has neither."""
    role, goal, rule = (_first_sentence(metadata.get(name)) for name in ("role", "goal_statement", "guardrails"))
    sentences = []
    if role and goal:
        article = "an" if role[0] in "aeiouAEIOU" else "a"
        sentences.append(f"My aim as {article} {_lower_capitalized(role)}: {_lower_capitalized(goal)}.")
    if rule:
        sentences.append(f"One rule I follow: {_lower_capitalized(rule)}.")
    return str(pick(sentences, *key)) if sentences else ""


def _first_sentence(text: Any) -> str:
    """Return the first sentence of a text without its full stop; empty for a value that is not a string."""
    return text[:500].split(". ")[0].strip().rstrip(".") if isinstance(text, str) else ""


def _lower_capitalized(text: str) -> str:
    """Convert the capitalized words of a text to lower case, but not its abbreviations."""
    return " ".join(word.lower() if word.istitle() else word for word in text.split(" "))


def shorten_title(text: str) -> str:
    """Shorten a message to a thread title: one line that ends at a word boundary; empty for a blank message."""
    line = " ".join(text.split())
    if len(line) <= MAX_TITLE_CHARS:
        return line
    prefix = line[:MAX_TITLE_CHARS]
    return (prefix.rpartition(" ")[0] or prefix[:-1]) + "…"


def estimate_tokens(*texts: str) -> int:
    """Estimate the number of tokens in texts: one per four characters."""
    return sum(-(-len(text) // 4) for text in texts)


def fill_placeholders(template: str, variables: Mapping[str, Any]) -> str | None:
    """Replace the ``{{placeholders}}`` of a prompt; one without a value is replaced by its name.

    Returns None if the text would have more than MAX_PROMPT_CHARS.
    """
    texts = {name: str(value) for name, value in variables.items()}
    names = [match[1].strip() for match in _PLACEHOLDER_PATTERN.finditer(template)]
    if len(template) + sum(len(texts.get(name, name)) for name in names) > MAX_PROMPT_CHARS:
        return None
    return _PLACEHOLDER_PATTERN.sub(lambda match: texts.get(match[1].strip(), match[1].strip()), template)
