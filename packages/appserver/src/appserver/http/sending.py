"""Sending: bytes go to a reader piece by piece, and a reader that takes none is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

TAKEN_WITHIN_SECONDS = 30
"""A reader that takes nothing for so long is let go; a player that was paused comes back with a range."""


class SlowReaderError(Exception):
    """A reader took nothing for so long that it was let go."""


class BytesResponse(StreamingResponse):
    """An answer of bytes that are read no faster than the reader takes them."""

    async def stream_response(self, send: Send) -> None:
        """Send the bytes.

        Raises:
            SlowReaderError: The reader was let go.
        """

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(TAKEN_WITHIN_SECONDS):
                    await send(message)
            except TimeoutError:
                raise SlowReaderError from None

        # Closed with the answer, not later by the garbage collector, since it holds chunks of the file.
        async with aclosing(cast("AsyncGenerator[bytes, None]", self.body_iterator)):
            await super().stream_response(send_in_time)
