"""Schemas of run events: the entries of a run's log, as pages and streams carry them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from appdb import DbEventType
from appdb.models import RunEvent


class RunEventQuery(BaseModel):
    """The page of events to list, of all branches, or of the line that counts."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(-1, ge=-1, description="The last event that the caller knows.")
    limit: int = Field(100, ge=1, le=500)
    counting: bool = Field(default=False, description="Whether to leave out what going back has undone.")
    types: list[DbEventType] = Field(default_factory=list, description="Only these; needs `counting`.")


class RunEventView(BaseModel):
    """An event of a run's log; numbers are dense over all branches."""

    run_id: str
    seq: int
    type: str
    branch_id: str
    step: str | None
    module: str | None
    interaction_id: str | None
    version_id: str | None
    at: datetime
    data: dict[str, Any] | None

    @classmethod
    def of(cls, event: RunEvent) -> Self:
        """Return the view of *event*."""
        return cls(
            run_id=event.run_id,
            seq=event.seq,
            type=event.type.value,
            branch_id=event.branch_id,
            step=event.step,
            module=event.module,
            interaction_id=event.interaction_id,
            version_id=event.version_id,
            at=event.created_at,
            data=dict(event.data),
        )


class RunEventPage(BaseModel):
    """Events in order; ``next`` is the ``after`` of the next page, or null at the end."""

    items: list[RunEventView]
    next: int | None

    @classmethod
    def of(cls, found: Sequence[RunEvent], limit: int) -> Self:
        """Return the page of *found*, of which *limit* were asked for."""
        return cls(
            items=[RunEventView.of(event) for event in found], next=found[-1].seq if len(found) == limit else None
        )
