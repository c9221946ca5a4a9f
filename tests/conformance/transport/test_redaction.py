"""Redaction of secrets that a target returns in another form than it received them."""

import html
import json
import time
from urllib.parse import quote

import pytest

from conformance.transport.messages import Exchange, Request, Response
from conformance.transport.redaction import Redactor
from spec.redaction import REDACTED

MAX_SECONDS = 5.0
TOKEN = "12|aB3-dEf_6hIj/klmnop"
REDACTOR = Redactor((TOKEN,), frozenset({"password"}))
FORMS = {
    "upper case": TOKEN.upper(),
    "swapped case": TOKEN.swapcase(),
    "percent-encoded": quote(TOKEN, safe=""),
    "every character percent-encoded": "".join(f"%{ord(char):02x}" for char in TOKEN),
    "percent-encoded twice": quote(quote(TOKEN.upper(), safe=""), safe=""),
    "decimal entities": "".join(f"&#{ord(char)};" for char in TOKEN),
    "hexadecimal entities": "".join(f"&#x{ord(char):X};" for char in TOKEN),
    "named entity": TOKEN.replace("|", "&vert;").replace("_", "&#95;"),
    "escaped entity": html.escape(TOKEN.replace("a", "&#97;")),
    "JSON escapes": "".join(f"\\u{ord(char):04X}" for char in TOKEN),
    "escaped JSON": json.dumps("".join(f"\\u{ord(char):04x}" for char in TOKEN)),
    "escaped slash": TOKEN.replace("/", "\\/"),
    "hexadecimal escapes": "".join(f"\\x{ord(char):02x}" for char in TOKEN),
    "split by a line end": f"{TOKEN[:9]}\r\n  {TOKEN[9:]}",
    "split by zero-width spaces": "\u200b".join(TOKEN),
    "split by spaces": " ".join(TOKEN.upper()),
    "split by hyphens": "-".join(TOKEN),
    "split by a dot": f"{TOKEN[:9]}.{TOKEN[9:]}",
    "split by underscores": f"{TOKEN[:4]}_{TOKEN[4:9]}__{TOKEN[9:]}",
    "split by a comma": f"{TOKEN[:9]}, {TOKEN[9:]}",
    "split by tags": f"{TOKEN[:9]}<wbr>{TOKEN[9:12]}</span><span class='x'>{TOKEN[12:]}",
    "without its number": TOKEN.partition("|")[2].lower(),
}


@pytest.mark.parametrize("name", FORMS)
def test_secret_is_redacted_in_any_form(name: str) -> None:
    for text in (f"got {FORMS[name]} here", json.dumps({"message": f"<{FORMS[name]}>"})):
        redacted = [REDACTOR.redact_text(text), REDACTOR.redact_line(text), REDACTOR.redact_body(text.encode())]
        for result in redacted:
            assert REDACTED in result
            assert "klmnop"[1:] not in result.lower().replace(" ", "").replace("\u200b", "")
            assert "".join(f"%{ord(char):02x}" for char in "lmn") not in result


@pytest.mark.parametrize(
    "text", ["ab3 def", "klmnop", "12|", "100 % of &amp; \\u0041", "a long text " * 100, "aB3-dEf_6hIj/kl and more"]
)
def test_other_text_is_not_redacted(text: str) -> None:
    assert REDACTED not in REDACTOR.redact_text(text, 10_000)


@pytest.mark.parametrize("length", range(16, len(TOKEN.partition("|")[2])))
def test_start_of_a_secret_is_redacted(length: int) -> None:
    start = TOKEN.partition("|")[2][:length]
    assert REDACTOR.redact_text(f"got {start}... here") == f"got {REDACTED}... here"
    assert REDACTOR.redact_text(f"got {start.upper()}") == f"got {REDACTED}"


def test_other_token_with_the_same_start_is_redacted_completely() -> None:
    own, other = (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI{name}.c2lnbmF0dXJl" for name in ("xMjM0In0", "5ODc2In0"))
    assert Redactor((own,), frozenset()).redact_text(f"got {other} here") == f"got {REDACTED} here"


def test_many_separators_do_not_make_redaction_slow() -> None:
    redactor = Redactor(("a-_.,-_.,-_.,-_.,-_.,b",), frozenset())
    start = time.monotonic()
    for text in ("a" + "-" * 50_000, "a-" * 25_000, "a" + " " * 50_000, "a" + "<b>" * 15_000, "a-_.," * 10_000):
        redactor.redact_text(text)
    assert time.monotonic() - start < MAX_SECONDS


def test_named_value_is_redacted_in_a_body_that_is_not_json() -> None:
    for body in ('{"password": "canary", "password": "x"', '{"password": "canary', '{"Password" :"can\\"ary", [}'):
        text = REDACTOR.redact_body(body.encode())
        assert "ary" not in text
        assert REDACTED in text


def test_messages_about_a_secret_field_are_not_redacted() -> None:
    body = {"errors": {"password": ["The password field is required."], "user": {"password": ["Too short."]}}}
    assert REDACTOR.redact_value(body) == body
    assert json.loads(REDACTOR.redact_body(json.dumps(body).encode())) == body


@pytest.mark.parametrize(
    "body",
    [
        {"password": ["hidden-1"]},
        {"password": 12345678},
        {"password": {"value": "hidden-1"}},
        {"errors": {"password": "hidden-1"}},
        {"errors": {"password": [{"received": "hidden-1"}]}},
        {"errors": {"password": [f"not valid: {TOKEN}"]}},
    ],
)
def test_values_of_a_secret_field_are_redacted(body: dict[str, object]) -> None:
    for text in (json.dumps(REDACTOR.redact_value(body)), REDACTOR.redact_body(json.dumps(body).encode())):
        assert REDACTED in text
        assert "hidden-1" not in text
        assert "12345678" not in text
        assert "klmnop" not in text


def test_secret_that_the_run_generated_hides_no_other_text_of_the_run() -> None:
    body = {"password": "conformance-0123abcd password 1", "other": {"password": "secret of the target"}}
    exchange = Exchange(Request("createAccount", "post", "/accounts", body=body), Response(204, {}, b"", 0.0))
    redactor = REDACTOR.with_values_from([exchange])
    assert redactor.redact_line("name: conformance-0123abcd name 2") == "name: conformance-0123abcd name 2"
    assert redactor.redact_line("a secret of the target") == f"a {REDACTED}"
    assert REDACTED in redactor.redact_body(json.dumps(body).encode())
