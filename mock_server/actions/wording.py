"""What an English text is about, in its own words; of any other language, its first words.

Nothing here understands: openings that people use are left out, and what stands after them is turned to the reader.
Every function is linear in its text and looks at the first thousand characters only.
"""

import re
from dataclasses import dataclass

LOOKED_AT = 1000
_COMMON = """
    add analyse analyze answer approve ask assign book build call cancel change check classify collect compare convert
    create delete draft edit email escalate explain export extract fetch file find fix flag forward get greet handle
    help import inform install invite list look mail make manage monitor move notify order plan post prepare publish
    qualify read remind remove rename reply report reset respond review route run save schedule screen search send set
    sort start stop store suggest sum summarise summarize support sync teach tell test track train translate triage
    update upload use verify watch welcome write
"""
_VERBS = frozenset(_COMMON.split())
_DETERMINERS = frozenset(("a", "an", "the", "my", "our", "your", "each", "every", "all", "any", "new", "this", "these"))
_BETWEEN = """
    about after again also am and are as at be been before but by can could did do does for from had has have he her
    him his how i if in into is it its me no not of on or out she should so some than that their them then there they
    those to too up us very was we were what when where which who why will with would you
"""
_SMALL = _DETERMINERS | frozenset(_BETWEEN.split())
_VAGUE = frozenset(("customers", "help", "people", "question", "questions", "requests", "things", "users"))
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
_WORDS = re.compile(r"[\w'\u2019@#&/-]*\w", re.UNICODE)
_NEXT = rf"and(?: then)?\b(?= (?:{'|'.join(sorted(_VERBS))})\b)"
_CLAUSE = re.compile(rf"[,;:]|\b(?:because|since|so that|but|while|{_NEXT})", re.IGNORECASE)
_GREETINGS = r"(?:hi|hello|hey)(?: there)?|dear \w+|good (?:morning|day|evening)"
_COURTESY = re.compile(rf"(?:(?:{_GREETINGS}|thanks|thank you|please|so|and|ok|okay|well)\b[\s,:-]*)+", re.IGNORECASE)
# The occasion on which something is to be done, where a wish begins with it.
_OCCASION = re.compile(
    r"(?:when|whenever|once|if|as soon as)\b[^,.]{1,200},\s*|(?:(?:every|each) [\w-]+|daily|weekly|monthly)\b,?\s*",
    re.IGNORECASE,
)
# How a text begins -> what kind of thing is wanted. After `how` and `task` a verb follows.
_OPENINGS = tuple(
    (kind, re.compile(rf"(?:{words})\b[\s,:]*", re.IGNORECASE))
    for kind, words in (
        ("how", r"how (?:do|can|could|should|would|may|must) (?:i|we|you|one)|how to"),
        ("task", r"(?:can|could|would|will) you(?: please)?(?: help (?:me|us))?(?: to)?|help (?:me|us)(?: to)?"),
        ("task", r"(?:i|we)(?: would|'d)? (?:want|need|like|have) (?:you )?to|i am trying to|let us|let's"),
        ("place", r"(?:where|when|who|which)(?: (?:is|are|was|were|do|does|did|can|will))?(?: (?:i|we))?"),
        ("cause", r"why(?: (?:is|are|was|were|do|does|did|can|can't|cannot|won't))?(?: (?:i|we))?"),
        ("fact", r"(?:what|what's)(?: (?:is|are|was|were|about|does|do))?|tell (?:me|us) (?:about|more about)"),
        ("fact", r"(?:is|are|does|do|did|has|have) (?:there|it|this|that|you)|do you (?:know|have)"),
    )
)
_INVERTED = re.compile(r"^wh.* (?:do|does|did|can|can't|cannot|will|won't)\b", re.IGNORECASE)
_PURPOSE = re.compile(
    r"(?:(?:i|we) (?:want|need|would like) )?(?:(?:create|make|build|generate|write) (?:me |us )?)?"
    r"(?:an?|the)? ?(?:[\w-]+ )?(?:agent|assistant|bot|helper|workflow|flow|automation)\b ?"
    r"(?:that|which|who|to|for|it should|which should|that should|,|:)*\s*",
    re.IGNORECASE,
)
_TURNED = {"i": "you", "me": "you", "my": "your", "mine": "yours", "our": "your", "us": "you", "we": "you", "am": "are"}


@dataclass(frozen=True, slots=True)
class Topic:
    """What a text is about. `kind`: how, task, place, cause, fact, greeting or other. `words`: those that say it."""

    kind: str
    words: tuple[str, ...]
    begins_with_verb: bool

    @property
    def phrase(self) -> str:
        """The topic to stand after "about": turned to the reader, a verb at its beginning as a noun."""
        said = [_TURNED.get(word.lower(), word) for word in _cut(self.words, 9)]
        if self.begins_with_verb and said:
            said[0] = gerund(said[0].lower())
        elif said and said[0].istitle() and said[0].lower() in _SMALL:
            said[0] = said[0].lower()
        return " ".join(said)[:120] or "this"


