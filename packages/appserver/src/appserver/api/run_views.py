"""Run views: a run as its owner sees it, with the output that stands in the event of its end."""

from __future__ import annotations

from appdb import EventRepository
from appdb.models import RunView
from appserver.api.schemas.runs import ShownRun
from appserver.streams.completions import completion_of


async def shown_run(view: RunView, events: EventRepository) -> ShownRun:
    """Return the view of a run: without a read, or with one where the run has completed."""
    return ShownRun.of(view, await completion_of(view, events))
