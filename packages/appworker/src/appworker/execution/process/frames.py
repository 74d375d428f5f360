"""The frames of the pipe between a worker and an actor's process: two lengths, a JSON object, and its bytes."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

# Lengths first: the reader refuses what is too large before it has taken it in.
_HEADER = struct.Struct("!II")
KIB = 1024
MAX_JSON_BYTES = 1024 * KIB
"""Of one object that a process may send: results, events and payloads are smaller in the database."""
MAX_BLOB_BYTES = 32 * 1024 * KIB
"""Of bytes that a process may send; larger content is stored by the path of a file."""


class BrokenFrameError(Exception):
    """A frame is over a limit or no JSON; nothing can be read after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeFrame:
    """One message: a JSON object, and the bytes of content."""

    body: dict[str, Any]
    blob: bytes = b""


def to_json(value: object) -> bytes:
    """Return *value* as JSON; dates, enumerations and the like become what pydantic makes of them."""
    return json.dumps(value, default=to_jsonable_python).encode()


def encode(body: Mapping[str, Any], blob: bytes = b"") -> bytes:
    """Return a frame's bytes."""
    text = to_json(body)
    return _HEADER.pack(len(text), len(blob)) + text + blob


async def read(reader: asyncio.StreamReader, *, limited: bool) -> PipeFrame:
    """Return the next frame.

    Args:
        reader: Where it comes from.
        limited: Whether a frame over the limits is refused before it is read.

    Raises:
        EOFError: The other side is gone.
        BrokenFrameError: The frame is over a limit, or it is no JSON.
    """
    json_bytes, blob_bytes = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    if limited and (json_bytes > MAX_JSON_BYTES or blob_bytes > MAX_BLOB_BYTES):
        raise BrokenFrameError(f"it announced {json_bytes + blob_bytes:,} bytes")
    text, blob = await reader.readexactly(json_bytes), await reader.readexactly(blob_bytes)
    try:
        return PipeFrame(body=json.loads(text), blob=blob)
    except ValueError as exc:
        raise BrokenFrameError(f"it is no JSON ({exc})") from exc
