"""Run views: a run as its owner sees it, with the output that stands in the event of its end."""

from __future__ import annotations

from appdb import EventRepository
from appdb.models import RunStatus, RunView
from appserver.api.schemas.runs import ShownRun


async def shown_run(view: RunView, events: EventRepository) -> ShownRun:
    """Return the view of a run: without a read, or with one where the run has completed."""
    run = view.run
    if view.state.status is not RunStatus.COMPLETED:
        return ShownRun.of(view, None)
    last = await events.log(run.id, owner_id=run.owner_id, after=view.state.seq - 1, limit=1)
    return ShownRun.of(view, last[0] if last else None)
