"""A small server whose contract declares headers: Location, ETag, Idempotency-Key, totals, links and media types.

`BUGS` are the faults that it can have, one at a time. It runs several requests at once, as a database with two
statements does: it reads, waits and writes.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract

CONTRACT = """
openapi: 3.0.3
info: {title: Articles, version: 1.0.0, x-source: documented}
servers: [{url: https://localhost/api}]
security: [{bearer: []}]
paths:
  /articles:
    get:
      operationId: listArticles
      parameters:
        - {name: page, in: query, schema: {type: integer, minimum: 1, maximum: 100000, default: 1}, x-query: page}
        - {name: per_page, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 20}, x-query: size}
      responses:
        "200":
          description: A page
          headers:
            X-Total-Count: {schema: {type: integer}}
            Link: {required: true, schema: {type: string}}
          content:
            application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Article"}}}
        "401": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Error"}
    post:
      operationId: createArticle
      parameters: [{name: Idempotency-Key, in: header, schema: {type: string, format: uuid}}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/ArticleInput"}}}}
      responses:
        "201":
          description: The created article
          headers: {Location: {required: true, schema: {type: string, format: uri-reference}}}
          content: {application/json: {schema: {$ref: "#/components/schemas/Article"}}}
        "401": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Error"}
  /articles/longest:
    get:
      operationId: listLongestArticles
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 10}}
      responses:
        "200":
          description: Articles with the longest texts
          content:
            application/json: {schema: {type: array, items: {$ref: "#/components/schemas/ArticleLength"}}}
        "401": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Error"}
  /articles/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer, minimum: 1}}]
    get:
      operationId: retrieveArticle
      parameters: [{name: If-None-Match, in: header, schema: {type: string}}]
      responses:
        "200":
          description: An article
          headers: {ETag: {required: true, schema: {type: string}}}
          content:
            application/json; charset=utf-8: {schema: {$ref: "#/components/schemas/Article"}}
            text/plain: {schema: {type: string}}
        "304": {description: Not modified}
        "401": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
        "406": {$ref: "#/components/responses/Error"}
    patch:
      operationId: updateArticle
      parameters: [{name: If-Match, in: header, schema: {type: string}}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/ArticleUpdate"}}}}
      responses:
        "200": {description: An article, content: {application/json: {schema: {$ref: "#/components/schemas/Article"}}}}
        "401": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
        "412": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Error"}
    delete:
      operationId: deleteArticle
      responses:
        "204": {description: Deleted}
        "401": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  responses:
    Error:
      description: An error
      content:
        application/json: {schema: {type: object, required: [message], properties: {message: {type: string}}}}
  schemas:
    Article:
      type: object
      x-resource: {collection: articles, key: id}
      required: [id, title, text]
      properties:
        id: {type: integer, minimum: 1, readOnly: true, x-stamp: number}
        title: {type: string, minLength: 1, maxLength: 200}
        text: {type: string, maxLength: 200, default: ""}
    ArticleLength:
      type: object
      required: [title, length]
      properties:
        title: {type: string, maxLength: 200}
        length: {type: integer, minimum: 0}
    ArticleInput:
      type: object
      additionalProperties: false
      required: [title]
      properties:
        title: {type: string, minLength: 1, maxLength: 200}
        text: {type: string, maxLength: 200}
    ArticleUpdate:
      type: object
      additionalProperties: false
      properties:
        title: {type: string, minLength: 1, maxLength: 200}
        text: {type: string, maxLength: 200}
"""
# Fault -> (check, operation) that finds it.
BUGS: Mapping[str, tuple[str, str]] = {
    "location of another record": ("location-resolves", "createArticle"),
    "no location": ("location-resolves", "createArticle"),
    "location without the base path": ("location-resolves", "createArticle"),
    "etag without quotes": ("etag-is-valid", "retrieveArticle"),
    "etag ignored": ("etag-is-valid", "retrieveArticle"),
    "every etag matches": ("etag-is-valid", "retrieveArticle"),
    "etag of the key": ("etag-follows-updates", "updateArticle"),
    "if-match ignored": ("stale-if-match-is-412", "updateArticle"),
    "stored before if-match": ("stale-if-match-is-412", "updateArticle"),
    "every if-match refused": ("stale-if-match-is-412", "updateArticle"),
    "idempotency key ignored": ("idempotency-key-is-honoured", "createArticle"),
    "idempotency by token": ("idempotency-key-is-honoured", "createArticle"),
    "total of the page": ("total-header-matches-body", "listArticles"),
    "link to the same page": ("link-header-reaches-all-pages", "listArticles"),
    "no link": ("link-header-reaches-all-pages", "listArticles"),
    "link without the size": ("link-header-reaches-all-pages", "listArticles"),
    "accept ignored": ("accept-is-honoured", "retrieveArticle"),
    "never 406": ("accept-is-honoured", "retrieveArticle"),
    "charset latin-1": ("charset-matches-contract", "retrieveArticle"),
    "limited before sorting": ("limit-keeps-the-first-rows", "listLongestArticles"),
    "unknown property accepted": ("unknown-property-is-refused", "createArticle"),
}
TOKENS = frozenset({"demo-token", "other-token"})
WRITE_SECONDS = 0.02  # between the statements of a request, if there is a race


def load_contract() -> Contract:
    return parse_contract(parse_document(CONTRACT.encode(), "articles.yaml"))


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"message": message}, status, headers=dict(headers or {}))


@dataclass(slots=True)
class ArticlesServer:
    """The server, an ASGI application. `bug`: one of `BUGS`, or a race (`RACES`)."""

    bug: str = ""
    contract: Contract = field(default_factory=load_contract)
    articles: dict[int, dict[str, Any]] = field(default_factory=dict)
    responses_by_key: dict[str, Response] = field(default_factory=dict)
    request_count: int = 0
    _last_key: int = 0

    def __post_init__(self) -> None:
        for number in range(4):
            self._insert(self._next_key(), {"title": f"Article {number}", "text": "x" * number})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request_count += 1
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        _, collection, *keys = request.scope["path"].removeprefix("/api").split("/")
        if collection != "articles" or len(keys) > 1:
            return error(404, "No such path.")
        methods = ("GET", "PATCH", "DELETE") if keys else ("GET", "POST")
        if request.method not in methods:
            return error(405, "No such method.", {"allow": ", ".join(methods)})
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in TOKENS:
            return error(401, "Unauthenticated.", {"www-authenticate": "Bearer"})
        if keys == ["longest"]:
            return self._list_longest(request) if request.method == "GET" else error(405, "No such method.")
        if keys:
            return await self._answer_record(request, keys[0])
        return await self._create(request) if request.method == "POST" else await self._list(request)

    # Collection

    async def _create(self, request: Request) -> Response:
        sent = await self._read(request)
        if sent is None or "title" not in sent:
            return error(422, "Invalid.")
        key = request.headers.get("idempotency-key", "")
        if self.bug == "idempotency by token" and key:
            key = request.headers["authorization"]
        if key in self.responses_by_key and self.bug != "idempotency key ignored":
            return self.responses_by_key[key]
        article_key = self._last_key + 1 if self.bug == "same key twice" else self._next_key()
        if self.bug == "same key twice":
            await asyncio.sleep(WRITE_SECONDS)
            self._last_key = article_key
        article = self._insert(article_key, sent)
        location = f"/api/articles/{article['id']}"
        changed = {
            "location of another record": "/api/articles/1",
            "location without the base path": f"/articles/{article['id']}",
        }
        headers = {} if self.bug == "no location" else {"location": changed.get(self.bug, location)}
        response = JSONResponse(article, 201, headers=headers)
        if key:
            self.responses_by_key[key] = response
        return response

    def _next_key(self) -> int:
        self._last_key += 1
        return self._last_key

    def _insert(self, key: int, sent: Mapping[str, Any]) -> dict[str, Any]:
        self.articles[key] = {"id": key, "title": "", "text": "", **_select(sent)}
        return self.articles[key]

    async def _list(self, request: Request) -> Response:
        numbers = {}
        for name, default, maximum in (("page", "1", 100_000), ("per_page", "20", 100)):
            text = request.query_params.get(name, default)
            if not (text.isascii() and text.isdigit() and 1 <= int(text) <= maximum):
                return error(422, f"{name} is invalid.")
            numbers[name] = int(text)
        page, size = numbers["page"], numbers["per_page"]
        keys = sorted(self.articles, reverse=True)
        if self.bug == "list reads twice":
            await asyncio.sleep(WRITE_SECONDS)
            if any(key not in self.articles for key in keys):
                return error(500, "Server error.")
        rows = [self.articles[key] for key in keys]
        shown = rows[(page - 1) * size : page * size]
        headers = {"X-Total-Count": str(len(shown) if self.bug == "total of the page" else len(rows))}
        links = ['</api/articles?page=1>; rel="first"']
        if page * size < len(rows):
            following = page if self.bug == "link to the same page" else page + 1
            query = f"page={following}" + ("" if self.bug == "link without the size" else f"&per_page={size}")
            links.append(f'</api/articles?{query}>; rel="next"')
        if self.bug != "no link":
            headers["Link"] = ", ".join(links)
        return JSONResponse(shown, headers=headers)

    def _list_longest(self, request: Request) -> Response:
        text = request.query_params.get("limit", "") or "10"
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
            return error(422, "limit is invalid.")
        articles = list(self.articles.values())
        if self.bug == "limited before sorting":
            articles = articles[: int(text)]
        rows = [{"title": article["title"], "length": len(article["text"])} for article in articles]
        rows.sort(key=lambda row: -row["length"])
        return JSONResponse(rows[: int(text)])

    # Record

    async def _answer_record(self, request: Request, key: str) -> Response:
        article = self.articles.get(int(key)) if key.isascii() and key.isdigit() else None
        if article is None:
            return error(404, "No such article.")
        if request.method == "DELETE":
            if self.bug == "delete twice":
                await asyncio.sleep(WRITE_SECONDS)
                if article["id"] not in self.articles:
                    return error(500, "Server error.")
            del self.articles[article["id"]]
            return Response(status_code=204)
        return await self._update(request, article) if request.method == "PATCH" else self._retrieve(request, article)

    async def _update(self, request: Request, article: dict[str, Any]) -> Response:
        sent = await self._read(request)
        if sent is None:
            return error(422, "Invalid.")
        tag = request.headers.get("if-match", "")
        is_stale = bool(tag) and (tag != self._etag(article) or self.bug == "every if-match refused")
        if is_stale and self.bug == "stored before if-match":
            article.update(_select(sent))
        if is_stale and self.bug != "if-match ignored":
            return error(412, "The article has changed.")
        changed = {**article, **_select(sent)}
        if self.bug == "last update wins":
            await asyncio.sleep(WRITE_SECONDS)
        article.update(changed)
        return JSONResponse(article)

    def _retrieve(self, request: Request, article: dict[str, Any]) -> Response:
        tag = self._etag(article)
        sent_tag = request.headers.get("if-none-match", "")
        is_match = sent_tag == tag or (bool(sent_tag) and self.bug == "every etag matches")
        if is_match and self.bug != "etag ignored":
            return Response(status_code=304, headers={"etag": tag})
        accept = request.headers.get("accept", "*/*")
        if accept == "text/plain" and self.bug != "accept ignored":
            return Response(article["title"], media_type="text/plain", headers={"etag": tag})
        is_known = any(name in accept for name in ("application/json", "*/*", "text/plain"))
        if not is_known and self.bug != "never 406":
            return error(406, "Not acceptable.")
        charset = "iso-8859-1" if self.bug == "charset latin-1" else "utf-8"
        content_type = f"application/json; charset={charset}"
        return Response(json.dumps(article), headers={"etag": tag, "content-type": content_type})

    def _etag(self, article: Mapping[str, Any]) -> str:
        content = article["id"] if self.bug == "etag of the key" else json.dumps(article)
        digest = hashlib.sha256(str(content).encode()).hexdigest()[:12]
        return digest if self.bug == "etag without quotes" else f'"{digest}"'

    async def _read(self, request: Request) -> dict[str, Any] | None:
        """Return the body if it is valid."""
        try:
            body = json.loads(await request.body())
        except ValueError:
            return None
        if not isinstance(body, dict):
            return None
        unknown = body.keys() - {"title", "text"}
        texts = [body[name] for name in ("title", "text") if name in body]
        is_valid = all(isinstance(text, str) and len(text) <= 200 for text in texts) and body.get("title") != ""
        return body if is_valid and (not unknown or self.bug == "unknown property accepted") else None


def _select(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name in ("title", "text")}


# Race -> (check, operation) that finds it.
RACES: Mapping[str, tuple[str, str]] = {
    "last update wins": ("concurrent-updates-are-kept", "updateArticle"),
    "same key twice": ("concurrent-creates-are-distinct", "createArticle"),
    "list reads twice": ("concurrent-deletes-are-consistent", "deleteArticle"),
    "delete twice": ("concurrent-deletes-are-consistent", "deleteArticle"),
}
