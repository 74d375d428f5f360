"""The stored form of a run's file: its content as bytes, and the fields beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from appdb._queries import workflow_files as queries
from appdb.errors import InvalidDataError, TooLargeError
from appdb.models.workflow_files import FileFormat, NewFile
from appdb.size_limits import KIB, check_size

MAX_CONTENT_BYTES = 32 * 1024 * KIB
"""A content is read whole, into memory; larger ones are content items."""
MAX_METADATA_BYTES = 16 * KIB
MAX_NAMES_BYTES = 4 * KIB
"""Of all parts of the key together."""


def encoded(file: NewFile) -> bytes:
    """Return the content of *file* as the bytes that are stored.

    Raises:
        InvalidDataError: It cannot be stored.
        TooLargeError: It is over 32 MiB.
    """
    try:
        if file.format is FileFormat.JSON:
            data = json.dumps(file.content, ensure_ascii=False, allow_nan=False).encode()
        else:
            data = _text_of(file).encode()
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidDataError(f"content of {file.name!r}", f"cannot be stored: {exc}") from exc
    if len(data) > MAX_CONTENT_BYTES:
        raise TooLargeError(f"content of {file.name!r}", len(data), MAX_CONTENT_BYTES)
    return data


def _text_of(file: NewFile) -> str:
    if not isinstance(file.content, str):
        raise TypeError("it is no text; give format=FileFormat.JSON")
    return file.content


def described(file: NewFile, owner_id: str, data: bytes) -> dict[str, Any]:
    """Return the stored fields of *file*, but for where its content is.

    Raises:
        TooLargeError: Its names are over 4 KiB, or its metadata is over 16 KiB.
    """
    fields = {name: value for name, value in asdict(file).items() if name != "content"} | {"owner_id": owner_id}
    check_size("names of a file", {name: fields[name] for name in queries.KEY}, MAX_NAMES_BYTES)
    check_size("metadata of a file", file.metadata, MAX_METADATA_BYTES)
    return fields | {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
