"""The cookie by which a browser is known."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from appserver.http.callers import COOKIE

COOKIE_SECONDS = 365 * 24 * 3600


def remember(request: Request, answer: Response, key: str) -> None:
    """Let the browser keep the key of its guest."""
    # Lax, not strict: a link from elsewhere must find its visitor again, or a new guest would take the old one's place
    # (decision record 0004).
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, key, max_age=COOKIE_SECONDS, httponly=True, samesite="lax", secure=secure)
