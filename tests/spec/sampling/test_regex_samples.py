"""Texts of regular expressions, checked with the engine of the validators."""

from random import Random

import pytest

from spec.document import Document
from spec.sampling.regex_samples import UnsupportedPattern, sample_text
from spec.validators import SchemaValidators

SCHEMAS = SchemaValidators.from_document(Document("test", b"", {}))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{3}-\d{4}$",
        r"^(foo|bar)+$",
        r"[a-f0-9]{8,}",
        r"^\w+@\w+\.\w{2,3}$",
        r"^(?:a|b)?c*d{2}$",
        r"^(?<year>\d{4})-(?<month>0[1-9]|1[0-2])$",
        r"^\p{Lu}\p{Ll}+$",
        r"^[^aeiou\s]{2,5}$",
        r"^\S+$",
        r"^[\w.-]+$",
        r"^[a\-z]$",
        r"^\u0041\x42$",
        r"^\t\/$",
        r"^$",
        r"^a{0}b$",
        r"^[\]a]+$",
        r"^\D\W\S$",
        r"^.{5}$",
        r"^x+?y*?$",
        r"",
    ],
)
def test_text_matches_the_pattern(pattern: str) -> None:
    for seed in range(20):
        text = sample_text(pattern, Random(seed))
        assert SCHEMAS.is_valid({"pattern": pattern}, text), text


@pytest.mark.parametrize("pattern", ["(", "[a", "a)", "(?i)a", "\\", "[^ -~]"])
def test_malformed_pattern_is_rejected(pattern: str) -> None:
    with pytest.raises(UnsupportedPattern):
        sample_text(pattern, Random(0))


def test_same_seed_returns_the_same_text() -> None:
    assert sample_text(r"\w{20}", Random(7)) == sample_text(r"\w{20}", Random(7))


def test_repetitions_are_limited() -> None:
    assert len(sample_text("^a{900000}$", Random(0))) == 1_000
