"""The records of a migration's run: its steps, its effects, the run under way, and the holder of the lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """The progress of one step of a migration.

    Args:
        name: Given by the migration.
        unit: What is counted.
        done: How many of them.
        total: Of how many.
        position: The last id that is done, for steps that go by ids.
        finished: Whether nothing is left.
    """

    name: str
    unit: str
    done: int = 0
    total: int = 0
    position: Any = None
    finished: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.done:,} of {self.total:,} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One effect of a migration, as a dry run shows it.

    Args:
        action: What is done, such as ``create index``.
        target: To what, such as ``tasks.tasks_owner``.
        count: How many documents it touches, where they are counted.
    """

    action: str
    target: str
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationInProgress:
    """The migration in progress, or the one whose run was killed.

    Args:
        migration_id: Which one.
        direction: ``up`` or ``down``.
        started_at: When it was first started.
        updated_at: When it last told how far it is.
        steps: How far each step is.
    """

    migration_id: str
    direction: str
    started_at: datetime
    updated_at: datetime
    steps: tuple[StepProgress, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> MigrationInProgress:
        """Return the typed form of the stored record."""
        return cls(
            migration_id=document["migration"],
            direction=document["direction"],
            started_at=document["started_at"],
            updated_at=document["updated_at"],
            steps=tuple(StepProgress(name=name, **fields) for name, fields in document["steps"].items()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """The holder of the migration lock.

    Args:
        by: Host and process.
        since: Since when; ``None`` when an older release holds the lock, which does not say.
        expires_at: When the lock ends, unless it is renewed.
        alive: Whether it has not ended by the database's clock.
    """

    by: str
    since: datetime | None
    expires_at: datetime
    alive: bool

    @classmethod
    def from_document(cls, document: Mapping[str, Any], now: datetime) -> LockHolder:
        """Return the typed form of the stored lock at the server's *now*."""
        return cls(
            by=document.get("by", "a host of an older release"),
            since=document.get("since"),
            expires_at=document["expires_at"],
            alive=document["expires_at"] > now,
        )

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M:%S}Z" if self.since else ""
        return f"{self.by}{since}"


def fields_of(step: StepProgress) -> dict[str, Any]:
    """Return how far *step* is, as it is stored under its name."""
    fields = asdict(step)
    del fields["name"]
    return fields