def topic(text: str) -> Topic:
    """What a question or a wish is about."""
    if _COURTESY.fullmatch(text[:LOOKED_AT].strip(" .!?\n")):
        return Topic("greeting", tuple(_WORDS.findall(text[:LOOKED_AT])), False)
    said = _begun(text)
    for kind, opening in _OPENINGS:
        found = opening.match(said)
        if found and found.end() < len(said):
            words = _clause(said[found.end() :])
            if words and _INVERTED.search(found[0]):
                words = words[: max(1, min(len(words) - 1, 3))]  # who or what, without what it does
            if words:
                return Topic(kind, words, kind in ("how", "task") and words[0].isascii())
    words = _clause(said)
    verb = _is_verb(words)
    return Topic("task" if verb else "other", words, verb)


def purpose(text: str) -> Topic:
    """What an agent or a workflow shall do, by the wish for it, whatever the occasion."""
    said = occasion(_begun(text))[1]
    found = _PURPOSE.match(said)
    words = _clause(said[found.end() :]) if found else ()
    if found is None or not words:
        return topic(said)
    first = _plain(words[0])
    known = _is_verb((first, *words[1:]))
    return Topic("task", (first, *words[1:]) if known else words, known)


def occasion(wish: str) -> tuple[str, str]:
    """(When something is to be done, what), as ``When a lead arrives, look it up``; no occasion: an empty text."""
    found = _OCCASION.match(wish)
    if found is None or found.end() == len(wish):
        return "", wish
    return found[0].strip(" ,")[:120], wish[found.end() :]


def step(clause: str, words: int = 8) -> str:
    """A part of a wish as the name of a step: ``mails the warehouse`` -> ``Mail the warehouse``."""
    first, _, rest = title(clause, words).rstrip("?").partition(" ")
    made = f"{_plain(first)} {rest}".strip()
    return made[:1].upper() + made[1:]


def title(text: str, words: int = 6) -> str:
    """A short title of a text: a short question as it is, else what it is about."""
    said = _begun(text)
    found = _WORDS.findall(said)
    if len(found) > words:
        found = list(_cut(topic(text).words, words))
    elif said.endswith("?"):
        found = [*found[:-1], f"{found[-1]}?"] if found else []
    made = " ".join(found)[:120]
    return made[:1].upper() + made[1:]


def keywords(about: Topic, most: int = 3) -> str:
    """The words that name a topic, as a name has them: ``New Customer``."""
    listed = about.words[1:] if about.begins_with_verb and len(about.words) > 1 else about.words
    runs: list[list[str]] = [[]]
    for word in listed:
        if word.lower() in _SMALL - {"new"}:
            runs.append([])
        else:
            runs[-1].append(word)
    for run in runs:  # in "help people plan" neither names anything
        if run and run[0].lower() in _VAGUE:
            del run[: 2 if len(run) > 1 and run[1].lower() in _VERBS else 1]
    named = [run[:most] for run in runs if run]
    chosen = (named or [list(about.words[:most]) or ["Everyday"]])[0]
    return " ".join(word[:1].upper() + word[1:] for word in chosen)[:80]


def gerund(verb: str) -> str:
    """``write`` -> ``writing``, ``get`` -> ``getting``."""
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")) and len(verb) > 2:
        return f"{verb[:-1]}ing"
    short = re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]|.*[^aeiou][aeiou]l", verb)
    return f"{verb}{verb[-1]}ing" if short else f"{verb}ing"


def _begun(text: str) -> str:
    """The first sentence that says something, without courtesies."""
    for found in _SENTENCE.finditer(text[:LOOKED_AT]):
        sentence = found[0].strip()
        courtesy = _COURTESY.match(sentence)
        said = sentence[courtesy.end() :] if courtesy else sentence
        if _WORDS.search(said):
            return said.strip()
    return text[:LOOKED_AT].strip()


def _clause(text: str) -> tuple[str, ...]:
    """The words of a text's first clause that has any."""
    return next((tuple(words) for part in _CLAUSE.split(text) if (words := _WORDS.findall(part))), ())


def _is_verb(words: tuple[str, ...]) -> bool:
    """Whether the first word is one that is done: a common one, or any before an article."""
    if not words or not words[0].isascii() or words[0].lower() in _SMALL:
        return False
    return words[0].lower() in _VERBS or (len(words) > 1 and words[1].lower() in _DETERMINERS)


def _plain(verb: str) -> str:
    """``replies`` -> ``reply``, ``writes`` -> ``write``: only what then is a common verb."""
    found = verb.lower()
    forms = (found.removesuffix("ies") + "y", found.removesuffix("es"), found.removesuffix("s"))
    return next((form for form in forms if form != found and form in _VERBS), verb)


def _cut(words: tuple[str, ...], most: int) -> tuple[str, ...]:
    """The first words, none left hanging at the end."""
    kept = list(words[:most])
    while len(kept) > 1 and len(words) > most and kept[-1].lower() in _SMALL:
        kept.pop()
    return tuple(kept)
