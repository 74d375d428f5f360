"""What we ask of the chunks that hold bytes."""

from __future__ import annotations

from typing import Any

Filter = dict[str, Any]


def chunks(file_id: str, first: int, end: int) -> Filter:
    """A file's chunks from number *first* up to and without *end*; served by the index that GridFS makes."""
    return {"files_id": file_id, "n": {"$gte": first, "$lt": end}}
