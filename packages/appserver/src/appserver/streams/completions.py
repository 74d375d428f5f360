"""Completions: the events with which runs have completed; each has the output of its run."""

from __future__ import annotations

from appdb import DbEventType, EventRepository
from appdb.models import EventFilter, RunEvent, RunStatus, RunView


async def completion_of(view: RunView, events: EventRepository) -> RunEvent | None:
    """Return the event with which a run had completed, if in this *view* of it it had; else nothing is read.

    Raises:
        NotFoundError: The run is being deleted.
    """
    run, seq = view.run, view.state.seq
    if view.state.status is not RunStatus.COMPLETED:
        return None
    last = await events.log(run.id, owner_id=run.owner_id, after=seq - 1, limit=1)
    if last and last[0].type is DbEventType.WORKFLOW_COMPLETED:
        return last[0]
    # Something has happened since, such as the return to a branch on which it had completed.
    wanted = EventFilter(types=[DbEventType.WORKFLOW_COMPLETED], before=seq)
    found = await events.read(run.id, wanted, owner_id=run.owner_id, branch_id=run.branch_id)
    return found[-1] if found else None
