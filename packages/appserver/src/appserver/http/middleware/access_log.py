"""The access log: one line for each request."""

from __future__ import annotations

import logging
import time

from sse_starlette.sse import SendTimeoutError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appserver.http.middleware.answer_start import at_answer_start
from appserver.http.sending import SlowReaderError

logger = logging.getLogger(__name__)

QUIET_PATHS = ("/healthz/", "/static/")
"""Requests that say little and come often: their lines are for debugging."""


class AccessLogMiddleware:
    """Logs each request with its status and duration once it is over, and each reader that was let go."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        def note_status(message: Message) -> None:
            nonlocal status
            status = message["status"]

        try:
            await self._app(scope, receive, at_answer_start(send, note_status))
        except (SlowReaderError, SendTimeoutError):
            # The server closes what was not completed; it is no fault of ours, and the reader can go on from there.
            logger.info("a reader took nothing for long and was let go", extra={"path": scope["path"]})
        finally:
            _log(scope, status, time.monotonic() - began)


def _log(scope: Scope, status: int, seconds: float) -> None:
    level = logging.DEBUG if scope["path"].startswith(QUIET_PATHS) else logging.INFO
    fields = {"method": scope["method"], "path": scope["path"], "status": status, "seconds": round(seconds, 3)}
    logger.log(level, "a request was answered", extra=fields)
