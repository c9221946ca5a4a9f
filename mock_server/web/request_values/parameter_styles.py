"""Split the decoded texts of parameters by their style (OpenAPI's table of styles, after RFC 6570).

Texts are decoded before they are split, since clients percent-encode the separators too: an item cannot contain the
separator of its style.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

_SEPARATORS: Mapping[str, str] = {"spaceDelimited": " ", "pipeDelimited": "|"}


def remove_prefix(text: str, style: str, name: str) -> str:
    """Remove what the styles `label` and `matrix` put before the value of a path parameter."""
    if style == "label":
        return text.removeprefix(".")
    if style == "matrix":
        return text.removeprefix(f";{name}").removeprefix("=")
    return text


def split_array(text: str, style: str, name: str, *, explode: bool) -> list[str]:
    """Split the text of an array. In the query and in cookies, an exploded array has one text for each item."""
    if style == "matrix" and explode:
        return [item.removeprefix(name).removeprefix("=") for item in text.removeprefix(";").split(";")]
    return remove_prefix(text, style, name).split(_get_separator(style, explode=explode))


def split_object(text: str, style: str, name: str, *, explode: bool) -> dict[str, str] | None:
    """Split the text of an object into its properties; None if it has another form."""
    if explode:
        text = text.removeprefix(";") if style == "matrix" else remove_prefix(text, style, name)
        separator = ";" if style == "matrix" else _get_separator(style, explode=True)
        pairs = [part.partition("=") for part in text.split(separator)]
        return {key: value for key, _, value in pairs} if all(equals for _, equals, _ in pairs) else None
    parts = remove_prefix(text, style, name).split(_get_separator(style, explode=False))
    return None if len(parts) % 2 else dict(list(pairwise(parts))[::2])


def _get_separator(style: str, *, explode: bool) -> str:
    return "." if style == "label" and explode else _SEPARATORS.get(style, ",")


def iter_cookies(header: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of each cookie of a header as sent."""
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        if equals:
            yield name.strip(), value.strip()


def split_exploded_cookies(cookies: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of exploded cookies, whose style `form` joins pairs by ``&``: ``ids=1&ids=2``."""
    for name, value in cookies:
        first, *others = value.split("&")
        yield name, first
        for pair in others:
            other_name, _, other_value = pair.partition("=")
            yield other_name, other_value
