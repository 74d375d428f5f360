"""Queries and documents of the GridFS buckets, written as GridFS defines them, so that any GridFS reader reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from appdb._queries.types import Filter

CHUNKS_INDEX = [("files_id", 1), ("n", 1)]
"""GridFS's own unique index, by which a file's chunks are found."""


def chunks(file_id: str, first: int, end: int) -> Filter:
    """A file's chunks from number *first* up to and without *end*; served by the index that GridFS makes."""
    return {"files_id": file_id, "n": {"$gte": first, "$lt": end}}


def chunk(file_id: str, number: int, data: bytes) -> dict[str, Any]:
    """A piece of a file's bytes, as GridFS has it."""
    return {"files_id": file_id, "n": number, "data": data}


def file(file_id: str, length: int, chunk_bytes: int, began_at: datetime, said: Mapping[str, Any]) -> dict[str, Any]:
    """A file whose chunks are all there, as GridFS has it; *said* are its name and metadata."""
    return {"_id": file_id, "length": length, "chunkSize": chunk_bytes, "uploadDate": began_at, **said}


def begun_between(after: str, end: str) -> Filter:
    """First chunks with files' ids behind *after* and before *end*; served by the index that GridFS makes."""
    return {"files_id": {"$gt": after, "$lt": end}, "n": 0}


def ended_between(after: str, end: str) -> Filter:
    """Files with ids behind *after* and before *end*."""
    return {"_id": {"$gt": after, "$lt": end}}


def naming(file_ids: Sequence[str]) -> Filter:
    """Documents that name files, in the collections whose bytes are there; served by contents_file or files_bytes."""
    return {"file_id": {"$in": list(file_ids)}}
