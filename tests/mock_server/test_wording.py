"""What a text is about, and what it is called: for people's own questions and wishes, and for anything else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.actions.wording import gerund, keywords, purpose, title, topic


@pytest.mark.parametrize(
    ("text", "kind", "phrase"),
    [
        ("Where is my order?", "place", "your order"),
        ("When will my parcel arrive?", "place", "your parcel"),
        ("How do I change my delivery address?", "how", "changing your delivery address"),
        ("Can you summarise the notes for my boss?", "task", "summarising the notes for your boss"),
        ("I want to cancel my plan because it is too dear", "task", "cancelling your plan"),
        ("What is our refund policy?", "fact", "your refund policy"),
        ("Why does the export fail?", "cause", "the export"),
        ("Hi there! Please draft a reply.", "task", "drafting a reply"),
        ("Hello", "greeting", "Hello"),
        ("Wo ist mein Paket?", "other", "Wo ist mein Paket"),
        ("", "other", "this"),
    ],
)  # fmt: skip
def test_a_question_is_about_something_told_to_who_asked(text: str, kind: str, phrase: str) -> None:
    found = topic(text)
    assert (found.kind, found.phrase) == (kind, phrase)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Where is my order?", "Where is my order?"),
        ("Hello, how do I change the delivery address of an order that has left?", "Change the delivery address"),
        ("invoices from last winter are missing", "Invoices from last winter are missing"),
        ("Please summarise this", "Summarise this"),
        ("?!", ""),
    ],
)
def test_a_title_is_short_and_in_the_texts_own_words(text: str, name: str) -> None:
    assert title(text) == name


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("Greet each new customer by mail", "New Customer"),
        ("A bot that replies to questions about invoices", "Invoices"),
        ("Every Monday collect the open tickets and email a summary", "Open Tickets"),
        ("customer onboarding", "Customer Onboarding"),
        ("!!", "Everyday"),
    ],
)
def test_a_wish_is_named_by_what_it_is_about(wish: str, name: str) -> None:
    assert keywords(purpose(wish)) == name


@pytest.mark.parametrize(
    ("verb", "noun"),
    [("write", "writing"), ("get", "getting"), ("draft", "drafting"), ("see", "seeing"), ("be", "being")],
)  # fmt: skip
def test_a_verb_becomes_a_noun(verb: str, noun: str) -> None:
    assert gerund(verb) == noun


@given(st.text())
def test_any_text_is_about_something(text: str) -> None:
    assert 0 < len(topic(text).phrase) <= 120
    assert len(title(text)) <= 121
    assert 0 < len(keywords(purpose(text))) <= 80


@pytest.mark.parametrize("piece", ["-", "so ", "please,", "an agent ", "that ", "when ", "a-", "why does ", "@", "' "])
def test_a_long_text_takes_no_longer(piece: str) -> None:
    started = time.process_time()
    for read in (topic, purpose, title):
        read(piece * 100_000)
    assert time.process_time() - started < 0.5
