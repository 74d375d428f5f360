"""The limit of bodies: how large a request may be."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appserver.http.announced_size import announced_bytes

MAX_BODY_BYTES = 1024 * 1024
"""Four times the largest payload: JSON escapes may take more room than the text."""


COUNTED_BY_ROUTE = re.compile(r"/api/runs/[^/]+/interactions/[^/]+/files")
"""The address of uploads, whose route counts them itself: how large a file may be depends on what is asked."""


class BodyLimitMiddleware:
    """Refuses bodies over the limit with 413: at once when the length is announced, else while they are read.

    FastAPI's own limit answers announced lengths in plain text, before any handler of ours.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or COUNTED_BY_ROUTE.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        size = announced_bytes(Headers(scope=scope))
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            # Before a byte of the body is taken.
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
