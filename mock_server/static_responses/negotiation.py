"""Content negotiation (RFC 9110, section 12.5.1): chooses the media type of a response by the Accept header."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mock_server.static_responses.media_types import JSON_MEDIA_TYPE, get_concrete_type, is_json

_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?", re.ASCII)
# Separators are ignored within quoted strings.
_ELEMENT = re.compile(r'(?:"[^"]*"|[^,"])+')
_PARAMETER = re.compile(r'(?:"[^"]*"|[^;"])+')


@dataclass(frozen=True, slots=True)
class MediaRange:
    """A media range of an Accept header, such as ``text/*;q=0.5``.

    `name`: in lower case. `parameters`: without ``q``. `quality`: the value of ``q``, from 0 to 1.
    """

    name: str
    parameters: Mapping[str, str]
    quality: float

    def compute_specificity(self, essence: str, parameters: Mapping[str, str]) -> int | None:
        """Return how specific the range is for a media type; None if it does not include that type.

        `essence` and `parameters`: of the media type. Parameters of the range that the media type lacks are ignored.
        """
        names = (essence, f"{essence.partition('/')[0]}/*", "*/*", "*")
        if self.name not in names or any(parameters.get(k, v) != v for k, v in self.parameters.items()):
            return None
        return 10 * (len(names) - names.index(self.name)) + len(self.parameters.keys() & parameters.keys())


@lru_cache(1024)
def choose_media_type(accept: bytes | None, names: tuple[str, ...]) -> str | None:
    """Return the media type of `names` that the client prefers; JSON if it has no preference, None if it accepts none.

    `accept`: value of the Accept header; None without it. A client that accepts a vendor JSON type
    (``application/vnd.acme+json``) is also sent application/json, unless it excludes that with ``q=0``.
    """
    ordered = sorted(names, key=lambda name: not is_json(name))
    ranges = list(_parse_accept((accept or b"").decode("latin-1")))
    if not ranges:
        return ordered[0]
    qualities = {name: _find_quality(name, ranges) for name in ordered}
    best = max(ordered, key=lambda name: qualities[name] or 0.0)  # the first one if several are equal
    if qualities[best]:
        return best
    if any(media_range.quality and is_json(media_range.name) for media_range in ranges):
        return next((n for n in ordered if qualities[n] is None and get_concrete_type(n) == JSON_MEDIA_TYPE), None)
    return None


def _find_quality(name: str, ranges: Sequence[MediaRange]) -> float | None:
    """Return the quality of the most specific range that includes a media type; None if none does."""
    _, parameters = _parse_media_type(name)
    essence = get_concrete_type(name)
    best: tuple[int, float] | None = None
    for media_range in ranges:
        specificity = media_range.compute_specificity(essence, parameters)
        if specificity is not None and (best is None or specificity >= best[0]):
            best = specificity, media_range.quality
    return None if best is None else best[1]


def _parse_accept(accept: str) -> Iterator[MediaRange]:
    for element in _ELEMENT.findall(accept):
        name, parameters = _parse_media_type(element)
        if name:
            quality = _parse_quality(parameters.pop("q", "1"))
            yield MediaRange(name, parameters, quality)


def _parse_media_type(text: str) -> tuple[str, dict[str, str]]:
    """Return a media type or range in lower case, and its parameters without quotes."""
    name, *parts = _PARAMETER.findall(text) or [""]
    parameters: dict[str, str] = {}
    for part in parts:
        key, _, value = part.partition("=")
        parameters.setdefault(key.strip().lower(), value.strip().strip('"').lower())
    return name.strip().lower(), parameters


def _parse_quality(text: str) -> float:
    """Return a quality from 0 to 1; 1 for an invalid text, but 0 if it consists of zeros only."""
    return min(float(text), 1.0) if _QUALITY.fullmatch(text) else float(text.strip("0.") != "")
