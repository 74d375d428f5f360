"""What every answer carries, a request id and headers that browsers heed; and how large a request may be."""

from __future__ import annotations

import logging
import time
import uuid

import structlog
from fastapi import FastAPI, Request
from sse_starlette.sse import SendTimeoutError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appserver.http.problems import answer_surprise
from appserver.http.sending import SlowReaderError
from appserver.settings import Settings

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024
"""Four times the largest payload: JSON escapes may take more room than the text."""
PAGE_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
DOCS_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI writes styles and pictures into its page."""
DOCS_PATH = "/docs"
CORS_REQUEST_HEADERS = ["Authorization", "Idempotency-Key", "If-None-Match", "If-Range", "Last-Event-ID", "Range"]
CORS_ANSWER_HEADERS = ["Content-Range", "ETag", "Location", "Retry-After", "X-Request-Id"]
CORS_SECONDS = 600
QUIET_PATHS = ("/healthz/", "/static/")


def install_middleware(app: FastAPI, settings: Settings) -> None:
    """Add the middleware to *app*."""
    app.add_middleware(BodyLimitMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=CORS_REQUEST_HEADERS,
            expose_headers=CORS_ANSWER_HEADERS,
            max_age=CORS_SECONDS,
        )
    app.add_middleware(EnvelopeMiddleware)


class EnvelopeMiddleware:
    """Gives each request an id, for its answer and its log lines, and each answer safe headers, our own faults too.

    Plain ASGI, since a stream must pass through unbuffered.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        began = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope["path"], request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            except (SlowReaderError, SendTimeoutError):
                # The server closes what was not completed; it is no fault of ours, and the reader can go on from there.
                logger.info("a reader took nothing for long and was let go", extra={"path": scope["path"]})
            except Exception as exc:
                if status:
                    raise
                await answer_surprise(Request(scope), exc)(scope, receive, send_with_headers)
            finally:
                _log(scope, status, began)


def _add_headers(message: Message, path: str, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-Id"] = request_id
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Content-Security-Policy", DOCS_POLICY if path == DOCS_PATH else PAGE_POLICY)
    headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")


def _log(scope: Scope, status: int, began: float) -> None:
    level = logging.DEBUG if scope["path"].startswith(QUIET_PATHS) else logging.INFO
    seconds = round(time.monotonic() - began, 3)
    fields = {"method": scope["method"], "path": scope["path"], "status": status, "seconds": seconds}
    logger.log(level, "a request was answered", extra=fields)


class BodyLimitMiddleware:
    """Refuses bodies over the limit with 413: at once when the length is announced, else while they are read.

    FastAPI's own limit answers announced lengths in plain text, before any handler of ours.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        size = int(announced[:20]) if announced.isdecimal() else 0
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            if size > MAX_BODY_BYTES:
                raise _too_large(f"{size:,}")
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise _too_large(f"more than {MAX_BODY_BYTES:,}")
            return message

        await self._app(scope, receive_within_limit, send)


def _too_large(size: str) -> HTTPException:
    return HTTPException(413, f"The body has {size} bytes; at most {MAX_BODY_BYTES:,} are taken. Nothing was stored.")
