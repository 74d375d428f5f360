"""Runs and events as they will be stored: what an engine knows of them before the database has them."""

from __future__ import annotations

from datetime import datetime

from appdb import DbEventType
from appdb.models import NewRun, NewRunEvent, Position, Run, RunEvent, RunStatus


def run_as_stored(new: NewRun, owner_id: str, now: datetime) -> Run:
    """Return the run that *new* makes, behind its first event."""
    return Run(
        _id=new.run_id,
        owner_id=owner_id,
        project=new.project,
        template_id=new.template_id,
        version_id=new.version_id,
        branch_id=new.branch_id,
        parent_id=new.parent_id,
        status=RunStatus.CREATED,
        open=new.parent_id is None,
        position=Position(),
        event_count=1,
        created_at=now,
        updated_at=now,
    )


def first_event(new: NewRun) -> NewRunEvent:
    """Return the event with which *new* begins its log."""
    return NewRunEvent(type=DbEventType.WORKFLOW_CREATED, data=new.data, event_id=new.event_id)


def event_as_stored(event: NewRunEvent, run: Run, seq: int, now: datetime) -> RunEvent:
    """Return *event* as the log of *run* will have it under the number *seq*."""
    asked = event.data.get("interaction_id")
    return RunEvent(
        _id=event.event_id,
        run_id=run.id,
        owner_id=run.owner_id,
        branch_id=run.branch_id,
        seq=seq,
        type=event.type,
        step=event.step,
        module=event.module,
        interaction_id=asked if isinstance(asked, str) else None,
        version_id=run.version_id,
        data=dict(event.data),
        created_at=now,
    )
