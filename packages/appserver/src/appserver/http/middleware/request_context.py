"""The request's context: an id, for its answer and for its lines in the log."""

from __future__ import annotations

import uuid

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appserver.http.middleware.answer_start import at_answer_start


class RequestContextMiddleware:
    """Gives each request an id, for its answer and its log lines."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex

        def add_id(message: Message) -> None:
            MutableHeaders(scope=message)["X-Request-Id"] = request_id

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, at_answer_start(send, add_id))
