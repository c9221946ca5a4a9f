"""Attributes of a cookie in a header with several cookies."""

import pytest

from conformance.checks.access.sessions import find_cookie_attributes


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a=b; Path=/; HttpOnly, XSRF=1; Path=/; Expires=Wed, 01 Jan 2031 00:00:00 GMT; HttpOnly", True),
        ("XSRF=1; Path=/; Expires=Wed, 01 Jan 2031 00:00:00 GMT, session=2; HttpOnly", False),
        ("session=2; httponly, XSRF=1", False),
        ("session=XSRF=1; HttpOnly", None),
    ],
)
def test_attributes_of_one_cookie(header: str, expected: bool | None) -> None:
    attributes = find_cookie_attributes(header, "XSRF")
    assert (None if attributes is None else "httponly" in attributes) is expected
