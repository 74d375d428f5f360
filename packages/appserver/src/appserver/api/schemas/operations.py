"""Schemas of operations."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class HostHealth(BaseModel):
    """Named checks; what is wrong inside is in the logs only. A host without workers is ready: it takes tasks."""

    ready: bool
    checks: dict[str, bool]
    workers: int
    """How many gave a sign of life within the last 30 s."""
    worker_seen_at: datetime | None
    """When any of them last did, as far as that is known."""
