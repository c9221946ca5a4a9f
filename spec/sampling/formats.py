"""Generates texts of the formats that OpenAPI and JSON Schema define."""

import base64
import uuid
from collections.abc import Callable, Mapping
from random import Random

FormatFactory = Callable[[Random], str]

_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "islet", "larch", "maple", "north")


def _create_date(random: Random) -> str:
    return f"2026-{random.randint(1, 12):02}-{random.randint(1, 28):02}"


def _create_time(random: Random) -> str:
    return f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}Z"


def _create_name(random: Random) -> str:
    return f"{random.choice(_WORDS)}{random.randint(10, 99)}"


def _create_path(random: Random) -> str:
    return f"/{random.choice(_WORDS)}/{random.randint(1, 999)}"


def _create_uuid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


FORMAT_FACTORIES: Mapping[str, FormatFactory] = {
    "date-time": lambda random: f"{_create_date(random)}T{_create_time(random)}",
    "date": _create_date,
    "time": _create_time,
    "duration": lambda random: f"PT{random.randint(1, 59)}M",
    "email": lambda random: f"{_create_name(random)}@example.com",
    "idn-email": lambda random: f"{_create_name(random)}@example.com",
    "hostname": lambda random: f"{_create_name(random)}.example.com",
    "idn-hostname": lambda random: f"{_create_name(random)}.example.com",
    "ipv4": lambda random: f"192.0.2.{random.randint(1, 254)}",
    "ipv6": lambda random: f"2001:db8::{random.randint(1, 65535):x}",
    "uri": lambda random: f"https://example.com{_create_path(random)}",
    "url": lambda random: f"https://example.com{_create_path(random)}",
    "iri": lambda random: f"https://example.com{_create_path(random)}",
    "uri-reference": _create_path,
    "iri-reference": _create_path,
    "uri-template": lambda random: f"{_create_path(random)}/{{id}}",
    "json-pointer": _create_path,
    "relative-json-pointer": lambda random: str(random.randint(0, 9)),
    "regex": lambda random: f"^{random.choice(_WORDS)}$",
    "uuid": _create_uuid,
    "byte": lambda random: base64.b64encode(_create_name(random).encode()).decode(),
}
# The shortest texts, for a small maxLength.
SHORT_TEXTS: Mapping[str, str] = {
    "duration": "P1D",
    "email": "a@b.co",
    "idn-email": "a@b.co",
    "hostname": "a",
    "idn-hostname": "a",
    "ipv4": "1.1.1.1",
    "ipv6": "::",
    "uri": "a:b",
    "iri": "a:b",
    "uri-reference": "a",
    "iri-reference": "a",
    "uri-template": "a",
    "json-pointer": "/a",
    "regex": "a",
    "byte": "YQ==",
}
