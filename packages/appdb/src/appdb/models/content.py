"""Generations and their content items: what a task made, for whom, and where the bytes are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from appdb.models.base import Document


class ContentKind(StrEnum):
    """What a content item is."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"


class GenerationStatus(StrEnum):
    """How far a generation is; it changes in the same transaction as its task's final state."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Generation(Document):
    """One generation, as stored in ``content_generation_metadata``: who asked, for what, and how it went."""

    owner_id: str
    task_id: str
    provider: str
    operation: str
    request: dict[str, Any]
    """The request as the user gave it, so that a form can be filled again."""
    source_data: dict[str, Any]
    status: GenerationStatus
    created_at: datetime
    completed_at: datetime | None = None


class Content(Document):
    """One content item, as stored in ``generated_content``; its bytes are in GridFS ``media`` under ``file_id``."""

    owner_id: str
    task_id: str
    generation_id: str
    key: str
    kind: ContentKind
    role: str
    media_type: str
    filename: str
    size: int
    """Length of the bytes."""
    sha256: str
    file_id: str
    attempt: int
    index: int | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    caption: str | None = None
    created_at: datetime


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
    """

    key: str
    kind: ContentKind
    role: str
    media_type: str
    filename: str
    data: bytes | Path
    index: int | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    caption: str | None = None
