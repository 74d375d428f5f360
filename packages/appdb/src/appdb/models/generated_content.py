"""Generations and their content items: what a task made, for whom, and where the bytes are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from appdb.models.base import Document, StoredJson
from appdb.models.bounds import STRICT, Amount, Count, Label, Name, NewJson, Text, Whole
from appdb.models.vocabulary import Stored


class ContentKind(StrEnum):
    """What a content item is."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"


class GenerationStatus(StrEnum):
    """How far a generation is: ``pending ->`` one of the other three, in the transaction that ends its task."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Generation(Document):
    """One generation, as stored in ``content_generation_metadata``: who asked, for what, and how it went."""

    owner_id: str
    task_id: str
    run_id: str | None = None
    """The run that asked; a plain task has none."""
    interaction_id: str | None = None
    """The interaction of the run that shows it."""
    prompt_id: str | None = None
    """Which of the interaction's prompts it answers."""
    provider: str
    operation: str
    request: StoredJson
    """The request as the user gave it, so that a form can be filled again."""
    source_data: StoredJson
    """What the provider was given besides the request."""
    provider_task_id: str | None = None
    """Under what the provider knows the work, so that another attempt can ask for it instead of paying again."""
    usage: StoredJson | None = None
    """What the provider counted, in its own terms; costs are rows of ``tokens``."""
    status: Stored[GenerationStatus]
    error: str | None = None
    """Why it failed, for its owner."""
    created_at: datetime
    completed_at: datetime | None = None


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


class GenerationWithItems(Generation):
    """A generation and what it has made so far, by index."""

    items: list[Content] = Field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """For whom in a workflow a generation is made; a plain task has none of it.

    Args:
        run_id: The run that asks; ``None`` for the one that the task works for.
        interaction_id: The interaction that shows it.
        prompt_id: Which of the interaction's prompts it answers.
    """

    __pydantic_config__ = STRICT
    run_id: Name | None = None
    interaction_id: Text | None = None
    prompt_id: Text | None = None


NO_ORIGIN = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """What ``ContentRepository.record`` needs to know.

    Args:
        task_id: The task that makes it; each task makes one.
        provider: Who is to make it.
        operation: What is to be made, such as ``txt2img``.
        request: The request as the user gave it; at most 256 KiB as BSON.
        source_data: What the provider is given besides; at most 256 KiB as BSON.
        origin: For whom it is made.
    """

    __pydantic_config__ = STRICT
    task_id: Name
    provider: Label
    operation: Label
    request: NewJson
    source_data: NewJson = field(default_factory=dict)
    origin: Origin = NO_ORIGIN


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
    data: bytes | Path
    index: Count | None = None
    seed: Whole | None = None
    width: Count | None = None
    height: Count | None = None
    duration_seconds: Amount | None = None
    caption: str | None = None
    preview_key: Name | None = None
