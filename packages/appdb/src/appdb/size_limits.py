"""The size limits of tasks: nothing grows without bound, and large values are stored as content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._driver import encoded_size
from appdb.canonical import check_shape
from appdb.errors import InvalidDataError, TooLargeError

KIB = 1024
MAX_PAYLOAD_BYTES = 256 * KIB
MAX_CONTINUATIONS = 100
MAX_CONTINUATION_DEPTH = 20
MAX_CONTINUATION_BYTES = 1024 * KIB
"""All tasks that follow one at its completion, and each other: how many, how deep, and their payloads together."""
MAX_RESULT_BYTES = 256 * KIB
MAX_EVENT_BYTES = 64 * KIB
MAX_CHUNK_BYTES = 60 * KIB
"""One chunk; an event holds a batch of them and a little more."""
MAX_STEP_BYTES = 256 * KIB
MAX_WRITE_BYTES = 1024 * KIB
"""All events of one write of one attempt."""
PAGE_BYTES = 512 * KIB
"""Of events that are read at once; the event that passes it is the last."""
MAX_RECENT_BYTES = 64 * KIB
MAX_RECENT_EVENTS = 64
"""What of its log a task carries itself before a writer moves it out."""
MAX_ERROR_CHARACTERS = 4_000
DUPLICATE_KEY = 11000
"""The server's code for a key that is taken."""


def storable_text(message: str) -> str:
    """Return *message* without what UTF-8 cannot hold, and not longer than an error may be."""
    return message.encode("utf-8", "replace").decode()[:MAX_ERROR_CHARACTERS]


def check_size(field: str, document: Mapping[str, Any], limit: int) -> int:
    """Check that *document* is JSON and weighs at most *limit* bytes as BSON, and return what it weighs.

    Whatever a stranger's JSON is stored in is checked here, so what comes back is what was given.

    Raises:
        TooLargeError: It weighs more.
        InvalidDataError: It is no JSON object, nests too deep, or holds a value that cannot be stored.
    """
    if not isinstance(document, Mapping):
        raise InvalidDataError(field, f"it is a {type(document).__name__}; give an object with names")
    check_shape(document, field=field)
    size = encoded_size(field, document)
    if size > limit:
        raise TooLargeError(field, size, limit)
    return size
