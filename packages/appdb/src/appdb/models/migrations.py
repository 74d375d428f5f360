"""Migrations: those that were applied, and how far the running one is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from appdb.models.base import Document, Value


class AppliedMigration(Document):
    """A migration that was applied, as stored in ``migrations``; its ``_id`` is its name."""

    description: str
    checksum: str
    """SHA-256 of its source, in hex."""
    applied_at: datetime


class MigrationStep(Value):
    """The progress of one step of the running migration; the steps stand by name in its document."""

    unit: str
    """What is counted."""
    done: int
    total: int
    position: Any = None
    """The last id that is done, for steps that go by ids."""
    finished: bool


class RunningMigration(Document):
    """The migration under way, or whose run was killed, as stored in ``migrations`` under the id ``running``."""

    migration: str
    direction: str
    """``up`` or ``down``."""
    holder: str
    """Who holds the lock for it."""
    started_at: datetime
    updated_at: datetime
    steps: dict[str, MigrationStep]
