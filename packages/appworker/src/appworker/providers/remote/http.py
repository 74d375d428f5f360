"""The HTTP of remote providers: one way to make a client, and one to tell what an answer that is no success means.

Retry-After is read as RFC 9110 has it: seconds, or a date.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from appworker.errors import AppWorkerError, DiscardError, ProviderError, ProviderUnavailableError, RetryLaterError

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 120.0
"""How long a service may say nothing at all; a model that thinks long streams late."""
MAX_ERROR_BYTES = 16 * 1024
MAX_REASON = 500
LONGEST_PAUSE = timedelta(hours=1)
"""A service that wants to be left alone for longer is asked again after this: its owner should learn of it."""
_TRY_LATER = frozenset({408, 409, 425, 500, 502, 503, 504})


def check_http(provider: str) -> None:
    """Check that the HTTP client is installed.

    Raises:
        ProviderUnavailableError: It is not; the message says how to install it.
    """
    _httpx(provider)


@asynccontextmanager
async def http_client(provider: str, base_url: str, key: str | None) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client of *base_url* that follows no redirects and tells its *key* to nobody else.

    What goes wrong on the way is raised as a ``ProviderError``: the connection, its silence, its end in the middle.
    """
    httpx = _httpx(provider)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=timeout, trust_env=False) as client:
        try:
            yield client
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise ProviderError(f"{provider} at {base_url}: {type(exc).__name__}: {exc}"[:MAX_REASON]) from exc


async def check_answer(provider: str, answer: httpx2.Response) -> None:
    """Return when *answer* is a success.

    Raises:
        RetryLaterError: The service says when to come back.
        ProviderError: Another attempt may succeed.
        DiscardError: Retrying cannot help: the request, the key or the address is wrong, or the content is refused.
    """
    if answer.is_success:
        return
    raise refusal(provider, answer.status_code, await _start_of(answer), answer.headers.get("Retry-After"))


def refusal(provider: str, status: int, body: str, retry_after: str | None) -> AppWorkerError:
    """Return the error that an answer with this *status* means."""
    told = f"{provider} answered {status}: {_reason(body)}"
    pause = pause_of(retry_after)
    if status == 429 or (status in _TRY_LATER and pause is not None):
        return ProviderError(told) if pause is None else RetryLaterError(told, pause)
    if status in _TRY_LATER:
        return ProviderError(told)
    if status in (401, 403):
        return DiscardError(f"{told}; the owner of the worker host must check the key of {provider}")
    return DiscardError(told)


def pause_of(retry_after: str | None) -> timedelta | None:
    """Return the pause that a ``Retry-After`` header asks for, at most an hour; ``None`` where it asks for none."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=min(int(text[:9]), 10**8)), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date without a zone is in UTC, as the format has no other.
    pause = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
    return min(max(pause, timedelta(0)), LONGEST_PAUSE)


async def _start_of(answer: httpx2.Response) -> str:
    body = b""
    async for part in answer.aiter_bytes():
        body += part
        if len(body) >= MAX_ERROR_BYTES:
            break
    return body[:MAX_ERROR_BYTES].decode("utf-8", "replace")


def _reason(body: str) -> str:
    """Return what an error's body says: ``error.message`` of OpenAI, ``detail`` of RFC 9457, or its text."""
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = body
    if isinstance(told, Mapping):
        error = told.get("error", told)
        told = (error.get("message") or error.get("detail") or error) if isinstance(error, Mapping) else error
    return " ".join(str(told).split())[:MAX_REASON] or "nothing more"


def _httpx(provider: str) -> Any:
    try:
        return importlib.import_module("httpx2")
    except ImportError as exc:
        remedy = "install appworker[openai]"
        raise ProviderUnavailableError(provider, "the package httpx2 is not installed", remedy) from exc
