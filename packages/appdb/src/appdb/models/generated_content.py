"""Content items: what tasks made, for whom, and where the bytes are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from appdb.models.base import Document
from appdb.models.bounds import STRICT, Amount, Count, Label, Name, Text, Whole
from appdb.models.vocabulary import Stored


class ContentKind(StrEnum):
    """The kind of a content item."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"


class Content(Document):
    """One content item, as stored in ``generated_content``; its bytes are in GridFS ``media`` under ``file_id``."""

    owner_id: str
    task_id: str
    generation_id: str
    key: str
    kind: Stored[ContentKind]
    role: str
    media_type: str
    filename: str
    size: int
    """Length of the bytes."""
    sha256: str
    decoded_type: str | None = None
    """The media type that the bytes themselves show, whatever ``media_type`` says; ``None`` when they show none."""
    file_id: str
    attempt: int
    index: int | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    caption: str | None = None
    preview_id: str | None = None
    """The item of the same generation that stands for this one where it is too large to be shown."""
    is_preview: bool = False
    """Whether another item was stored that names this one as its preview."""
    in_generation: bool = False
    """Whether it was stored with its generation; an older release also stored items that had none."""
    created_at: datetime


class ContentDocument(Content):
    """The whole document in ``generated_content``."""

    seq: int | None = None
    """The number of the event that told of the item: a repeated call finds the item by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContent:
    """A content item to store.

    Args:
        key: The item's name within its task, such as ``scene-0001/picture``. The same key replaces the item, so a
            re-run of the task never doubles it.
        kind: What the item is.
        role: What it is for, in the actor's words, such as ``narration``.
        media_type: An RFC 6838 media type, such as ``video/mp4``.
        filename: The name offered for downloads.
        data: The bytes, or the path of a file that holds them (streamed).
        index: Position among items of the same role, from 0.
        seed: What the item was made from, where a generator was seeded.
        width: Pixels.
        height: Pixels.
        duration_seconds: Playing time.
        caption: A text alternative for those who cannot see or hear the item.
        preview_key: The key of the item that is this one's preview; it must have been stored before.
    """

    __pydantic_config__ = STRICT
    key: Name
    kind: ContentKind
    role: Label
    media_type: Label
    filename: Text
    # A path is streamed in pieces, so that a film is never in memory as a whole.
    data: bytes | Path
    index: Count | None = None
    seed: Whole | None = None
    width: Count | None = None
    height: Count | None = None
    duration_seconds: Amount | None = None
    caption: str | None = None
    preview_key: Name | None = None
