"""GridFS files: bytes of content items in the bucket ``media``, and of run files in the bucket ``files``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from appdb.models.base import Document, StoredJson, Value


class StoredFile(Document):
    """A file whose chunks are all there, as stored in ``media.files`` and ``files.files``, by GridFS's definition."""

    filename: str
    metadata: StoredJson
    """Whose it is, and what it was made for."""
    chunk_bytes: int = Field(alias="chunkSize")
    length: int
    """In bytes."""
    uploaded_at: datetime = Field(alias="uploadDate")
    """When the upload began."""


class FileChunk(Value):
    """A piece of a file's bytes, as stored in ``media.chunks`` and ``files.chunks``, by GridFS's definition."""

    # Made by the driver as every GridFS writer makes it; our own ids are texts.
    id: Any = Field(alias="_id")
    """An ``ObjectId`` of the driver, which nothing refers to."""
    file_id: str = Field(alias="files_id")
    number: int = Field(alias="n")
    """Its place among the file's chunks, from 0."""
    data: bytes
