"""Serves repeated reads from the cache: clients, and test suites in particular, repeat their requests.

The key contains everything that the mock reads of a request. The viewer of a token or session can change without a
write, when it expires: it is checked for each response from the cache. A response to a request with another, invalid
credential of higher precedence is not stored, since that one may become valid.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.sandbox.journal import ResponseSource
from mock_server.sandbox.response_cache import CachedResponse, CacheKey
from mock_server.web.context import CONTEXT_KEY, RequestContext, send_response


class ResponseCacheMiddleware:
    """Serves repeated reads from the cache; the other requests are passed to `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext | None = scope.get(CONTEXT_KEY)  # None for lifespan events
        if context is None or context.method not in ("GET", "HEAD") or context.notes:
            await self.app(scope, receive, send)
            return
        sandbox, now = context.sandbox, context.now
        sandbox.apply_scheduled_changes(now)
        cache, headers = sandbox.responses, context.headers
        target = (context.method, context.raw_path, context.raw_query, context.base_url)
        key: CacheKey = (*target, *headers, *headers.values())
        cached = cache.get(key)
        if cached is not None and (
            cached.token is None or sandbox.resolve_credential(cached.token, now) == cached.viewer
        ):
            context.source, context.viewer = ResponseSource.CACHE, cached.viewer
            await send_response(send, context, cached.status, cached.body)
            return
        await self.app(scope, receive, send)
        operation, body, dependencies = context.operation, context.response_body, context.dependencies
        has_known_viewer = context.token is not None or not (operation and operation.security)
        is_cacheable = has_known_viewer and not (context.notes or context.has_invalid_credential)
        if dependencies is not None and body is not None and is_cacheable:
            cache.put(key, CachedResponse(body, context.status, context.viewer, context.token, dependencies))
