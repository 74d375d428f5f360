"""The start of an answer: its status and headers, the first message of ASGI's answer."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Message, Send


def at_answer_start(send: Send, tell: Callable[[Message], None]) -> Send:
    """Return a *send* that first gives the answer's start, which may be changed, to *tell*."""

    async def send_and_tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            tell(message)
        await send(message)

    return send_and_tell
