"""Schemas of content items; they tell the address of the bytes, not their place in the database."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from appdb.models import Content, ContentKind
from appserver.http.media import file_url


class ContentQuery(BaseModel):
    """The content items to list."""

    model_config = ConfigDict(extra="forbid")

    task_id: str | None = Field(None, max_length=100, description="Only this task's, all of them, by index.")
    before: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=200)


class ContentView(BaseModel):
    """A content item, as its owner sees it; its bytes are at ``url``, which names these bytes and no others."""

    id: str
    task_id: str
    kind: ContentKind
    role: str
    media_type: str
    filename: str
    size: int
    sha256: str
    index: int | None
    seed: int | None
    width: int | None
    height: int | None
    duration_seconds: float | None
    caption: str | None
    created_at: datetime
    url: str

    @classmethod
    def of(cls, content: Content) -> ContentView:
        """Return the view of *content*."""
        return cls.model_validate(content.model_dump() | {"url": file_url(content.id, content.sha256)})


class ContentPage(BaseModel):
    """Content items; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[ContentView]
    next: str | None
