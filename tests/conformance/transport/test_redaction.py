"""Redaction of secrets that a target returns in another form than it received them."""

import html
import json
from urllib.parse import quote

import pytest

from conformance.transport.redaction import REDACTED, Redactor

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
    "without its number": TOKEN.partition("|")[2].lower(),
}


@pytest.mark.parametrize("name", FORMS)
def test_secret_is_redacted_in_any_form(name: str) -> None:
    for text in (f"got {FORMS[name]} here", json.dumps({"message": f"<{FORMS[name]}>"})):
        redacted = [REDACTOR.text(text), REDACTOR.line(text), REDACTOR.body(text.encode())]
        for result in redacted:
            assert REDACTED in result
            assert "klmnop"[1:] not in result.lower().replace(" ", "").replace("\u200b", "")
            assert "".join(f"%{ord(char):02x}" for char in "lmn") not in result


@pytest.mark.parametrize(
    "text", ["ab3 def", "klmnop", "12|", "100 % of &amp; \\u0041", "a long text " * 100, "aB3-dEf_6hIj/klmno and more"]
)
def test_other_text_is_not_redacted(text: str) -> None:
    assert REDACTED not in REDACTOR.text(text, 10_000)


def test_named_value_is_redacted_in_a_body_that_is_not_json() -> None:
    for body in ('{"password": "canary", "password": "x"', '{"password": "canary', '{"Password" :"can\\"ary", [}'):
        text = REDACTOR.body(body.encode())
        assert "ary" not in text
        assert REDACTED in text
