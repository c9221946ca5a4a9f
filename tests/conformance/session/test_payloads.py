"""Values that the suite generates for request bodies."""

from random import Random

import pytest

from conformance.session.payloads import PayloadFactory
from tests.spec.contract_edits import load_edited_contract

MARKER = "conformance-0000aaaa"


@pytest.fixture
def payloads() -> PayloadFactory:
    return PayloadFactory(load_edited_contract("library"), MARKER, Random(0))


@pytest.mark.parametrize("max_length", [10, 20, 21, 25, 30, 60])
def test_texts_of_a_maximum_length_are_distinct(payloads: PayloadFactory, max_length: int) -> None:
    texts = [payloads.generate_value({"type": "string", "maxLength": max_length}, "label") for _ in range(20)]
    assert len(set(texts)) == len(texts)
    assert max(map(len, texts)) <= max_length


def test_text_contains_the_marker_if_it_has_room(payloads: PayloadFactory) -> None:
    assert MARKER in payloads.generate_value({"type": "string", "maxLength": 26}, "label")
