"""Unexpected errors: a fault of ours becomes an answer while there is none yet."""

from __future__ import annotations

from fastapi import Request
from sse_starlette.sse import SendTimeoutError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appserver.http.error_handlers import unexpected_error_response
from appserver.http.middleware.answer_start import at_answer_start
from appserver.http.sending import SlowReaderError


class UnexpectedErrorMiddleware:
    """Answers a request that failed by our own fault with 500; an answer that has begun is broken off instead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        def note_start(_message: Message) -> None:
            nonlocal begun
            begun = True

        try:
            await self._app(scope, receive, at_answer_start(send, note_start))
        except (SlowReaderError, SendTimeoutError):
            raise
        except Exception as exc:
            if begun:
                raise
            await unexpected_error_response(Request(scope), exc)(scope, receive, send)
