"""The order of the middleware."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from appserver.http.middleware.access_log import AccessLogMiddleware
from appserver.http.middleware.body_limit import BodyLimitMiddleware
from appserver.http.middleware.request_context import RequestContextMiddleware
from appserver.http.middleware.safe_headers import SafeHeadersMiddleware
from appserver.http.middleware.unexpected_errors import UnexpectedErrorMiddleware
from appserver.settings import ServerSettings

CORS_REQUEST_HEADERS = ["Authorization", "Idempotency-Key", "If-None-Match", "If-Range", "Last-Event-ID", "Range"]
CORS_ANSWER_HEADERS = ["Content-Range", "ETag", "Location", "Retry-After", "X-Request-Id"]
CORS_SECONDS = 600


def install_middleware(app: FastAPI, settings: ServerSettings) -> None:
    """Add the middleware to *app*, the innermost first."""
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
    # Around all that may fail, and inside of what gives its answer an id, headers and a line in the log.
    app.add_middleware(UnexpectedErrorMiddleware)
    app.add_middleware(SafeHeadersMiddleware)
    app.add_middleware(AccessLogMiddleware)
    app.add_middleware(RequestContextMiddleware)
