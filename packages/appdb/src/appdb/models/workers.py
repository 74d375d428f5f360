"""Workers: processes that announce themselves while they live."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pydantic import Field

from appdb.models.base import Document
from appdb.models.bounds import STRICT, Count, Name, Text


class Worker(Document):
    """A worker process, as stored in ``workers``; it disappears when it stops announcing itself."""

    host: str
    pid: int
    queues: list[str]
    actors: list[str]
    slots: int
    providers: list[str] = Field(default_factory=list)
    """What makes content there; missing from workers of an older release."""
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedWorker:
    """A worker as it announces itself; the fields are those of ``Worker``."""

    __pydantic_config__ = STRICT
    id: Name
    host: Text
    pid: Count
    queues: list[Name]
    actors: list[Name]
    slots: Count
    providers: list[Name] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """Return what is stored beside the id."""
        return {key: value for key, value in asdict(self).items() if key != "id"}
