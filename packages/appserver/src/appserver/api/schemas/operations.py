"""Schemas of operations."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class HostHealth(BaseModel):
    """The named checks of a host; the reason of a failed one is in the log only. A host without workers is ready."""

    ready: bool
    checks: dict[str, bool]
    workers: int
    """Workers that gave a sign of life within the last 30 s."""
    worker_seen_at: datetime | None
    """The last sign of life of any worker, as far as it is known."""
