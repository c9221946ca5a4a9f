"""A client of the console that behaves as a browser without scripts: it reads pages and submits forms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode

from tests.asgi import Client, Reply
from tests.mock_server.controlled_mock import ControlledMock

ORIGIN = "http://localhost:8000"
FORM_HEADERS = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN, "sec-fetch-site": "same-origin"}
VOID_ELEMENTS = frozenset({"input", "meta", "link", "br", "hr", "img"})


class HtmlPage(HTMLParser):
    """A parsed page.

    `elements`: name and attributes. `text`: with single spaces. `alerts`: the lines of the alert. `fields`: what the
    forms of the page send, without buttons.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, Mapping[str, str]]] = []
        self.open_elements: list[str] = []
        self.alerts: list[str] = []
        self._texts: list[str] = []
        self._alert_depth = 0
        self.fields: dict[str, str] = {}
        self._field = ""
        self._is_chosen = False
        self.feed(content.decode())
        self.close()
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        self._read_field(tag, attributes)
        if tag not in VOID_ELEMENTS:
            self.open_elements.append(tag)
        if ("role", "alert") in attrs:
            self._alert_depth = len(self.open_elements)

    def _read_field(self, tag: str, attributes: Mapping[str, str]) -> None:
        is_unchecked = attributes.get("type") == "checkbox" and "checked" not in attributes
        if tag == "input" and "name" in attributes and not is_unchecked:
            self.fields[attributes["name"]] = attributes.get("value", "on")
        elif tag in ("select", "textarea"):
            self._field, self._is_chosen = attributes["name"], tag == "textarea"
        elif tag == "option":
            self._is_chosen = "selected" in attributes or self._field not in self.fields
            if self._field and self._is_chosen and "value" in attributes:
                self.fields[self._field], self._is_chosen = attributes["value"], False

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open_elements[-1], f"</{tag}> closes <{self.open_elements[-1]}>"
        if len(self.open_elements) == self._alert_depth:
            self._alert_depth = 0
        self.open_elements.pop()
        if tag in ("select", "textarea"):
            self.fields[self._field] = self.fields.get(self._field, "").removeprefix("\n")
            self._field = ""
        self._is_chosen = self._is_chosen and tag != "option"

    def handle_data(self, data: str) -> None:
        if self._field and self._is_chosen:
            is_option = self.open_elements[-1] == "option"
            self.fields[self._field] = data if is_option else self.fields.get(self._field, "") + data
        self._texts.append(data)
        if self._alert_depth and data.strip():
            self.alerts.append(data.strip())

    def list_attributes(self, tag: str, name: str) -> list[str]:
        """Return the values of an attribute, of all elements with a name."""
        return [attributes[name] for element, attributes in self.elements if element == tag and name in attributes]


@dataclass(frozen=True, slots=True)
class BrowserClient:
    """Sends requests to the console of a mock. `headers`: sent with each one."""

    mock: ControlledMock
    headers: Mapping[str, str] = field(default_factory=dict)

    def get(self, path: str, **query: str) -> Reply:
        """Open a page below ``/__mock/``."""
        target = f"/__mock/{path}" + (f"?{urlencode(query)}" if query else "")
        return self._check(Client(self.mock.app, self.headers).request("GET", target))

    def post(self, path: str, fields: Mapping[str, str] | None = None, **headers: str) -> Reply:
        """Submit a form. Keyword arguments are headers, with underscores for hyphens."""
        all_headers = {**FORM_HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        client = Client(self.mock.app, self.headers)
        body = urlencode(fields or {}).encode()
        return self._check(client.request("POST", f"/__mock/{path}", body=body, headers=all_headers))

    def submit(self, path: str, **fields: str) -> HtmlPage:
        """Submit a form that succeeds, and open the page that it redirects to."""
        reply = self.post(path, fields)
        assert reply.status == 303, HtmlPage(reply.body).alerts
        return HtmlPage(self.get(reply.headers["location"].removeprefix("/__mock/")).body)

    def submit_invalid(self, path: str, **fields: str) -> HtmlPage:
        """Submit a form that is rejected."""
        reply = self.post(path, fields)
        assert 400 <= reply.status < 500, reply.status
        return HtmlPage(reply.body)

    def open(self, path: str, **query: str) -> HtmlPage:
        """Open a page that exists."""
        reply = self.get(path, **query)
        assert reply.status == 200, (reply.status, HtmlPage(reply.body).alerts)
        return HtmlPage(reply.body)

    def _check(self, reply: Reply) -> Reply:
        """Fail if the console has a defect."""
        assert reply.status < 500, self.mock.log.getvalue()
        assert b"Traceback" not in reply.body
        return reply
