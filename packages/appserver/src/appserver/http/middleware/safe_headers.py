"""Safe headers: the headers of every answer that browsers heed."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appserver.http.middleware.answer_start import at_answer_start

PAGE_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
DOCS_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI writes styles and pictures into its page."""
DOCS_PATH = "/docs"
# Scripts keep their address from one release to the next, so a browser asks each time whether its copy is current.
STATIC_CACHE = "no-cache"
# Everything else may hold a user's own data.
DEFAULT_CACHE = "no-store"


class SafeHeadersMiddleware:
    """Adds the headers that keep browsers from sniffing, framing and caching; a route's own values stay."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        def add_headers(message: Message) -> None:
            _add_headers(message, scope["path"])

        await self._app(scope, receive, at_answer_start(send, add_headers))


def _add_headers(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Content-Security-Policy", DOCS_POLICY if path == DOCS_PATH else PAGE_POLICY)
    headers.setdefault("Cache-Control", STATIC_CACHE if path.startswith("/static/") else DEFAULT_CACHE)
