"""Bytes in GridFS: streamed in, digested and recognised on the way, read by range, deleted."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appdb._driver import Bucket, BucketWriter, NoFile, RawDocument, bucket, translates_stream_errors
from appdb._queries import media as queries
from appdb._schema import collections
from appdb.database import Database
from appdb.errors import InvalidDataError, NotFoundError
from appdb.repos.media_type import MediaTypeProbe
from appdb.utils import uuid7_at

FILE_PREFIX = "file_"

CHUNK_BYTES = 255 * 1024
"""GridFS's own default: a chunk and its document stay below 256 KiB."""
READ_CHUNKS = 2
"""Chunks that are read at once; a driver's own reader takes 16 MiB, and keeps what its reader has not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Bytes that were stored and that no document names yet."""

    file_id: str
    size: int
    """Bytes."""
    sha256: str
    decoded_type: str | None
    """The media type that the bytes show."""


class MediaStore:
    """
    Stores bytes under an id of their own, new at each upload, so that replacing an item never breaks a reader.

    The id tells when the upload began, by the database's clock: bytes that nobody names are swept by that age.

    Args:
        database: Where the bytes are.

        bucket_name: The GridFS bucket.
    """

    def __init__(self, database: Database, bucket_name: str = collections.MEDIA_BUCKET) -> None:
        self._database = database
        self._bucket_name = bucket_name
        self._files = database.collection(f"{bucket_name}.files")
        self._chunks = database.collection(f"{bucket_name}.chunks")

    def _bucket(self) -> Bucket:
        return bucket(self._database.raw, self._bucket_name)

    async def upload(self, data: bytes | Path, *, filename: str, metadata: Mapping[str, Any]) -> Upload:
        """Store *data* (bytes, or a file that is streamed) and return where it is; nothing is left after an error."""
        file_id = uuid7_at(FILE_PREFIX, await self._database.server_time())
        writer = self._bucket().open_upload_stream_with_id(
            file_id, filename, chunk_size_bytes=CHUNK_BYTES, metadata=metadata
        )
        try:
            upload = await self._write(writer, file_id, data)
        except BaseException:
            await writer.abort()
            raise
        await writer.close()
        return upload

    async def _write(self, writer: BucketWriter, file_id: str, data: bytes | Path) -> Upload:
        digest = hashlib.sha256()
        probe = MediaTypeProbe()
        size = 0
        async for part in _parts(data):
            digest.update(part)
            probe.feed(part)
            size += len(part)
            await writer.write(part)
        return Upload(file_id=file_id, size=size, sha256=digest.hexdigest(), decoded_type=probe.media_type())

    @translates_stream_errors
    async def read(self, file_id: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the bytes from *start* up to and without *end*, a chunk at a time.

        Two chunks are asked for once those before were taken: a reader that pauses costs that much and no cursor.

        Raises:
            NotFoundError: The bytes were deleted.
        """
        file = await self._files.find_one({"_id": file_id}, {"chunkSize": 1})
        if file is None:
            raise NotFoundError("media file", file_id)
        size: int = file["chunkSize"]
        at = start
        while at < end:
            wanted = queries.chunks(file_id, at // size, min(at // size + READ_CHUNKS, -(-end // size)))
            found = deque(await self._chunks.find(wanted).sort("n", 1).to_list(None))
            if not found:
                raise NotFoundError("media file", file_id)
            while found:
                part = _part_of(found.popleft(), file_id, at, end, size)
                at += len(part)
                yield part

    async def delete(self, file_id: str) -> None:
        """Delete the bytes; harmless when they are gone already."""
        try:
            await self._bucket().delete(file_id)
        except NoFile:
            return

    async def delete_all(self, file_ids: Iterable[str]) -> None:
        """Delete the bytes of many; those that a kill leaves behind are swept."""
        for file_id in file_ids:
            await self.delete(file_id)


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
