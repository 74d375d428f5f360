"""The byte store: bytes in GridFS, uploaded with digest and media type, read by range, deleted."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from appdb._driver import RawDocument, Session, translates_stream_errors
from appdb._queries import gridfs as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.media_type import MediaTypeProbe
from appdb.errors import InvalidDataError, NotFoundError, UnreadableError
from appdb.utils import uuid7_at

FILE_PREFIX = "file_"

CHUNK_BYTES = 255 * 1024
"""The default of GridFS: a chunk and its document stay below 256 KiB."""
WRITTEN_CHUNKS = 8
"""Chunks that are written at once, 2 MiB. A driver's own writer gathers 48 MB in memory and sends them as one
operation, which a slow link does not carry in its time."""
INDEX_LOOK = timedelta(minutes=1)
"""How long a writer relies on the index of a bucket: somebody may drop the database below a host that runs."""
READ_CHUNKS = 2
"""Chunks that are read at once; a driver's own reader takes 16 MiB, and holds in memory what is not consumed yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Uploaded bytes; the caller writes the document that names them."""

    file_id: str
    size: int
    """Bytes."""
    sha256: str
    decoded_type: str | None
    """The media type that was recognised from the bytes."""


class ByteStore:
    """
    Stores bytes under an id of their own, new at each upload, so that replacing an item never breaks a reader.

    The id tells when the upload began, by the database's clock: bytes that nobody names are swept by that age.

    Args:
        connection: Where the bytes are.

        bucket_name: The GridFS bucket.
    """

    def __init__(self, connection: Connection, bucket_name: str = collections.MEDIA_BUCKET) -> None:
        self._connection = connection
        self._files = connection.collection(f"{bucket_name}.files")
        self._chunks = connection.collection(f"{bucket_name}.chunks")
        self._has_index_until = 0.0

    async def upload_bytes(self, data: bytes | Path, *, filename: str, metadata: Mapping[str, Any]) -> Upload:
        """Store *data* (bytes, or a file that is streamed) and return where it is; nothing is left after an error.

        A round trip for each 2 MiB, which is also what it holds in memory, and one more; now and then two others.
        """
        began_at = await self._connection.clock.now()
        file_id = uuid7_at(FILE_PREFIX, began_at)
        try:
            upload = await self._write(file_id, data)
            said = {"filename": filename, "metadata": dict(metadata)}
            await self._files.insert_one(queries.file(file_id, upload.size, CHUNK_BYTES, began_at, said))
        # Also when the caller is cancelled: nobody would name these bytes.
        except BaseException:
            await self.delete_bytes(file_id)
            raise
        return upload

    async def _write(self, file_id: str, data: bytes | Path) -> Upload:
        await self._make_index()
        digest, probe, size = hashlib.sha256(), MediaTypeProbe(), 0
        gathered: list[bytes] = []
        async for part in _parts(data):
            digest.update(part)
            probe.feed(part)
            gathered.append(part)
            if len(gathered) == WRITTEN_CHUNKS:
                size = await self._append(file_id, size, gathered)
                gathered = []
        size = await self._append(file_id, size, gathered)
        return Upload(file_id=file_id, size=size, sha256=digest.hexdigest(), decoded_type=probe.media_type())

    async def _append(self, file_id: str, size: int, parts: Sequence[bytes]) -> int:
        """Write the chunks that follow the first *size* bytes, and return the size with them."""
        first = size // CHUNK_BYTES
        if parts:
            rows = [queries.chunk(file_id, number, part) for number, part in enumerate(parts, first)]
            await self._chunks.insert_many(rows)
        return size + sum(map(len, parts))

    async def _make_index(self) -> None:
        # The GridFS specification asks every writer for it before the first file of a bucket.
        if time.monotonic() < self._has_index_until:
            return
        if await self._files.find_one({}, {"_id": 1}) is None:
            await self._chunks.create_index(queries.CHUNKS_INDEX, unique=True)
        self._has_index_until = time.monotonic() + INDEX_LOOK.total_seconds()

    @translates_stream_errors
    async def read_range(
        self, file_id: str, start: int, end: int, *, session: Session | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from *start* up to and without *end*, a chunk at a time.

        Two chunks are asked for once those before were taken: a reader that pauses costs that much and no cursor.

        Raises:
            NotFoundError: The bytes were deleted.
        """
        file = await self._files.find_one({"_id": file_id}, {"chunkSize": 1}, session=session)
        if file is None:
            raise NotFoundError("media file", file_id)
        size = file.get("chunkSize")
        if not isinstance(size, int) or size < 1:
            raise UnreadableError("media file", file_id, f"its chunkSize is {size!r}")
        at = start
        while at < end:
            wanted = queries.chunks(file_id, at // size, min(at // size + READ_CHUNKS, -(-end // size)))
            found = deque(await self._chunks.find(wanted, session=session).sort("n", 1).to_list(None))
            # Deleted while it was read: an item that is replaced gets a new id, and its old bytes go.
            if not found:
                raise NotFoundError("media file", file_id)
            while found:
                part = _part_of(found.popleft(), file_id, at, end, size)
                at += len(part)
                yield part

    async def delete_bytes(self, file_id: str) -> None:
        """Delete the bytes; harmless when they are gone already, and swept when it is cut off in the middle."""
        # The file first: a reader that begins in between finds nothing, not the half of it.
        await self._files.delete_one({"_id": file_id})
        await self._chunks.delete_many({"files_id": file_id})

    async def delete_all(self, file_ids: Iterable[str]) -> None:
        """Delete the bytes of many; those that a kill leaves behind are swept."""
        for file_id in file_ids:
            await self.delete_bytes(file_id)


def _part_of(chunk: RawDocument, file_id: str, at: int, end: int, size: int) -> bytes:
    """Return what of a file's bytes from *at* up to *end* is in *chunk*, which must begin there."""
    begins = chunk["n"] * size
    part: bytes = chunk["data"][at - begins : end - begins] if begins <= at else b""
    if not part:
        raise NotFoundError("media file", file_id)
    return part


async def _parts(data: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(data, bytes):
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]
        return
    try:
        with await asyncio.to_thread(data.open, "rb") as file:
            while part := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield part
    except OSError as exc:
        raise InvalidDataError("data", f"the file cannot be read: {exc}") from exc
